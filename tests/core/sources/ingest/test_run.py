import json
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import ValidationError

from crystalgnn_core.errors import IntegrityError, TransientError
from crystalgnn_core.records.table.store import RecordStore
from crystalgnn_core.sources.files.source import FilesSource
from crystalgnn_core.sources.ingest import commit as commits
from crystalgnn_core.sources.ingest import run as module
from crystalgnn_core.sources.ingest.commit import commit_ingest
from crystalgnn_core.sources.ingest.reports import last_report
from crystalgnn_core.sources.ingest.run import plan_ingest, read_part
from crystalgnn_core.sources.synthetic.source import SyntheticSource
from crystalgnn_core.sources.textbook.source import textbook_structure
from crystalgnn_core.storage.locks import locked
from tests.core.worlds import ingest

SOURCE = SyntheticSource(n_structures=12, part_size=5)


class Broken(SyntheticSource):
    """Every third row has no structure, and the last row repeats the first id."""

    def read(self, part):
        for index, raw in enumerate(super().read(part), part.payload["start"]):
            name = (
                self.material_id(0) if index == self.n_structures - 1 else raw.material_id
            )
            changed = raw._replace(material_id=name)
            is_empty = index % 3 == 1
            yield changed._replace(error=("no_atoms", "empty")) if is_empty else changed


BROKEN = Broken(n_structures=12, part_size=5)


def plan_and_read(store, source=SOURCE):
    plan = plan_ingest(store, source)
    return plan, [read_part(source, part, Path(plan.folder)) for part in plan.parts]


def content(store):
    records = RecordStore(store)
    table = records.read(["synthetic"], ["content_digest"])
    return table.to_pylist(), sorted(map(str, records.rejects().to_pylist()))


def count_reads(monkeypatch):
    seen = []
    real = SyntheticSource.read

    def read(source, part):
        seen.append(part.index)
        return real(source, part)

    monkeypatch.setattr(SyntheticSource, "read", read)
    return seen


def test_rows_in_are_rows_kept_plus_rows_rejected(tmp_path):
    report = ingest(tmp_path, BROKEN)
    assert (report.n_in, report.n_kept) == (12, 7)
    assert report.rejected == {"duplicate_id": 1, "no_atoms": 4}
    assert report.n_labels["band_gap"] == 7
    assert RecordStore(tmp_path).source_counts() == {"synthetic": 7}
    assert RecordStore(tmp_path).rejects().num_rows == 5


def test_the_first_row_of_an_id_is_kept(tmp_path):
    ingest(tmp_path, BROKEN)
    ingest(tmp_path / "plain", SOURCE)
    first = content(tmp_path)[0][0]
    assert first == content(tmp_path / "plain")[0][0]


def test_an_unchanged_source_is_not_read_again(tmp_path, monkeypatch):
    first = ingest(tmp_path, BROKEN)
    seen = count_reads(monkeypatch)
    again = ingest(tmp_path, BROKEN)
    assert seen == []
    assert not again.was_read
    assert (again.n_in, again.n_kept, again.rejected) == (
        first.n_in,
        first.n_kept,
        first.rejected,
    )
    assert (again.counts.n_new, again.counts.n_unchanged) == (0, 7)


