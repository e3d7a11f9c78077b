"""Sources that follow pages, and sources that read only what changed."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from crystalgnn_core.base import digest_of
from crystalgnn_core.errors import IntegrityError
from crystalgnn_core.records.table.store import RecordStore
from crystalgnn_core.sources.base import SourceConfig, SourcePart, SourcePlan
from crystalgnn_core.sources.ingest.reports import stored_source
from crystalgnn_core.sources.ingest.run import ingest_source, plan_ingest, read_part
from crystalgnn_core.sources.ingest.stored import StoredSource
from crystalgnn_core.sources.synthetic.source import SyntheticSource
from crystalgnn_core.storage.files import FileRef, write_table, write_text

PAGE = 4
WORLD = SyntheticSource(n_structures=10)
BORN = datetime(2026, 1, 1, tzinfo=UTC)


def row_of(index, day=0):
    raw = next(WORLD.read(SourcePart(index=0, digest="", payload=span(index))))
    changed = raw._replace(
        last_updated=BORN.replace(day=1 + day), labels={**raw.labels, "band_gap": day + 1.0}
    )
    return changed._replace(error=("no_atoms", "empty")) if index == 1 else changed


def span(index):
    return {"start": index, "stop": index + 1}


class Pages(SourceConfig):
    """Pages of which each names the next one."""

    name: str = "pages"

    def target_names(self):
        return ("band_gap",)

    def plan(self, stored):
        assert stored.source == self.name
        return SourcePlan(parts=(page(0),), n_expected=10)

    def read(self, part):
        first = part.payload["first"]
        for index in range(first, min(first + PAGE, 10)):
            yield row_of(index)
        if first + PAGE < 10:
            yield page(first + PAGE)


def page(first):
    payload = {"first": first}
    return SourcePart(index=first // PAGE, digest=digest_of(payload), payload=payload)


class Service(SourceConfig):
    """A service that tells on which day each row changed, `days`."""

    name: str = "service"
    days: tuple[int, ...]
    asked: ClassVar[list[list[int]]] = []

    def target_names(self):
        return ("band_gap",)

    def reading_digest(self):
        return "same"

    def plan(self, stored):
        known = {
            row["material_id"]: row["last_updated"] for row in stored.rows().to_pylist()
        }
        wanted = [
            index
            for index, day in enumerate(self.days)
            if known.get(WORLD.material_id(index)) != BORN.replace(day=1 + day)
        ]
        ids = [WORLD.material_id(i) for i in range(len(self.days)) if i not in wanted]
        if stored.last_digest is not None and not wanted and len(ids) == len(known):
            return SourcePlan(is_unchanged=True)
        path = stored.folder / "kept.parquet"
        write_table(path, pa.table({"material_id": pa.array(ids, pa.string())}))
        part = SourcePart(index=0, digest=digest_of(wanted), payload={"rows": wanted})
        return SourcePlan(
            parts=(part,) if wanted else (),
            kept=FileRef.of(path),
            source_version=str(max(self.days)),
        )

    def read(self, part):
        self.asked.append(part.payload["rows"])
        yield from (row_of(index, self.days[index]) for index in part.payload["rows"])


@pytest.fixture(autouse=True)
def asked_nothing(monkeypatch):
    monkeypatch.setattr(Service, "asked", [])


def stored(store, name):
    table = RecordStore(store).read([name], ["content_digest"])
    keys = ("material_id", "reason")
    rejects = [
        tuple(row[key] for key in keys) for row in RecordStore(store).rejects().to_pylist()
    ]
    return table.to_pylist(), rejects


def test_pages_are_followed_to_the_last(tmp_path):
    report = ingest_source(tmp_path, Pages())
    assert (report.n_in, report.n_kept, report.rejected) == (10, 9, {"no_atoms": 1})


def test_a_chain_goes_on_at_the_page_where_it_was_stopped(tmp_path, monkeypatch):
    plan = plan_ingest(tmp_path, Pages())
    first = read_part(Pages(), plan.parts[0], Path(plan.folder))
    assert first.following == (page(PAGE),)
    read_part(Pages(), page(PAGE), Path(plan.folder))
    seen = []
    real = Pages.read

    def read(source, part):
        seen.append(part)
        return real(source, part)

    monkeypatch.setattr(Pages, "read", read)
    assert ingest_source(tmp_path, Pages()).n_in == 10
    assert seen == [page(2 * PAGE)]


def test_a_page_that_an_older_version_staged_is_reused(tmp_path, monkeypatch):
    """It held the part that follows, or nothing, where there is a list now."""
    plan = plan_ingest(tmp_path, Pages())
    for first in (0, PAGE, 2 * PAGE):
        read_part(Pages(), page(first), Path(plan.folder))
    for entry in Path(plan.folder).glob("*.json"):
        state = json.loads(entry.read_text())
        state["following"] = state["following"][0] if state["following"] else None
        write_text(entry, json.dumps(state))
    monkeypatch.setattr(Pages, "read", None)
    assert ingest_source(tmp_path, Pages()).n_in == 10


def test_only_changed_rows_are_read_and_all_are_counted(tmp_path):
    first = Service(days=(0,) * 10)
    report = ingest_source(tmp_path, first)
    assert (report.n_in, report.n_kept, report.source_version) == (10, 9, "0")
    assert not ingest_source(tmp_path, first).was_read
    later = Service(days=(0, 0, 5, 0, 0, 0, 7, 0))
    report = ingest_source(tmp_path, later)
    assert Service.asked == [list(range(10)), [2, 6]]
    assert (report.n_in, report.n_kept, report.rejected) == (8, 7, {"no_atoms": 1})
    counts = report.counts
    assert (counts.n_new, counts.n_changed, counts.n_unchanged) == (0, 2, 5)
    assert counts.n_removed == 2
    assert report.n_labels == {"band_gap": 7}
    ingest_source(tmp_path / "again", later)
    assert stored(tmp_path, "service") == stored(tmp_path / "again", "service")


def test_a_rejected_row_is_read_again_when_it_changed(tmp_path):
    ingest_source(tmp_path, Service(days=(0, 0, 0)))
    report = ingest_source(tmp_path, Service(days=(0, 3, 0)))
    assert Service.asked[1] == [1]
    assert (report.n_kept, report.rejected) == (2, {"no_atoms": 1})
    rows = stored_source(tmp_path, "service").rows()
    when = rows.filter(pc.equal(rows["is_rejected"], True))["last_updated"].to_pylist()
    assert when == [BORN.replace(day=4)]


@pytest.mark.parametrize("step", ["replace_records", "replace_rejects"])
def test_a_commit_that_was_killed_is_finished_without_reading(tmp_path, monkeypatch, step):
    ingest_source(tmp_path, Service(days=(0,) * 10))
    later = Service(days=(0, 4, 5, 0, 0, 0, 7, 0))
    real = getattr(RecordStore, step)

    def die(*args):
        real(*args)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(RecordStore, step, die)
        with pytest.raises(KeyboardInterrupt):
            ingest_source(tmp_path, later)
    report = ingest_source(tmp_path, later)
    assert len(Service.asked) == 2
    assert (report.n_in, report.n_kept, report.was_read) == (8, 7, False)
    ingest_source(tmp_path / "again", later)
    assert stored(tmp_path, "service") == stored(tmp_path / "again", "service")
    assert not list((tmp_path / "ingests").glob("*.pending.json"))


def test_a_killed_commit_whose_parts_are_gone_is_forgotten(tmp_path, monkeypatch):
    source = Service(days=(0,) * 10)

    def die(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(RecordStore, "replace_records", die)
        with pytest.raises(KeyboardInterrupt):
            ingest_source(tmp_path, source)
    for path in (tmp_path / "staging").rglob("*.parquet"):
        path.unlink()
    assert ingest_source(tmp_path, source).n_kept == 9
    assert len(Service.asked) == 2


def test_rows_that_shall_stay_must_be_stored_and_not_read_anew(tmp_path, monkeypatch):
    ingest_source(tmp_path, Service(days=(0,) * 4))

    class Confused(Service):
        def plan(self, stored):
            path = stored.folder / "kept.parquet"
            write_table(path, pa.table({"material_id": ["unknown", WORLD.material_id(0)]}))
            parts = (SourcePart(index=0, digest="x", payload={"rows": [0]}),)
            return SourcePlan(parts=parts, kept=FileRef.of(path))

    with pytest.raises(IntegrityError, match="1 are not stored and 1 were read again"):
        ingest_source(tmp_path, Confused(days=(0,) * 4))


def test_a_store_that_lost_rows_tells_nothing_of_the_last_ingest(tmp_path):
    ingest_source(tmp_path, Service(days=(0,) * 4))
    assert stored_source(tmp_path, "service").last_version == "0"
    RecordStore(tmp_path).replace_rejects(
        "service", "ingest", RecordStore(tmp_path).rejects().slice(0, 0)
    )
    assert stored_source(tmp_path, "service") == StoredSource(tmp_path, "service")


def test_a_source_is_told_whether_its_settings_are_those_of_the_stored_rows(tmp_path):
    class Telling(SyntheticSource):
        told: ClassVar[list[bool]] = []

        def plan(self, stored):
            self.told.append(stored.has_same_settings)
            return super().plan(stored)

    source = Telling(n_structures=3)
    for update in ({}, {"part_size": 2}, {"require_labels": "all"}, {"seed": 1}):
        ingest_source(tmp_path, source.model_copy(update=update))
        ingest_source(tmp_path, source.model_copy(update=update))
    assert Telling.told == [False, True, True, True, False, True, False, True]
