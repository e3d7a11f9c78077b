"""Graphs in columns, and PyG batches assembled from them without an object per graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow.compute as pc
import torch
from torch_geometric.data import Batch

from crystalgnn_core.compiled import compiled
from crystalgnn_core.storage.shards import KEY, ShardSet

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pyarrow as pa
    from numpy.typing import NDArray


class GraphColumns(NamedTuple):
    """All graphs of a data set, laid end to end.

    Attributes:
        atomic_numbers: Shape (n_atoms,), uint8.
        lattices: Row vectors in angstrom, shape (n_graphs, 3, 3), float64.
        frac_coords: Shape (n_atoms, 3), float32.
        degree: Edges of every atom, shape (n_atoms,), uint16.
        neighbor: Atom within the graph, grouped by centre, shape (n_edges,), uint16.
        cell_offset: Shape (n_edges, 3), int8.
        atom_offsets: First atom of each graph and the end, shape (n_graphs + 1,), int64.
        edge_offsets: First edge of each graph and the end, shape (n_graphs + 1,), int64.
    """

    atomic_numbers: NDArray[np.uint8]
    lattices: NDArray[np.float64]
    frac_coords: NDArray[np.float32]
    degree: NDArray[np.uint16]
    neighbor: NDArray[np.uint16]
    cell_offset: NDArray[np.int8]
    atom_offsets: NDArray[np.int64]
    edge_offsets: NDArray[np.int64]


class GraphDataset:
    """Graphs addressed by position, handed out as PyG batches.

    Args:
        digests: Structure digest of each graph.
        columns: Columns that hold these graphs, and perhaps others.
        places: Where each graph stands in the columns, shape (n_graphs,); None when they
            stand there in order.
    """

    def __init__(
        self,
        digests: list[str],
        columns: GraphColumns,
        places: NDArray[np.int64] | None = None,
    ) -> None:
        self.digests = digests
        self.columns = columns
        self._places = places

    @classmethod
    def from_table(cls, table: pa.Table) -> GraphDataset:
        """Take rows as `crystalgnn_core.graphs.shards.graph_table` writes them."""
        return cls(table[KEY].to_pylist(), columns_of(table))

    @classmethod
    def from_shards(cls, folder: Path, digests: Sequence[str]) -> GraphDataset:
        """Load the graphs of the given structures, in the given order.

        Raises:
            IntegrityError: A structure is in no sound shard.
        """
        return cls.from_table(ShardSet(folder).read(digests))

    def __len__(self) -> int:
        """Return the number of graphs."""
        return len(self.digests)

    @property
    def n_edges(self) -> NDArray[np.int64]:
        """Edges of every graph, shape (n_graphs,)."""
        counts = np.diff(self.columns.edge_offsets)
        return counts if self._places is None else counts[self._places]

    def compositions(
        self, order: NDArray[np.int64] | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the atomic numbers of graphs end to end, and where each graph begins."""
        chosen = np.arange(len(self)) if order is None else order
        if self._places is not None:
            chosen = self._places[chosen]
        starts = self.columns.atom_offsets[chosen]
        sizes = self.columns.atom_offsets[chosen + 1] - starts
        pointer = np.concatenate([[0], sizes.cumsum(dtype=np.int64)])
        atoms = np.arange(pointer[-1]) + np.repeat(starts - pointer[:-1], sizes)
        return self.columns.atomic_numbers[atoms].astype(np.int64), pointer

    def volumes(self, order: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
        """Return the volumes per atom of graphs, in cubic angstrom, shape (n_graphs,)."""
        chosen = np.arange(len(self)) if order is None else order
        if self._places is not None:
            chosen = self._places[chosen]
        sizes = self.columns.atom_offsets[chosen + 1] - self.columns.atom_offsets[chosen]
        return np.abs(np.linalg.det(self.columns.lattices[chosen])) / sizes

    def batch(self, indices: NDArray[np.int64]) -> Batch:
        """Assemble graphs into one batch, in the given order.

        Returns:
            A PyG batch with the fields that
            `crystalgnn_core.models.network.Network.forward` lists.
        """
        chosen = np.array(indices, dtype=np.int64)
        if self._places is not None:
            chosen = self._places[chosen]
        arrays = _assemble(chosen, self.columns)
        return Batch(
            **{name: torch.from_numpy(array) for name, array in arrays._asdict().items()},
            num_nodes=len(arrays.atomic_numbers),
        )

    def batches(
        self, batch_size: int, *, order: NDArray[np.int64] | None = None
    ) -> Iterator[tuple[NDArray[np.int64], Batch]]:
        """Yield (positions, batch) over the data set, in the given order."""
        positions = np.arange(len(self)) if order is None else order
        starts = range(0, len(positions), batch_size)
        return self.assemble([positions[at : at + batch_size] for at in starts])

    def assemble(
        self, batches: Sequence[NDArray[np.int64]]
    ) -> Iterator[tuple[NDArray[np.int64], Batch]]:
        """Yield the positions of each batch, and the batch."""
        for chosen in batches:
            yield chosen, self.batch(chosen)


def columns_of(table: pa.Table) -> GraphColumns:
    """Return the columns of a table of graphs, without copying those of a single chunk."""
    numbers, atom_offsets = _flatten(table, "atomic_numbers")
    neighbor, edge_offsets = _flatten(table, "neighbor")
    return GraphColumns(
        atomic_numbers=numbers,
        lattices=_flatten(table, "lattice")[0].reshape(-1, 3, 3),
        frac_coords=_flatten(table, "frac_coords")[0].reshape(-1, 3),
        degree=_flatten(table, "degree")[0],
        neighbor=neighbor,
        cell_offset=_flatten(table, "cell_offset")[0].reshape(-1, 3),
        atom_offsets=atom_offsets,
        edge_offsets=edge_offsets,
    )


def _flatten(table: pa.Table, name: str) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return the values of a list column, and where each row's begin and all end.

    Chunk by chunk, because the values of all rows may be too many for one Arrow list array.
    """
    chunks = table[name].chunks
    sizes = [pc.list_value_length(chunk).to_numpy(zero_copy_only=False) for chunk in chunks]
    offsets = np.concatenate([[0], *sizes]).cumsum(dtype=np.int64)
    dtype = table.schema.field(name).type.value_type.to_pandas_dtype()
    values = [chunk.flatten().to_numpy() for chunk in chunks]
    flat = values[0] if len(values) == 1 else np.concatenate([np.empty(0, dtype), *values])
    flat = flat.view()
    flat.flags.writeable = False  # one kernel serves borrowed and own memory
    return flat, offsets


class _Arrays(NamedTuple):
    """What a batch is made of; the names are those of the batch fields."""

    atomic_numbers: NDArray[np.int64]
    edge_index: NDArray[np.int64]
    edge_vector: NDArray[np.float32]
    cell_offset: NDArray[np.int8]
    degree: NDArray[np.int64]
    lattice: NDArray[np.float32]
    frac_coords: NDArray[np.float32]
    batch: NDArray[np.int64]
    ptr: NDArray[np.int64]


@compiled
def _allocate(indices: NDArray[np.int64], columns: GraphColumns) -> _Arrays:
    pointer = np.zeros(len(indices) + 1, dtype=np.int64)
    n_edges = 0
    for slot, graph in enumerate(indices):
        n_atoms = columns.atom_offsets[graph + 1] - columns.atom_offsets[graph]
        pointer[slot + 1] = pointer[slot] + n_atoms
        n_edges += columns.edge_offsets[graph + 1] - columns.edge_offsets[graph]
    return _Arrays(
        np.empty(pointer[-1], dtype=np.int64),
        np.empty((2, n_edges), dtype=np.int64),
        np.empty((n_edges, 3), dtype=np.float32),
        np.empty((n_edges, 3), dtype=np.int8),
        np.empty(pointer[-1], dtype=np.int64),
        np.empty((len(indices), 3, 3), dtype=np.float32),
        np.empty((pointer[-1], 3), dtype=np.float32),
        np.empty(pointer[-1], dtype=np.int64),
        pointer,
    )


@compiled
def _assemble(indices: NDArray[np.int64], columns: GraphColumns) -> _Arrays:
    arrays = _allocate(indices, columns)
    fracs, offsets = columns.frac_coords, columns.cell_offset
    at = 0
    for slot, graph in enumerate(indices):
        first = columns.atom_offsets[graph]
        edge = columns.edge_offsets[graph]
        cell = columns.lattices[graph]
        base = arrays.ptr[slot]
        for vector in range(3):
            for axis in range(3):
                arrays.lattice[slot, vector, axis] = cell[vector, axis]
        for center in range(columns.atom_offsets[graph + 1] - first):
            row = base + center
            here = first + center
            arrays.atomic_numbers[row] = columns.atomic_numbers[here]
            arrays.degree[row] = columns.degree[here]
            arrays.batch[row] = slot
            for axis in range(3):
                arrays.frac_coords[row, axis] = fracs[here, axis]
            for _ in range(columns.degree[here]):
                other = np.int64(columns.neighbor[edge])
                there = first + other
                arrays.edge_index[0, at] = base + other
                arrays.edge_index[1, at] = row
                x = np.float64(fracs[there, 0]) - fracs[here, 0] + offsets[edge, 0]
                y = np.float64(fracs[there, 1]) - fracs[here, 1] + offsets[edge, 1]
                z = np.float64(fracs[there, 2]) - fracs[here, 2] + offsets[edge, 2]
                for axis in range(3):
                    arrays.cell_offset[at, axis] = offsets[edge, axis]
                    arrays.edge_vector[at, axis] = (
                        x * cell[0, axis] + y * cell[1, axis] + z * cell[2, axis]
                    )
                edge += 1
                at += 1
    return arrays