def test_a_changed_file_is_read_again(tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    poscar = "Si\n{a}\n1 0 0\n0 1 0\n0 0 1\nSi\n1\ndirect\n0 0 0\n"
    (folder / "a.vasp").write_text(poscar.format(a=3.0))
    (folder / "b.vasp").write_text(poscar.format(a=3.0))
    source = FilesSource(name="mine", path=str(folder))
    assert ingest(tmp_path / "store", source).counts.n_new == 2
    (folder / "b.vasp").write_text(poscar.format(a=3.1))
    counts = ingest(tmp_path / "store", source).counts
    assert (counts.n_new, counts.n_changed, counts.n_unchanged) == (0, 1, 1)


def test_parts_read_before_a_kill_are_reused_and_the_result_is_the_same(
    tmp_path, monkeypatch
):
    plan = plan_ingest(tmp_path, SOURCE)
    read_part(SOURCE, plan.parts[0], Path(plan.folder))
    read_part(SOURCE, plan.parts[2], Path(plan.folder))
    seen = count_reads(monkeypatch)
    ingest(tmp_path, SOURCE)
    assert seen == [1]
    ingest(tmp_path / "undisturbed", SOURCE)
    assert content(tmp_path) == content(tmp_path / "undisturbed")


@pytest.mark.parametrize("name", ["00001.records.parquet", "00001.json"])
def test_a_damaged_staged_part_is_read_again(tmp_path, monkeypatch, name):
    plan, _ = plan_and_read(tmp_path)
    damaged = Path(plan.folder) / name
    damaged.write_bytes(damaged.read_bytes()[:-7])
    seen = count_reads(monkeypatch)
    assert ingest(tmp_path, SOURCE).n_kept == 12
    assert seen == [1]


def test_a_staged_part_of_another_digest_is_read_again(tmp_path, monkeypatch):
    """A chain whose first page was read again may go on with other pages than before."""
    plan, _ = plan_and_read(tmp_path)
    seen = count_reads(monkeypatch)
    other = plan.parts[1].model_copy(update={"digest": "of other pages"})
    read_part(SOURCE, other, Path(plan.folder))
    read_part(SOURCE, other, Path(plan.folder))
    assert seen == [1]


def test_what_was_staged_and_given_up_is_removed_when_it_is_old(tmp_path):
    staging = tmp_path / "staging"
    now = time.time()
    ages = {"synthetic-aaa": 3, "synthetic-bbb": 1, "synthetic-b-aaa": 3, "other-aaa": 3}
    plan, _ = plan_and_read(tmp_path)
    for name, days in (*ages.items(), (Path(plan.folder).name, 3)):
        (staging / name).mkdir(exist_ok=True)
        (staging / name / "00000.json").touch()
        os.utime(staging / name, (now, now - days * 86400))
    assert plan_ingest(tmp_path, SOURCE).digest == plan.digest
    left = {path.name for path in staging.iterdir()}
    assert left == {*ages, Path(plan.folder).name} - {"synthetic-aaa"}


def test_what_a_kill_leaves_of_a_finished_ingest_is_removed(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", lambda _, **__: None)
        ingest(tmp_path, SOURCE)
    assert list((tmp_path / "staging").iterdir())
    assert not ingest(tmp_path, SOURCE).was_read
    assert not list((tmp_path / "staging").iterdir())


def test_a_commit_waits_for_another_of_the_same_source(tmp_path, monkeypatch):
    plan, states = plan_and_read(tmp_path)
    (tmp_path / "ingests").mkdir()
    monkeypatch.setattr(commits, "LOCK_SECONDS", 0.05)
    with (
        locked(tmp_path / "ingests" / ".synthetic.commit.lock", timeout=1),
        pytest.raises(TransientError, match="held by another process"),
    ):
        commit_ingest(tmp_path, SOURCE, plan, states)
    assert commit_ingest(tmp_path, SOURCE, plan, states).n_kept == 12


def test_two_commits_at_once_leave_the_rows_of_one_and_its_report(tmp_path):
    """The rows, rejects and report of two versions must not mix."""
    sources = [BROKEN, BROKEN.model_copy(update={"seed": 1, "n_structures": 13})]
    given = [(source, *plan_and_read(tmp_path, source)) for source in sources]
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(commit_ingest, tmp_path, *one) for one in given]
        reports = {run.result().digest: run.result() for run in runs}
    last = last_report(tmp_path, "synthetic")
    assert last is not None
    assert last == reports[last.digest]
    [source] = [source for source, plan, _ in given if plan.digest == last.digest]
    ingest(tmp_path / "alone", source)
    assert content(tmp_path) == content(tmp_path / "alone")


def test_a_killed_commit_that_no_longer_fits_does_not_stop_ingests(tmp_path, monkeypatch):
    def die(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(RecordStore, "replace_records", die)
        with pytest.raises(KeyboardInterrupt):
            ingest(tmp_path, SOURCE)
    [path] = (tmp_path / "ingests").glob("*.pending.json")
    pending = json.loads(path.read_text())
    pending["states"][0]["n_in"] += 1
    path.write_text(json.dumps(pending))
    for entry in (tmp_path / "staging").rglob("00000.json"):
        entry.unlink()
    report = ingest(tmp_path, SOURCE)
    assert (report.n_in, report.n_kept) == (12, 12)
    assert not path.exists()


@pytest.mark.parametrize("name", [".", "..", "mine.pending", "mine.gate"])
def test_names_of_other_files_of_a_store_are_refused(name):
    with pytest.raises(ValidationError, match="names other files of a store"):
        SyntheticSource(name=name)


@pytest.mark.parametrize("step", ["replace_records", "replace_rejects"])
def test_a_kill_between_two_commits_leaves_a_state_that_a_rerun_completes(
    tmp_path, monkeypatch, step
):
    real = getattr(RecordStore, step)

    def die(*args):
        real(*args)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(RecordStore, step, die)
        with pytest.raises(KeyboardInterrupt):
            ingest(tmp_path, BROKEN)
    seen = count_reads(monkeypatch)
    report = ingest(tmp_path, BROKEN)
    assert seen == []  # all parts were staged
    assert (report.n_kept, sum(report.rejected.values())) == (7, 5)
    ingest(tmp_path / "undisturbed", BROKEN)
    assert content(tmp_path) == content(tmp_path / "undisturbed")


@pytest.mark.parametrize("table", ["records", "rejects"])
def test_a_lost_table_forces_a_new_reading(tmp_path, table):
    ingest(tmp_path, BROKEN)
    before = content(tmp_path)
    shutil.rmtree(tmp_path / table)
    assert ingest(tmp_path, BROKEN).was_read
    assert content(tmp_path) == before


def test_a_lost_table_forces_a_new_reading_although_no_row_was_kept(tmp_path):
    class Empty(Broken):
        def read(self, part):
            return (raw for raw in super().read(part) if raw.error)

    source = Empty(n_structures=12, part_size=5)
    ingest(tmp_path, SOURCE)
    assert ingest(tmp_path, source.model_copy(update={"name": "empty"})).n_kept == 0
    shutil.rmtree(tmp_path / "records")
    assert plan_ingest(tmp_path, source.model_copy(update={"name": "empty"})).report is None


def test_a_damaged_report_forces_a_new_reading(tmp_path):
    ingest(tmp_path, SOURCE)
    (tmp_path / "ingests" / "synthetic.json").write_text("{}")
    assert ingest(tmp_path, SOURCE).was_read


def test_a_second_commit_of_the_same_plan_returns_the_report_of_the_first(tmp_path):
    plan, states = plan_and_read(tmp_path)
    first = commit_ingest(tmp_path, SOURCE, plan, states)
    second = commit_ingest(tmp_path, SOURCE, plan, states)  # its staged parts are gone
    assert (second.n_kept, second.was_read) == (first.n_kept, False)


def test_a_part_damaged_between_reading_and_commit_is_refused(tmp_path):
    plan, states = plan_and_read(tmp_path)
    path = Path(states[1].records.path)
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(IntegrityError, match="missing or damaged"):
        commit_ingest(tmp_path, SOURCE, plan, states)


def test_lost_rows_are_noticed(tmp_path):
    plan, states = plan_and_read(tmp_path)
    states[0] = states[0].model_copy(update={"n_in": states[0].n_in + 1})
    with pytest.raises(IntegrityError, match="13 rows in, but 12 kept and 0 rejected"):
        commit_ingest(tmp_path, SOURCE, plan, states)


def test_another_validation_reads_every_source_again(tmp_path, monkeypatch):
    ingest(tmp_path, SOURCE)
    monkeypatch.setattr(module, "VALIDATION_VERSION", module.VALIDATION_VERSION + 1)
    assert ingest(tmp_path, SOURCE).was_read


def test_records_mirror_the_source_and_older_versions_keep_what_is_gone(tmp_path):
    folder, store = tmp_path / "cifs", tmp_path / "store"
    folder.mkdir()
    for name in ("Si", "NaCl", "GaAs"):
        textbook_structure(name).to_file(str(folder / f"{name}.cif"))
    first = ingest(store, FilesSource(name="cifs", path=str(folder)))
    (folder / "Si.cif").unlink()
    (folder / "GaAs.cif").write_text("damaged")
    second = ingest(store, FilesSource(name="cifs", path=str(folder)))
    assert (second.n_in, second.n_kept) == (2, 1)
    assert second.rejected == {"unreadable_structure": 1}
    assert (second.counts.n_unchanged, second.counts.n_removed) == (1, 2)
    records = RecordStore(store)
    assert records.read(["cifs"], [])["material_id"].to_pylist() == ["NaCl"]
    old = records.read(["cifs"], [], version=first.counts.version)
    assert old["material_id"].to_pylist() == ["GaAs", "NaCl", "Si"]


def test_two_folders_of_one_name_do_not_mix(tmp_path):
    for name in ("Si", "NaCl"):
        folder = tmp_path / name / "cifs"
        folder.mkdir(parents=True)
        textbook_structure(name).to_file(str(folder / f"{name}.cif"))
    for name in ("Si", "NaCl", "Si"):
        report = ingest(
            tmp_path, FilesSource(name="cifs", path=str(tmp_path / name / "cifs"))
        )
        assert report.was_read
        stored = RecordStore(tmp_path).read(["cifs"], [])["material_id"].to_pylist()
        assert stored == [name]
