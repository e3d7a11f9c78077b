"""Graph columns as plain files mapped into memory: any order, for data of any size."""

from __future__ import annotations

import json
import logging
import shutil
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from crystalgnn_core.base import digest_of_strings
from crystalgnn_core.errors import IntegrityError
from crystalgnn_core.graphs.batches import GraphColumns, GraphDataset, columns_of
from crystalgnn_core.storage.files import (
    FileRef,
    atomic_directory,
    file_sha256,
    read_json,
    write_text,
)
from crystalgnn_core.storage.locks import locked
from crystalgnn_core.storage.rows import missing_structures
from crystalgnn_core.storage.shards import MAPPED, ShardSet

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import DTypeLike, NDArray

logger = logging.getLogger(__name__)
INDEX = "index.json"
LOCK_SECONDS = 600  # ten million graphs are laid out in some minutes


class Layout(NamedTuple):
    """Type and shape of what a file holds for an atom, edge or graph."""

    dtype: DTypeLike
    shape: tuple[int, ...] = ()


LAYOUTS = {
    "atomic_numbers": Layout(np.uint8),
    "lattices": Layout(np.float64, (3, 3)),
    "frac_coords": Layout(np.float32, (3,)),
    "degree": Layout(np.uint16),
    "neighbor": Layout(np.uint16),
    "cell_offset": Layout(np.int8, (3,)),
    "atom_offsets": Layout(np.int64),
    "edge_offsets": Layout(np.int64),
}


def map_graphs(folder: Path, digests: Sequence[str]) -> GraphDataset:
    """Map the graphs of the given structures, in the given order.

    The columns of all shards are laid end to end in files of their own, once for as long
    as the shards are the same, and verified when they are opened. The system keeps in
    memory what fits, and processes share it. Repeated structures are repeated.

    Raises:
        IntegrityError: A structure is in no sound shard.
        TransientError: Another process lays out the columns for too long.
    """
    with laid_out(folder, digests) as (target, places):
        return GraphDataset(list(digests), _open(target), places)


@contextmanager
def laid_out(
    folder: Path, digests: Sequence[str]
) -> Iterator[tuple[Path, NDArray[np.int64]]]:
    """Lay the columns of all shards end to end in files, and keep these for the block.

    Yields:
        Folder of the files, and where each of the given structures stands in them.

    Raises:
        IntegrityError: A structure is in no sound shard.
        TransientError: Another process lays out the columns for too long.
    """
    shards = ShardSet(folder)
    entries = shards.intact_entries()
    keys = [pa.array(shards.manifest.keys(entry.name), pa.string()) for entry in entries]
    held = pa.chunked_array(keys, pa.string())
    places = pc.index_in(pa.array(digests, pa.string()), value_set=held)
    if places.null_count or not len(places):
        raise missing_structures(digests, set(held.to_pylist()), where=str(folder))
    positions = places.to_numpy(zero_copy_only=False).astype(np.int64)
    target = folder / MAPPED / digest_of_strings(entry.sha256 for entry in entries)
    with locked(folder / "jobs" / f"{MAPPED}.lock", timeout=LOCK_SECONDS):
        if not _is_intact(target):
            paths = [shards.manifest.shard_path(entry.name) for entry in entries]
            _write(target, _row_groups(paths))
        for other in target.parent.iterdir():
            if other != target:
                shutil.rmtree(other, ignore_errors=True)  # who has mapped it keeps it
        yield target, positions


def _is_intact(target: Path) -> bool:
    try:
        index = read_json(target / INDEX)
        refs = [
            FileRef(path=str(column_file(target, name)), **index[name]) for name in LAYOUTS
        ]
    except (IntegrityError, KeyError, TypeError, ValueError):
        return False
    return all(ref.is_intact() for ref in refs)


def _row_groups(paths: Sequence[Path]) -> Iterator[pa.Table]:
    """Read shards, one row group in memory at a time."""
    for path in paths:
        with pq.ParquetFile(path) as file:
            for index in range(file.num_row_groups):
                yield file.read_row_group(index)


def _write(target: Path, tables: Iterable[pa.Table]) -> None:
    """Write the columns of some tables of graphs, one after the other."""
    with atomic_directory(target) as folder:
        with ExitStack() as stack:
            files = {
                name: stack.enter_context(column_file(folder, name).open("wb"))
                for name in LAYOUTS
            }
            ends = {"atom_offsets": 0, "edge_offsets": 0}
            for name in ends:
                files[name].write(np.zeros(1, np.int64).tobytes())
            for table in tables:
                for name, values in columns_of(table)._asdict().items():
                    if name in ends:
                        files[name].write((values[1:] + ends[name]).tobytes())
                        ends[name] += int(values[-1])
                    else:
                        files[name].write(np.ascontiguousarray(values).tobytes())
        index = {
            name: {
                "sha256": file_sha256(column_file(folder, name)),
                "n_bytes": column_file(folder, name).stat().st_size,
            }
            for name in LAYOUTS
        }
        write_text(folder / INDEX, json.dumps(index, indent=1))
    logger.info("mapped the columns of %s", target.parent.parent)


def _open(target: Path) -> GraphColumns:
    columns = {}
    for name, layout in LAYOUTS.items():
        path = column_file(target, name)
        if path.stat().st_size:
            values = np.asarray(np.memmap(path, dtype=layout.dtype, mode="r"))
        else:  # no system maps an empty file
            values = np.empty(0, layout.dtype)
            values.flags.writeable = False
        columns[name] = values.reshape(-1, *layout.shape)
    return GraphColumns(**columns)


def column_file(folder: Path, name: str) -> Path:
    """Return the file of one of `LAYOUTS`."""
    return folder / f"{name}.bin"
