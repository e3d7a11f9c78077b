"""Sort streams of Arrow tables that may be larger than memory."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from typing import IO, TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

WINDOW = 100_000  # rows that are sorted in memory at a time


def in_order(
    tables: Iterable[pa.Table], by: Sequence[str], scratch: Path
) -> Iterator[pa.Table]:
    """Sort the rows of a stream of tables by some columns; memory holds a window of them.

    Args:
        tables: Tables of one schema.
        by: Columns to sort by, ascending.
        scratch: Folder for a temporary file with all rows; created if it is missing.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=scratch, prefix=".tmp-", suffix=".arrow") as file:
        keys, ends = _spool(tables, by, file)
        if not ends:
            return
        order = pc.sort_indices(keys, sort_keys=[(name, "ascending") for name in by])
        rank = np.empty(len(keys), np.int64)
        rank[order.to_numpy()] = np.arange(len(keys))
        ranks = np.split(rank, ends[:-1])
        with pa.OSFile(file.name) as stored, pa.ipc.open_file(stored) as reader:
            for first in range(0, len(keys), WINDOW):
                yield _window(reader, ranks, first)


def _spool(
    tables: Iterable[pa.Table], by: Sequence[str], file: IO[bytes]
) -> tuple[pa.Table, list[int]]:
    """Write all rows into a file; return the columns to sort by and where batches end."""
    keys: list[pa.Table] = []
    ends: list[int] = []
    with ExitStack() as stack:
        writer = None
        for table in tables:
            if writer is None:
                writer = stack.enter_context(pa.ipc.new_file(file, table.schema))
            for batch in table.to_batches():
                writer.write_batch(batch)
                ends.append(batch.num_rows + (ends[-1] if ends else 0))
            keys.append(table.select(list(by)))
    file.flush()
    return pa.concat_tables(keys) if keys else pa.table({}), ends


def _window(
    reader: pa.RecordBatchFileReader, ranks: Sequence[NDArray[np.int64]], first: int
) -> pa.Table:
    """Read the rows whose rank lies in one window, in their order."""
    picked, places = [], []
    for index, rank in enumerate(ranks):
        inside = np.flatnonzero((rank >= first) & (rank < first + WINDOW))
        if len(inside):
            picked.append(reader.get_batch(index).take(pa.array(inside)))
            places.append(rank[inside])
    rows = pa.Table.from_batches(picked)
    return rows.take(pa.array(np.argsort(np.concatenate(places))))
