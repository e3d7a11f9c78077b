"""The contract of sources as a pytest suite: inherit it, name a source, run it.

    class TestMine(SourceContract):
        source = MySource(name="mine", path="tests/data/mine")
        n_rows, n_unreadable = 12, 1

A source that needs a fixture, such as a folder or a server, is set by one:

    class TestMine(SourceContract):
        n_rows, n_unreadable = 12, 1

        @pytest.fixture(autouse=True)
        def _source(self, server):
            self.source = MySource(name="mine", url=server.url)
"""

from __future__ import annotations

import pickle
from collections import deque
from pathlib import Path
from typing import Any

from crystalgnn_core.base import kind_of
from crystalgnn_core.records.crystal import structure_digest
from crystalgnn_core.records.label_schemes import checked_scheme
from crystalgnn_core.records.schema import RawRecord
from crystalgnn_core.records.table.store import RecordStore
from crystalgnn_core.sources.base import SourceConfig, SourcePart, SourcePlan, not_content
from crystalgnn_core.sources.ingest.run import ingest_source, plan_ingest, read_part
from crystalgnn_core.sources.ingest.stored import StoredSource
from crystalgnn_core.sources.union import source_class
from crystalgnn_core.targets import TARGETS


class SourceContract:
    """What every source promises; one class of tests for each source.

    Attributes:
        source: A source with an example of data, which no test changes. Give it a small
            `part_size`, so that there are several parts.
        n_rows: Rows of the example, unreadable ones included.
        n_unreadable: Rows that must arrive with an error; let the example hold at least one
            if that is possible at all.
    """

    source: SourceConfig
    n_rows: int
    n_unreadable: int = 0

    def test_it_has_a_kind_of_its_own(self) -> None:
        kind = kind_of(type(self.source))
        assert self.source.model_dump()["kind"] == kind
        assert source_class(kind) is type(self.source), f"{kind} is of another class"

    def test_its_settings_survive_a_file_and_another_process(self) -> None:
        settings = self.source.model_dump(mode="json")
        assert type(self.source).model_validate(settings) == self.source, "by JSON"
        assert pickle.loads(pickle.dumps(self.source)) == self.source, "by pickle"

    def test_it_is_ready_where_the_example_is(self) -> None:
        self.source.check_ready()

    def test_places_do_not_count_as_content(self) -> None:
        digest = self.source.reading_digest()
        marked = [name for name, mark in not_content(self.source).items() if mark is True]
        assert {"part_size", "citation"} <= set(marked), marked
        for name in marked:
            value = getattr(self.source, name)
            other = value + 1 if isinstance(value, int) else "elsewhere"
            moved = self.source.model_copy(update={name: other})
            assert moved.reading_digest() == digest, f"{name} counts although it is marked"
        renamed = self.source.model_copy(update={"name": "another"})
        assert renamed.reading_digest() != digest, "the name of the rows does not count"

    def test_its_plan_is_the_same_when_asked_again(self, tmp_path: Path) -> None:
        first, second = self._plan(tmp_path), self._plan(tmp_path)
        assert first.parts, "there is nothing to read"
        assert [part.digest for part in first.parts] == [p.digest for p in second.parts]

    def test_its_parts_differ_in_index_and_digest(self, tmp_path: Path) -> None:
        parts = [part for part, _ in self._read_all(tmp_path)]
        for name in ("index", "digest"):
            values = [getattr(part, name) for part in parts]
            assert len(set(values)) == len(parts), f"two parts have one {name}: {values}"

    def test_parts_are_plain_json(self, tmp_path: Path) -> None:
        for part, _ in self._read_all(tmp_path):
            assert SourcePart.model_validate_json(part.model_dump_json()) == part

    def test_every_row_arrives_and_unreadable_ones_with_an_error(
        self, tmp_path: Path
    ) -> None:
        rows = [row for _, rows in self._read_all(tmp_path) for row in rows]
        assert len(rows) == self.n_rows
        refused = [row for row in rows if row.error is not None]
        assert len(refused) == self.n_unreadable, [row.error for row in refused]
        assert all(row.material_id for row in rows if row.error is None), "a row without id"

    def test_parts_can_be_read_in_any_order_and_again(self, tmp_path: Path) -> None:
        for part, rows in reversed(self._read_all(tmp_path)):
            again = [item for item in self.source.read(part) if isinstance(item, RawRecord)]
            assert list(map(_comparable, again)) == list(map(_comparable, rows)), part.index

    def test_its_labels_are_those_that_it_names(self, tmp_path: Path) -> None:
        named = set(self.source.target_names())
        assert named <= set(TARGETS), f"no targets: {named - set(TARGETS)}"
        for _, rows in self._read_all(tmp_path):
            for row in rows:
                given = {name for name, value in row.labels.items() if value is not None}
                assert given <= named, f"{row.material_id}: {given - named} is not named"
                bare = {name for name in given if not row.label_schemes.get(name)}
                assert not bare, f"{row.material_id}: no label scheme for {bare}"
                for scheme in set(row.label_schemes.values()) - {""}:
                    checked_scheme(scheme)

    def test_rows_in_are_rows_kept_plus_rows_rejected(self, tmp_path: Path) -> None:
        report = ingest_source(tmp_path, self.source)
        assert report.n_in == self.n_rows
        assert report.n_in == report.n_kept + sum(report.rejected.values())
        assert report.n_kept, f"no row is kept: {report.rejected}"
        assert RecordStore(tmp_path).source_counts() == {self.source.name: report.n_kept}

    def test_a_second_ingest_changes_nothing(self, tmp_path: Path) -> None:
        ingest_source(tmp_path, self.source)
        before = _content(tmp_path)
        counts = ingest_source(tmp_path, self.source).counts
        assert (counts.n_new, counts.n_changed, counts.n_removed) == (0, 0, 0)
        assert _content(tmp_path) == before

    def test_an_interruption_between_parts_changes_nothing(self, tmp_path: Path) -> None:
        broken, whole = tmp_path / "broken", tmp_path / "whole"
        plan = plan_ingest(broken, self.source)
        for part in plan.parts[::2]:
            read_part(self.source, part, Path(plan.folder))
        ingest_source(broken, self.source)
        ingest_source(whole, self.source)
        assert _content(broken) == _content(whole)

    def _plan(self, store: Path) -> SourcePlan:
        return self.source.plan(StoredSource(store, self.source.name))

    def _read_all(self, store: Path) -> list[tuple[SourcePart, list[RawRecord]]]:
        """Read all parts, also those that become known by reading."""
        waiting, found = deque(self._plan(store).parts), []
        while waiting:
            part = waiting.popleft()
            items = list(self.source.read(part))
            waiting.extend(item for item in items if isinstance(item, SourcePart))
            found.append((part, [item for item in items if isinstance(item, RawRecord)]))
            strange = {type(item) for item in items} - {SourcePart, RawRecord}
            assert not strange, f"read yields {strange}, expected RawRecord or SourcePart"
        return found


def _comparable(record: RawRecord) -> str:
    """Return all that a record says; a NaN equals a NaN here."""
    crystal = record.crystal
    digest = "" if crystal is None else structure_digest(crystal)
    return repr(record._replace(crystal=None)) + digest


def _content(store: Path) -> tuple[list[Any], list[str]]:
    """Return what the tables of a store hold, apart from when it was written."""
    tables = RecordStore(store)
    rows = tables.read(sorted(tables.source_counts()), ["content_digest"]).to_pylist()
    return rows, sorted(map(str, tables.rejects().to_pylist()))
