"""What was read from the parts of a source, kept on disk until it is committed."""

from __future__ import annotations

from collections import Counter
from itertools import chain
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import BeforeValidator, Field, ValidationError

from crystalgnn_core.base import FrozenModel
from crystalgnn_core.errors import IntegrityError
from crystalgnn_core.records.checks.validation import rejects_table
from crystalgnn_core.records.schema import (
    INGEST_STAGE,
    RejectedRecord,
    record_schema,
    reject_schema,
)
from crystalgnn_core.sources.base import SourcePart
from crystalgnn_core.sources.ingest.origins import origins_table
from crystalgnn_core.storage.files import FileRef, read_json, write_table, write_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from crystalgnn_core.sources.ingest.stored import KeptRows


def _as_tuple(given: Any) -> Any:  # noqa: ANN401  any input
    """Read states of older versions, where at most one part followed."""
    return () if given is None else (given,) if isinstance(given, dict) else given


class PartState(FrozenModel):
    """References to what was read from one part.

    Attributes:
        records: Rows of the record table.
        rejects: Rejected rows.
        n_in: Rows that the part holds.
        following: Parts that became known by reading it, such as the next page.
        n_dropped: Target to number of implausible labels that kept rows go without.
        part: Digest of the part; empty in states of older versions.
        origins: From which files the rows came; None where they are not kept by file.
    """

    records: FileRef
    rejects: FileRef
    n_in: int
    following: Annotated[tuple[SourcePart, ...], BeforeValidator(_as_tuple)] = ()
    n_dropped: dict[str, int] = Field(default_factory=dict)
    part: str = ""
    origins: FileRef | None = None

    def is_intact(self) -> bool:
        """Return whether all files are there and undamaged."""
        files = (self.records, self.rejects, self.origins)
        return all(file is None or file.is_intact() for file in files)


def write_part(
    entry: Path,
    part: SourcePart,
    records: pa.Table,
    rejects: Sequence[RejectedRecord],
    *,
    n_in: int,
    following: Sequence[SourcePart],
    n_dropped: Mapping[str, int],
    origins: Sequence[tuple[str, str, str]],
) -> PartState:
    """Write the tables of a part beside its entry, and last the entry, a `PartState`."""
    state = PartState(
        records=_write(entry.with_suffix(".records.parquet"), records),
        rejects=_write(entry.with_suffix(".rejects.parquet"), rejects_table(rejects)),
        n_in=n_in,
        following=tuple(following),
        n_dropped=dict(n_dropped),
        part=part.digest,
        origins=_write(entry.with_suffix(".origins.parquet"), origins_table(origins))
        if origins
        else None,
    )
    write_text(entry, state.model_dump_json())
    return state


def staged_part(entry: Path, part: SourcePart) -> PartState | None:
    """Return what an interrupted ingest has read of a part, if it is undamaged.

    Rows without columns that came into use meanwhile are to be read again, and so are those
    of a page that stood at this position before: one that was read again may name another.
    """
    if not entry.is_file():
        return None
    try:
        state = PartState.model_validate(read_json(entry))
    except (IntegrityError, ValidationError):
        return None
    if state.part != part.digest or not state.is_intact():
        return None
    is_current = all(
        pq.read_schema(file.path).names == schema.names
        for file, schema in (
            (state.records, record_schema()),
            (state.rejects, reject_schema()),
        )
    )
    return state if is_current else None


