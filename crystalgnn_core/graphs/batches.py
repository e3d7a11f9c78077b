"""Graphs in columns, and PyG batches assembled from them without an object per graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numba import njit
from torch_geometric.data import Batch

from crystalgnn_core.shardset import KEY, ShardSet

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
        table: Rows as `crystalgnn_core.graphs.shards.graph_table` writes them.
    """

    def __init__(self, table: pa.Table) -> None:
        self.digests: list[str] = table[KEY].to_pylist()
        numbers, atom_offsets = _flatten(table, "atomic_numbers")
        neighbor, edge_offsets = _flatten(table, "neighbor")
        self.columns = GraphColumns(
            atomic_numbers=numbers,
            lattices=_flatten(table, "lattice")[0].reshape(-1, 3, 3),
            frac_coords=_flatten(table, "frac_coords")[0].reshape(-1, 3),
            degree=_flatten(table, "degree")[0],
            neighbor=neighbor,
            cell_offset=_flatten(table, "cell_offset")[0].reshape(-1, 3),
            atom_offsets=atom_offsets,
            edge_offsets=edge_offsets,
        )

    @classmethod
    def from_shards(cls, folder: Path, digests: Sequence[str]) -> GraphDataset:
        """Load the graphs of the given structures, in the given order.

        Raises:
            IntegrityError: A structure is in no sound shard.
        """
        return cls(ShardSet(folder).read(digests))

    def __len__(self) -> int:
        """Return the number of graphs."""
        return len(self.digests)

    def batch(self, indices: NDArray[np.int64]) -> Batch:
        """Assemble graphs into one batch, in the given order.

        Returns:
            A PyG batch with `atomic_numbers` (n_atoms,), `edge_index` (2, n_edges) from
            neighbour to centre, grouped by centre, `edge_vector` (n_edges, 3) in angstrom
            from centre to neighbour image, `cell_offset` (n_edges, 3), `degree`
            (n_atoms,), `batch` (n_atoms,) and `ptr` (n_graphs + 1,).
        """
        arrays = _assemble(np.asarray(indices, dtype=np.int64), *self.columns)
        numbers, edge_index, vector, offset, degree, owner, pointer = map(
            torch.from_numpy, arrays
        )
        return Batch(
            atomic_numbers=numbers,
            edge_index=edge_index,
            edge_vector=vector,
            cell_offset=offset,
            degree=degree,
            batch=owner,
            ptr=pointer,
            num_nodes=len(numbers),
        )

    def batches(
        self, batch_size: int, *, order: NDArray[np.int64] | None = None
    ) -> Iterator[tuple[NDArray[np.int64], Batch]]:
        """Yield (positions, batch) over the data set, in the given order."""
        positions = np.arange(len(self)) if order is None else order
        for start in range(0, len(positions), batch_size):
            chosen = positions[start : start + batch_size]
            yield chosen, self.batch(chosen)


def _flatten(table: pa.Table, name: str) -> tuple[NDArray[np.generic], NDArray[np.int64]]:
    column = table[name].combine_chunks()
    offsets = column.offsets.to_numpy().astype(np.int64)
    return column.flatten().to_numpy(), offsets - offsets[0]


@njit(nogil=True, cache=True)
def _assemble(  # type: ignore[no-untyped-def] # noqa: ANN202, PLR0917, PLR0914  numba infers
    indices,  # noqa: ANN001
    numbers,  # noqa: ANN001
    lattices,  # noqa: ANN001
    fracs,  # noqa: ANN001
    degrees,  # noqa: ANN001
    neighbors,  # noqa: ANN001
    offsets,  # noqa: ANN001
    atom_offsets,  # noqa: ANN001
    edge_offsets,  # noqa: ANN001
):
    n_graphs = len(indices)
    pointer = np.zeros(n_graphs + 1, dtype=np.int64)
    n_edges = 0
    for slot in range(n_graphs):
        graph = indices[slot]
        pointer[slot + 1] = pointer[slot] + atom_offsets[graph + 1] - atom_offsets[graph]
        n_edges += edge_offsets[graph + 1] - edge_offsets[graph]
    n_atoms = pointer[n_graphs]
    z = np.empty(n_atoms, dtype=np.int64)
    degree = np.empty(n_atoms, dtype=np.int64)
    owner = np.empty(n_atoms, dtype=np.int64)
    edge_index = np.empty((2, n_edges), dtype=np.int64)
    vector = np.empty((n_edges, 3), dtype=np.float32)
    offset = np.empty((n_edges, 3), dtype=np.int8)
    at = 0
    for slot in range(n_graphs):
        graph = indices[slot]
        first = atom_offsets[graph]
        edge = edge_offsets[graph]
        cell = lattices[graph]
        base = pointer[slot]
        for center in range(atom_offsets[graph + 1] - first):
            row = base + center
            z[row] = numbers[first + center]
            degree[row] = degrees[first + center]
            owner[row] = slot
            for _ in range(degrees[first + center]):
                other = np.int64(neighbors[edge])
                edge_index[0, at] = base + other
                edge_index[1, at] = row
                x = np.float64(fracs[first + other, 0]) - fracs[first + center, 0]
                y = np.float64(fracs[first + other, 1]) - fracs[first + center, 1]
                w = np.float64(fracs[first + other, 2]) - fracs[first + center, 2]
                x += offsets[edge, 0]
                y += offsets[edge, 1]
                w += offsets[edge, 2]
                for axis in range(3):
                    offset[at, axis] = offsets[edge, axis]
                    vector[at, axis] = (
                        x * cell[0, axis] + y * cell[1, axis] + w * cell[2, axis]
                    )
                edge += 1
                at += 1
    return z, edge_index, vector, offset, degree, owner, pointer
