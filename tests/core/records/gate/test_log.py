"""Verdicts outlive crashes, suspicious versions stay so, and acceptance is on record."""

import json
import shutil

import pytest

from crystalgnn_core.errors import (
    ConfigError,
    InputError,
    IntegrityError,
    SuspiciousDataError,
    TransientError,
)
from crystalgnn_core.records.gate.acceptance import require_accepted
from crystalgnn_core.records.gate.log import GateLog
from crystalgnn_core.records.table.store import RecordStore
from crystalgnn_core.sources.ingest.run import ingest_source, plan_ingest
from crystalgnn_core.sources.synthetic.source import SyntheticSource
from crystalgnn_core.storage.files import write_text
from tests.core.records.made_rows import commit, ingest, rows, with_unit_error

OLD = rows(200)
BAD = with_unit_error(OLD, -1.0)


def test_a_suspicious_version_is_refused_until_it_is_accepted(tmp_path):
    ingest(tmp_path, OLD)
    require_accepted(tmp_path, ["s", "unknown"])
    ingest(tmp_path, BAD)
    with pytest.raises(SuspiciousDataError) as caught:
        require_accepted(tmp_path, ["s"])
    message = str(caught.value)
    assert "sign turned" in message
    assert "crystalgnn records accept s" in message
    assert "fix the source" in message
    gate_log = GateLog(tmp_path, "s")
    gate_log.accept("a new reference", by="me")
    require_accepted(tmp_path, ["s"])
    last = gate_log.history().last
    assert last is not None
    assert last.acceptance is not None
    assert (last.acceptance.by, last.acceptance.reason) == ("me", "a new reference")
    assert "Accepted by me" in gate_log.page.read_text()
    assert ingest(tmp_path, BAD).verdict == "unchanged"  # compared with what was accepted


def test_a_mended_source_clears_the_alarm(tmp_path):
    first = ingest(tmp_path, OLD)
    assert ingest(tmp_path, BAD).is_suspicious
    fixed = ingest(tmp_path, OLD)
    assert fixed.verdict == "unchanged"  # beside the last version that was accepted
    assert fixed.version_before == first.version
    require_accepted(tmp_path, ["s"])
    verdicts = [entry.report.verdict for entry in GateLog(tmp_path, "s").history().entries]
    assert verdicts == ["large update", "suspicious", "unchanged"]


def test_a_second_bad_version_is_not_excused_by_the_first(tmp_path):
    first = ingest(tmp_path, OLD)
    ingest(tmp_path, BAD)
    report = ingest(tmp_path, BAD.slice(0, 198))
    assert report.is_suspicious
    assert report.version_before == first.version


def test_small_losses_add_up_until_they_are_accepted(tmp_path):
    for n in (200, 190, 181):
        assert not ingest(tmp_path, OLD.slice(0, n)).is_suspicious
    report = ingest(tmp_path, OLD.slice(0, 175))
    assert report.reasons == (
        "rows 200 -> 175 since version 1, 12.5 % lost in several steps",
    )
    GateLog(tmp_path, "s").accept("old rows are withdrawn")
    for n in (170, 175, 160):
        assert not ingest(tmp_path, OLD.slice(0, n)).is_suspicious
    assert ingest(tmp_path, OLD.slice(0, 155)).is_suspicious


def test_rows_that_come_back_after_small_losses_are_no_alarm(tmp_path):
    for n in (200, 185, 181):
        ingest(tmp_path, OLD.slice(0, n))
    assert not ingest(tmp_path, OLD.slice(0, 182)).is_suspicious


def test_the_same_bad_version_is_entered_once(tmp_path):
    ingest(tmp_path, OLD)
    ingest(tmp_path, BAD)
    assert ingest(tmp_path, BAD).is_suspicious
    assert len(GateLog(tmp_path, "s").history().entries) == 2
    current_report = GateLog(tmp_path, "s").current_report()
    assert current_report is not None
    assert current_report.is_suspicious


def test_equal_versions_leave_the_history_as_it_is(tmp_path):
    ingest(tmp_path, OLD)
    before = GateLog(tmp_path, "s").history()
    assert ingest(tmp_path, OLD).verdict == "unchanged"
    assert GateLog(tmp_path, "s").history() == before


def test_a_verdict_lost_to_a_crash_is_made_up(tmp_path):
    ingest(tmp_path, OLD)
    GateLog(tmp_path, "s").begin()
    commit(tmp_path, BAD)  # and the process ends here
    with pytest.raises(SuspiciousDataError, match="sign turned"):
        require_accepted(tmp_path, ["s"])
    assert not GateLog(tmp_path, "s").history().is_pending


def test_rows_that_are_being_changed_are_left_to_their_ingest(tmp_path, monkeypatch):
    monkeypatch.setattr("crystalgnn_core.records.gate.log.LOCK_SECONDS", 0.05)
    ingest(tmp_path, OLD)
    with GateLog(tmp_path, "s").committing():
        with pytest.raises(TransientError, match="held by another process"):
            require_accepted(tmp_path, ["s"])
        commit(tmp_path, BAD)  # and the process ends here
    with pytest.raises(SuspiciousDataError, match="sign turned"):
        require_accepted(tmp_path, ["s"])


def test_what_came_meanwhile_is_not_accepted(tmp_path, monkeypatch):
    ingest(tmp_path, OLD)
    ingest(tmp_path, BAD)
    gate_log = GateLog(tmp_path, "s")
    look = gate_log.history
    # the source is fixed after the look and before the acceptance
    monkeypatch.setattr(gate_log, "history", lambda: (look(), ingest(tmp_path, OLD))[0])
    with pytest.raises(InputError, match=r"not suspicious \(unchanged\)"):
        gate_log.accept("a new sign")


