"""Batches from shards that together are larger than memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from crystalgnn_core.errors import IntegrityError
from crystalgnn_core.graphs.batches import GraphDataset
from crystalgnn_core.graphs.sampling import edge_budget_batches, even_batches
from crystalgnn_core.parallel import prefetch
from crystalgnn_core.storage.shards import KEY, ShardSet

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from torch_geometric.data import Batch


class _Chunk(NamedTuple):
    """A row group of a shard: what is read at once."""

    path: Path
    row_group: int
    first: int
    n_rows: int


class GraphStream:
    """All graphs of a folder of shards, read piece by piece.

    Graphs have positions, in order of shard name and row, by which labels can be aligned:
    `labels[positions]` belongs to a batch. Graphs of structures that no record has any more
    are left out, and so are repetitions of a structure.

    Args:
        folder: Folder of graph shards.
        buffer_size: Graphs that are in memory and shuffled together, twice while the next
            ones are being read.

    Raises:
        IntegrityError: There is no sound shard.
    """

    def __init__(self, folder: Path, *, buffer_size: int = 20_000) -> None:
        shards = ShardSet(folder)
        self._manifest = shards.manifest
        self._names = [entry.name for entry in shards.intact_entries() if entry.n_rows]
        if not self._names:
            raise IntegrityError(f"{folder}: no sound shard; run the stage that makes it")
        self._chunks = list(self._row_groups())
        self._is_live = self._find_live()
        self.buffer_size = buffer_size

    def __len__(self) -> int:
        """Return the number of positions, those of superseded graphs included."""
        return self._chunks[-1].first + self._chunks[-1].n_rows

    def digests(self) -> pa.ChunkedArray:
        """Return the structure digest of every position."""
        paths = map(self._manifest.shard_path, self._names)
        return pa.concat_tables(pq.read_table(path, columns=[KEY]) for path in paths)[KEY]

    def batches(
        self,
        batch_size: int = 256,
        *,
        max_edges: int | None = None,
        seed: int | tuple[int, ...] | None = None,
    ) -> Iterator[tuple[NDArray[np.int64], Batch]]:
        """Yield (positions, batch) over all graphs, once each.

        Row groups are drawn at random from all shards until the buffer is full, shuffled
        together, and cut into batches, while a thread reads the next.

        Args:
            batch_size: Most graphs per batch.
            max_edges: Most edges per batch, in place of the batch size.
            seed: Seed of the order, such as (seed, epoch); None keeps the stored order.
        """
        # two generators, because the buffers are drawn in another thread
        rngs = (None, None) if seed is None else np.random.default_rng(seed).spawn(2)
        for positions, dataset in prefetch(self._buffers(rngs[0])):
            order = np.arange(len(dataset))
            if rngs[1] is not None:
                rngs[1].shuffle(order)
            if max_edges is None:
                pieces = even_batches(order, batch_size)
            else:
                pieces = edge_budget_batches(order, dataset.n_edges, max_edges)
            for chosen in pieces:
                yield positions[chosen], dataset.batch(chosen)

    def _find_live(self) -> NDArray[np.bool_]:
        """Return which positions hold a live structure for the first time.

        An interrupted compaction leaves structures in two shards.
        """
        keys = self.digests().combine_chunks()
        codes = keys.dictionary_encode().indices.to_numpy()
        is_live = np.zeros(len(keys), dtype=bool)
        is_live[np.unique(codes, return_index=True)[1]] = True
        superseded = pa.array(sorted(self._manifest.tombstones()), pa.string())
        return is_live & ~pc.is_in(keys, superseded).to_numpy(zero_copy_only=False)

    def _row_groups(self) -> Iterator[_Chunk]:
        first = 0
        for name in self._names:
            path = self._manifest.shard_path(name)
            metadata = pq.read_metadata(path)
            for index in range(metadata.num_row_groups):
                n_rows = metadata.row_group(index).num_rows
                yield _Chunk(path, index, first, n_rows)
                first += n_rows

    def _buffers(
        self, rng: np.random.Generator | None
    ) -> Iterator[tuple[NDArray[np.int64], GraphDataset]]:
        """Yield positions and graphs, a buffer at a time."""
        order = np.arange(len(self._chunks))
        if rng is not None:
            rng.shuffle(order)
        held: list[_Chunk] = []
        for index in order:
            held.append(self._chunks[index])
            if sum(chunk.n_rows for chunk in held) >= self.buffer_size:
                yield self._read(held)
                held = []
        if held:
            yield self._read(held)

    def _read(self, chunks: list[_Chunk]) -> tuple[NDArray[np.int64], GraphDataset]:
        tables, positions = [], []
        for chunk in chunks:
            with pq.ParquetFile(chunk.path, memory_map=True) as file:
                table = file.read_row_group(chunk.row_group)
            own = np.arange(chunk.first, chunk.first + chunk.n_rows)
            is_live = self._is_live[own]
            if not is_live.all():
                table, own = table.filter(pa.array(is_live)), own[is_live]
            tables.append(table)
            positions.append(own)
        return np.concatenate(positions), GraphDataset.from_table(pa.concat_tables(tables))