class StagedRecords:
    """The rows of all parts of a source, read part by part; each id counts once.

    Raises:
        IntegrityError: A row that shall stay is not stored, or was read again as well.
    """

    def __init__(
        self, source: str, states: Sequence[PartState], kept: KeptRows | None = None
    ) -> None:
        self.source = source
        self._states = states
        self._kept = kept
        self._keep: list[pa.BooleanArray] = []
        self._duplicates: list[RejectedRecord] = []
        ids = [
            pq.read_table(state.records.path, columns=["material_id"])["material_id"]
            for state in states
        ]
        stored = [] if kept is None else self._check_kept(kept, ids)
        self._n_stored = sum(map(len, stored))
        self._find_duplicates(stored, ids)

    def __len__(self) -> int:
        """Return the number of rows that are in the record table afterwards."""
        return sum(keep.true_count for keep in self._keep) + self._n_stored

    @property
    def n_in(self) -> int:
        """Rows that were read, and stored ones that stay, kept and rejected."""
        n_read = sum(state.n_in for state in self._states)
        if self._kept is None:
            return n_read
        return n_read + self._n_stored + self._kept.rejects.num_rows

    def tables(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Stream the kept rows of each part, some columns or all."""
        # opened here, as the writer that asks for the tables cannot open a table itself
        stored = iter(()) if self._kept is None else self._kept.tables(columns)
        return chain(self._staged_tables(columns), stored)

    def rejects(self) -> pa.Table:
        """Return the rejected rows, those of repeated ids last."""
        tables = [pq.read_table(state.rejects.path) for state in self._states]
        stored = [] if self._kept is None else [self._kept.rejects]
        return pa.concat_tables([*tables, *stored, rejects_table(self._duplicates)])

    def n_dropped(self) -> dict[str, int]:
        """Return the number of labels of each target that rows were kept without."""
        counts: Counter[str] = Counter()
        for state in self._states:
            counts.update(state.n_dropped)
        return dict(sorted(counts.items()))

    def n_labels(self, targets: Sequence[str]) -> dict[str, int]:
        """Return the number of labels of each target."""
        counts: Counter[str] = Counter(dict.fromkeys(targets, 0))
        for table in self.tables(targets):
            for name in targets:
                counts[name] += table.num_rows - table[name].null_count
        return dict(counts)

    def _staged_tables(self, columns: Sequence[str] | None) -> Iterator[pa.Table]:
        names = None if columns is None else list(columns)
        for state, keep in zip(self._states, self._keep, strict=True):
            table = pq.read_table(state.records.path, columns=names)
            yield table if keep.false_count == 0 else table.filter(keep)

    def _check_kept(
        self, kept: KeptRows, staged: Sequence[pa.ChunkedArray]
    ) -> list[pa.ChunkedArray]:
        """Return the ids of stored records that stay; each is stored, and not read.

        A file may well hold an id of another that stays: such a row is a duplicate.
        """
        n_missing, n_twice = kept.missing(), 0
        if kept.origins is None:
            n_twice = sum(
                pc.sum(pc.is_in(ids, value_set=kept.material_ids)).as_py() or 0
                for ids in staged
            )
        if n_missing or n_twice:
            raise IntegrityError(
                f"source {self.source}: of the rows that shall stay {n_missing} are not "
                f"stored and {n_twice} were read again; ingest the source again"
            )
        return [table["material_id"] for table in kept.tables(["material_id"])]

    def _find_duplicates(
        self, stored: Sequence[pa.ChunkedArray], staged: Sequence[pa.ChunkedArray]
    ) -> None:
        """Keep the first row of every id, a stored one before others; reject the rest."""
        parts = [*stored, *staged]
        if not staged:
            return
        ids = pa.chunked_array(
            [chunk for part in parts for chunk in part.chunks], pa.string()
        ).combine_chunks()
        codes = ids.dictionary_encode().indices.to_numpy()  # in order of first appearance
        is_first = np.diff(np.maximum.accumulate(codes), prepend=-1) > 0
        firsts = np.flatnonzero(is_first)
        for row in np.flatnonzero(~is_first):
            self._duplicates.append(self._reject(ids[row].as_py(), firsts[codes[row]]))
        ends = np.cumsum([len(part) for part in parts])[:-1]
        self._keep = [pa.array(part) for part in np.split(is_first, ends)][len(stored) :]

    def _reject(self, material_id: str, first: int) -> RejectedRecord:
        n_new = first - self._n_stored
        place = f"at position {n_new}" if n_new >= 0 else "of unchanged files"
        message = (
            f"{material_id}: id occurs again (first among the kept rows {place}); give "
            "every row its own id"
        )
        return RejectedRecord(
            self.source, material_id, INGEST_STAGE, "duplicate_id", message
        )


def _write(path: Path, table: pa.Table) -> FileRef:
    write_table(path, table)
    return FileRef.of(path, n_rows=table.num_rows)