def test_a_first_ingest_that_crashed_is_a_first_version_still(tmp_path):
    GateLog(tmp_path, "s").begin()
    commit(tmp_path, OLD)
    GateLog(tmp_path, "s").begin()
    report = GateLog(tmp_path, "s").judge()
    assert (report.verdict, report.version_before) == ("large update", None)


def test_rows_from_before_there_were_verdicts_are_the_first_version(tmp_path):
    commit(tmp_path, OLD)
    report = ingest(tmp_path, BAD)
    assert report.is_suspicious
    assert report.version_before == 1
    first = GateLog(tmp_path, "s").history().entries[0]
    assert "before verdicts were kept" in first.report.reasons[0]


def test_a_table_made_anew_is_compared_by_its_profile(tmp_path):
    ingest(tmp_path, OLD)
    shutil.rmtree(tmp_path / "records")
    assert ingest(tmp_path, OLD).verdict == "unchanged"
    ingest(tmp_path, rows(210, seed=3))
    shutil.rmtree(tmp_path / "records")
    report = ingest(tmp_path, OLD.slice(0, 150))
    assert report.is_suspicious
    assert "row by row is not known" in report.reasons[0]


def test_only_profiles_that_are_compared_are_kept(tmp_path):
    for n in (100, 150, 190, 200):
        ingest(tmp_path, OLD.slice(0, n))
    history = GateLog(tmp_path, "s").history()
    assert [entry.profile is None for entry in history.entries] == [
        True,
        True,
        False,
        False,
    ]


def test_nothing_is_accepted_that_is_not_suspicious(tmp_path):
    with pytest.raises(InputError, match="no verdict yet; there is nothing to accept"):
        GateLog(tmp_path, "s").accept("why not")
    ingest(tmp_path, OLD)
    with pytest.raises(InputError, match=r"not suspicious \(large update\)"):
        GateLog(tmp_path, "s").accept("why not")


def test_damaged_verdicts_are_named(tmp_path):
    ingest(tmp_path, OLD)
    path = GateLog(tmp_path, "s").path
    write_text(path, json.dumps({"source": "s", "entries": [{}]}))
    with pytest.raises(IntegrityError, match=r"s\.gate\.json: damaged verdicts"):
        require_accepted(tmp_path, ["s"])


def test_a_name_that_would_take_the_file_of_another_source_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot end in \.gate"):
        GateLog(tmp_path, "s.gate")


def test_the_report_of_an_ingest_holds_the_verdict(tmp_path):
    source = SyntheticSource(n_structures=60)
    first = ingest_source(tmp_path, source).gate
    assert first is not None
    assert (first.verdict, first.n_new) == ("large update", 60)
    again = ingest_source(tmp_path, source)
    assert not again.was_read
    assert again.gate is not None
    assert (again.gate.verdict, again.gate.n_touched) == ("unchanged", 0)
    fewer = ingest_source(tmp_path, source.model_copy(update={"n_structures": 40})).gate
    assert fewer is not None
    assert fewer.is_suspicious
    unread = ingest_source(tmp_path, source.model_copy(update={"n_structures": 40}))
    assert unread.gate == fewer  # nothing was fixed, nobody accepted it


def test_a_kill_between_commit_and_verdict_loses_neither(tmp_path, monkeypatch):
    source = SyntheticSource(n_structures=60)
    ingest_source(tmp_path, source)
    fewer = source.model_copy(update={"n_structures": 40})

    def die(_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(GateLog, "judge", die)
        with pytest.raises(KeyboardInterrupt):
            ingest_source(tmp_path, fewer)
    with pytest.raises(SuspiciousDataError, match=r"33\.3 % lost"):
        require_accepted(tmp_path, ["synthetic"])
    report = plan_ingest(tmp_path, fewer).report
    assert report is not None
    assert report.gate is not None
    assert report.gate.is_suspicious


STEPS = [
    (GateLog, "begin"),
    (RecordStore, "replace_records"),
    (RecordStore, "replace_rejects"),
    (GateLog, "judge"),
    (GateLog, "_write"),
]


@pytest.mark.parametrize(("owner", "name"), STEPS, ids=[name for _, name in STEPS])
@pytest.mark.parametrize("is_done", [False, True], ids=["before", "after"])
def test_a_kill_at_any_step_of_a_commit_is_mended(
    tmp_path, monkeypatch, owner, name, is_done
):
    source = SyntheticSource(n_structures=40)
    fewer = source.model_copy(update={"n_structures": 20})
    ingest_source(tmp_path, source)
    step = getattr(owner, name)

    def die(*args, **settings):
        if is_done:
            step(*args, **settings)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, die)
        with pytest.raises(KeyboardInterrupt):
            ingest_source(tmp_path, fewer)
    is_committed = RecordStore(tmp_path).source_counts() == {"synthetic": 20}
    if is_committed:
        with pytest.raises(SuspiciousDataError, match=r"50\.0 % lost"):
            require_accepted(tmp_path, ["synthetic"])
    else:
        require_accepted(tmp_path, ["synthetic"])
    report = ingest_source(tmp_path, fewer).gate
    assert report is not None
    assert (report.verdict, report.n_removed) == ("suspicious", 20)
    entries = GateLog(tmp_path, "synthetic").history().entries
    assert [entry.report.verdict for entry in entries] == ["large update", "suspicious"]
