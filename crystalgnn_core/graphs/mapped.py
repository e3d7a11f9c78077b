"""Graph columns as plain files mapped into memory: any order, for data of any size."""

from __future__ import annotations

import json
import logging
import shutil
from contextlib import ExitStack
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
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import DTypeLike

logger = logging.getLogger(__name__)
INDEX = "index.json"
LOCK_SECONDS = 600  # ten million graphs are laid out in some minutes


class _Layout(NamedTuple):
    """Type and shape of what a file holds for an atom, edge or graph."""

    dtype: DTypeLike
    shape: tuple[int, ...] = ()


_LAYOUTS = {
    "atomic_numbers": _Layout(np.uint8),
    "lattices": _Layout(np.float64, (3, 3)),
    "frac_coords": _Layout(np.float32, (3,)),
    "degree": _Layout(np.uint16),
    "neighbor": _Layout(np.uint16),
    "cell_offset": _Layout(np.int8, (3,)),
    "atom_offsets": _Layout(np.int64),
    "edge_offsets": _Layout(np.int64),
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
    shards = ShardSet(folder)
    entries = shards.intact_entries()
    keys = [pa.array(shards.manifest.keys(entry.name), pa.string()) for entry in entries]
    held = pa.chunked_array(keys, pa.string())
    places = pc.index_in(pa.array(digests, pa.string()), value_set=held)
    if places.null_count or not len(places):
        raise missing_structures(digests, set(held.to_pylist()), where=str(folder))
    target = folder / MAPPED / digest_of_strings(entry.sha256 for entry in entries)
    with locked(folder / "jobs" / f"{MAPPED}.lock", timeout=LOCK_SECONDS):
        if not _is_intact(target):
            paths = [shards.manifest.shard_path(entry.name) for entry in entries]
            _write(target, (pq.read_table(path) for path in paths))
        for other in target.parent.iterdir():
            if other != target:
                shutil.rmtree(other, ignore_errors=True)  # who has mapped it keeps it
        columns = _open(target)
    positions = places.to_numpy(zero_copy_only=False).astype(np.int64)
    return GraphDataset(list(digests), columns, positions)


def _is_intact(target: Path) -> bool:
    try:
        index = read_json(target / INDEX)
        refs = [FileRef(path=str(_file(target, name)), **index[name]) for name in _LAYOUTS]
    except (IntegrityError, KeyError, TypeError, ValueError):
        return False
    return all(ref.is_intact() for ref in refs)


def _write(target: Path, shards: Iterable[pa.Table]) -> None:
    """Write the columns of some shards, one shard in memory at a time."""
    with atomic_directory(target) as folder:
        with ExitStack() as stack:
            files = {
                name: stack.enter_context(_file(folder, name).open("wb"))
                for name in _LAYOUTS
            }
            ends = {"atom_offsets": 0, "edge_offsets": 0}
            for name in ends:
                files[name].write(np.zeros(1, np.int64).tobytes())
            for table in shards:
                for name, values in columns_of(table)._asdict().items():
                    if name in ends:
                        files[name].write((values[1:] + ends[name]).tobytes())
                        ends[name] += int(values[-1])
                    else:
                        files[name].write(np.ascontiguousarray(values).tobytes())
        index = {
            name: {
                "sha256": file_sha256(_file(folder, name)),
                "n_bytes": _file(folder, name).stat().st_size,
            }
            for name in _LAYOUTS
        }
        write_text(folder / INDEX, json.dumps(index, indent=1))
    logger.info("mapped the columns of %s", target.parent.parent)


def _open(target: Path) -> GraphColumns:
    columns = {}
    for name, layout in _LAYOUTS.items():
        path = _file(target, name)
        if path.stat().st_size:
            values = np.asarray(np.memmap(path, dtype=layout.dtype, mode="r"))
        else:  # no system maps an empty file
            values = np.empty(0, layout.dtype)
            values.flags.writeable = False
        columns[name] = values.reshape(-1, *layout.shape)
    return GraphColumns(**columns)


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name}.bin"
