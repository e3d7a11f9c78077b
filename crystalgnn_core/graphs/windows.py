"""Graphs in files, of which as many are in memory as it may hold: any order, exactly."""

from __future__ import annotations

import logging
from itertools import pairwise
from threading import Lock
from typing import TYPE_CHECKING, BinaryIO
from weakref import finalize

import numpy as np
import pyarrow.parquet as pq

from crystalgnn_core.errors import IntegrityError
from crystalgnn_core.graphs.batches import GraphColumns, GraphDataset
from crystalgnn_core.graphs.mapped import LAYOUTS, Layout, column_file, laid_out
from crystalgnn_core.storage.shards import ShardSet

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch_geometric.data import Batch

logger = logging.getLogger(__name__)
OFFSETS = ("atom_offsets", "edge_offsets")
OF_EDGES = ("neighbor", "cell_offset")
OF_GRAPHS = ("lattices",)
VALUES = tuple(name for name in LAYOUTS if name not in OFFSETS)


class GraphFiles(GraphDataset):
    """Graphs in column files, of which a window is in memory at a time.

    Which batches come is known beforehand. As many as fit are read at once, in the order of
    the files; so the rows are shuffled as thoroughly as in memory, and the batches are the
    same. The files are read and not mapped, which a limit of the address space allows.

    Args:
        digests: Structure digest of each graph.
        target: Folder of the files.
        places: Where each graph stands in the files, shape (n_graphs,).
        window_bytes: Memory of a window; a batch that is larger is a window of its own.
    """

    def __init__(
        self,
        digests: list[str],
        target: Path,
        places: NDArray[np.int64],
        window_bytes: int,
    ) -> None:
        offsets = {
            name: np.fromfile(column_file(target, name), np.int64) for name in OFFSETS
        }
        # who has opened them keeps them when they are removed
        self._files = {name: column_file(target, name).open("rb") for name in VALUES}
        for file in self._files.values():
            finalize(self, file.close)
        self._lock = Lock()
        self._window_bytes = window_bytes
        self._all = places
        super().__init__(digests, _columns({}, **offsets), places)

    def batch(self, indices: NDArray[np.int64]) -> Batch:
        """Assemble graphs into one batch, in the given order, from the files."""
        chosen = np.array(indices, dtype=np.int64)
        return self.load(chosen).batch(np.arange(len(chosen)))

    def assemble(
        self, batches: Sequence[NDArray[np.int64]]
    ) -> Iterator[tuple[NDArray[np.int64], Batch]]:
        """Yield the positions of each batch, and the batch, a window after the other."""
        sizes = graph_bytes(self.columns)[self._all]
        ends = np.cumsum([int(sizes[chosen].sum()) for chosen in batches])
        start, spent = 0, 0
        while start < len(batches):
            fits = int(np.searchsorted(ends, spent + self._window_bytes, side="right"))
            stop = max(fits, start + 1)
            yield from self._window(batches[start:stop])
            start, spent = stop, int(ends[stop - 1])

    def _window(
        self, batches: Sequence[NDArray[np.int64]]
    ) -> Iterator[tuple[NDArray[np.int64], Batch]]:
        loaded = self.load(np.concatenate(batches))
        ends = np.cumsum([0, *map(len, batches)])
        for chosen, (start, stop) in zip(batches, pairwise(ends.tolist()), strict=True):
            yield chosen, loaded.batch(np.arange(start, stop))

    def load(
        self, positions: NDArray[np.int64], names: Sequence[str] = VALUES
    ) -> GraphDataset:
        """Read the graphs at some positions into memory, or some columns of them."""
        places, inverse = np.unique(self._all[positions], return_inverse=True)
        of_atoms, of_edges = self.columns.atom_offsets, self.columns.edge_offsets
        values = {}
        for name in names:
            if name in OF_GRAPHS:
                bounds = places, places + 1
            else:
                offsets = of_edges if name in OF_EDGES else of_atoms
                bounds = offsets[places], offsets[places + 1]
            with self._lock:
                values[name] = _gather(self._files[name], LAYOUTS[name], *bounds)
        offsets_of = {name: getattr(self.columns, name) for name in OFFSETS}
        own = {name: _ends(one, places) for name, one in offsets_of.items()}
        digests = [self.digests[position] for position in positions.tolist()]
        return GraphDataset(digests, _columns(values, **own), inverse.astype(np.int64))

    def compositions(
        self, order: NDArray[np.int64] | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the atomic numbers of graphs end to end, and where each graph begins."""
        chosen = np.arange(len(self)) if order is None else order
        return self.load(chosen, ("atomic_numbers",)).compositions()

    def volumes(self, order: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
        """Return the volumes per atom of graphs, in cubic angstrom, shape (n_graphs,)."""
        chosen = np.arange(len(self)) if order is None else order
        return self.load(chosen, ("lattices",)).volumes()


def open_graphs(folder: Path, digests: Sequence[str], window_bytes: int) -> GraphFiles:
    """Open the graphs of the given structures, in the given order, a window at a time.

    Raises:
        IntegrityError: A structure is in no sound shard.
        TransientError: Another process lays out the columns for too long.
    """
    with laid_out(folder, digests) as (target, places):
        return GraphFiles(list(digests), target, places, window_bytes)


def stored_bytes(folder: Path, n_graphs: int) -> int:
    """Return the bytes that so many graphs of a folder have in memory, on average."""
    shards, total, n_rows = ShardSet(folder), 0, 0
    for entry in shards.intact_entries():
        n_rows += entry.n_rows
        metadata = pq.read_metadata(shards.manifest.shard_path(entry.name))
        for group in range(metadata.num_row_groups):
            for index in range(metadata.num_columns):
                column = metadata.row_group(group).column(index)
                width = _WIDTHS.get(column.path_in_schema.partition(".")[0], 0)
                total += width * column.num_values
    return round(total * n_graphs / max(n_rows, 1))


# of a number in the columns of a shard, in which a list holds all coordinates
_WIDTHS = {
    "atomic_numbers": 1,
    "lattice": 8,
    "frac_coords": 4,
    "degree": 2,
    "neighbor": 2,
    "cell_offset": 1,
    "structure_digest": 100,
}


def graph_bytes(columns: GraphColumns) -> NDArray[np.int64]:
    """Return the bytes of each graph in memory, shape (n_graphs,)."""
    per = dict.fromkeys(("atoms", "edges", "graphs"), 0)
    for name in VALUES:
        layout = LAYOUTS[name]
        of = "edges" if name in OF_EDGES else "graphs" if name in OF_GRAPHS else "atoms"
        per[of] += _item(layout)
    n_atoms, n_edges = np.diff(columns.atom_offsets), np.diff(columns.edge_offsets)
    return n_atoms * per["atoms"] + n_edges * per["edges"] + per["graphs"]


def _item(layout: Layout) -> int:
    return int(np.dtype(layout.dtype).itemsize * np.prod(layout.shape, dtype=int))


def _columns(
    values: dict[str, NDArray[np.generic]],
    *,
    atom_offsets: NDArray[np.int64],
    edge_offsets: NDArray[np.int64],
) -> GraphColumns:
    """Make columns of which those that are not given are empty."""
    empty = {
        name: np.empty((0, *LAYOUTS[name].shape), LAYOUTS[name].dtype) for name in VALUES
    }
    made = {**empty, **values}
    for one in made.values():
        one.flags.writeable = False  # as those of a shard: one kernel serves both
    return GraphColumns(**made, atom_offsets=atom_offsets, edge_offsets=edge_offsets)


def _ends(offsets: NDArray[np.int64], places: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where each graph begins, and all end, when they alone lie end to end."""
    sizes = offsets[places + 1] - offsets[places]
    return np.concatenate([[0], sizes.cumsum(dtype=np.int64)])


def _gather(
    file: BinaryIO, layout: Layout, starts: NDArray[np.int64], stops: NDArray[np.int64]
) -> NDArray[np.generic]:
    """Read pieces of a file in ascending order; those that touch are read as one."""
    item = _item(layout)
    found = np.empty((int((stops - starts).sum()), *layout.shape), layout.dtype)
    if not len(found):
        return found
    view = memoryview(found.reshape(-1).view(np.uint8).data)
    is_first = np.concatenate([[True], starts[1:] != stops[:-1]])
    firsts, lasts = starts[is_first], stops[np.roll(is_first, -1)]
    at = 0
    for first, last in zip((firsts * item).tolist(), (lasts * item).tolist(), strict=True):
        end = at + last - first
        file.seek(first)
        if file.readinto(view[at:end]) != end - at:  # type: ignore[attr-defined]  # buffered
            raise IntegrityError(f"{file.name}: cut while it was read; run again")
        at = end
    return found
