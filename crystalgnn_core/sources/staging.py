"""What was read from the parts of a source, kept on disk until it is committed."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from crystalgnn_core.artifacts import FileRef, read_json, write_table, write_text
from crystalgnn_core.base import FrozenModel
from crystalgnn_core.errors import IntegrityError
from crystalgnn_core.records.schema import RejectedRecord, Stage, record_schema
from crystalgnn_core.records.validation import rejects_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

STAGE: Stage = "ingest"


class PartState(FrozenModel):
    """References to what was read from one part."""

    records: FileRef
    rejects: FileRef
    n_in: int

    def is_sound(self) -> bool:
        """Tell whether both files are there and undamaged."""
        return self.records.is_sound() and self.rejects.is_sound()


def write_part(
    entry: Path, records: pa.Table, rejects: Sequence[RejectedRecord], n_in: int
) -> PartState:
    """Write what was read from a part, and the entry that says so last.

    Args:
        entry: Path of the entry, such as `00003.json`; the tables stand beside it.
        records: Rows of the record table.
        rejects: Rejected rows.
        n_in: Rows that the part holds.
    """
    state = PartState(
        records=_write(entry.with_suffix(".records.parquet"), records),
        rejects=_write(entry.with_suffix(".rejects.parquet"), rejects_table(rejects)),
        n_in=n_in,
    )
    write_text(entry, state.model_dump_json())
    return state


def staged_part(entry: Path) -> PartState | None:
    """Return what an interrupted ingest has read of a part, if it is undamaged.

    Rows without columns that came into use meanwhile are to be read again.
    """
    if not entry.is_file():
        return None
    try:
        state = PartState.model_validate(read_json(entry))
    except (IntegrityError, ValidationError):
        return None
    if not state.is_sound():
        return None
    names = pq.read_schema(state.records.path).names
    return state if names == record_schema().names else None


class StagedRecords:
    """The rows of all parts of a source, read part by part; each id counts once.

    Args:
        source: Name of the source.
        states: Its parts, in order.
    """

    def __init__(self, source: str, states: Sequence[PartState]) -> None:
        self.source = source
        self._states = states
        self._keep: list[pa.BooleanArray] = []
        self._duplicates: list[RejectedRecord] = []
        self._find_duplicates()

    def __len__(self) -> int:
        """Return the number of rows that are kept."""
        return sum(keep.true_count for keep in self._keep)

    def tables(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Yield the kept rows of each part, some columns or all."""
        names = None if columns is None else list(columns)
        for state, keep in zip(self._states, self._keep, strict=True):
            table = pq.read_table(state.records.path, columns=names)
            yield table if keep.false_count == 0 else table.filter(keep)

    def rejects(self) -> pa.Table:
        """Return the rejected rows, those of repeated ids last."""
        tables = [pq.read_table(state.rejects.path) for state in self._states]
        return pa.concat_tables([*tables, rejects_table(self._duplicates)])

    def n_labels(self, targets: Sequence[str]) -> dict[str, int]:
        """Return the number of labels of each target."""
        counts: Counter[str] = Counter(dict.fromkeys(targets, 0))
        for table in self.tables(targets):
            for name in targets:
                counts[name] += table.num_rows - table[name].null_count
        return dict(counts)

    def _find_duplicates(self) -> None:
        """Keep the first row of every id and reject the others."""
        if not self._states:
            return
        tables = [
            pq.read_table(state.records.path, columns=["material_id"])
            for state in self._states
        ]
        ids = pa.concat_tables(tables)["material_id"].combine_chunks()
        codes = ids.dictionary_encode().indices.to_numpy()  # in order of first appearance
        is_first = np.diff(np.maximum.accumulate(codes), prepend=-1) > 0
        firsts = np.flatnonzero(is_first)
        for row in np.flatnonzero(~is_first):
            self._duplicates.append(self._reject(ids[row].as_py(), firsts[codes[row]]))
        ends = np.cumsum([table.num_rows for table in tables])[:-1]
        self._keep = [pa.array(part) for part in np.split(is_first, ends)]

    def _reject(self, material_id: str, first: int) -> RejectedRecord:
        message = (
            f"{material_id}: id occurs again (first among the kept rows at position "
            f"{first}); give every row its own id"
        )
        return RejectedRecord(self.source, material_id, STAGE, "duplicate_id", message)


def _write(path: Path, table: pa.Table) -> FileRef:
    write_table(path, table)
    return FileRef.of(path, n_rows=table.num_rows)
