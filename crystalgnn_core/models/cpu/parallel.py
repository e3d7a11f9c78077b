"""Predictions of a batch on several threads, each with crystals of its own."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING

import torch
from torch_geometric.data import Batch

from crystalgnn_core.models.adjacency import Adjacency

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

FEWEST_EDGES = 2000  # that are worth a thread


class Parallel:
    """Cut a batch between crystals, and predict each part on a thread.

    No prediction depends on the other crystals of a batch, so a thread goes from the first
    layer to the last without waiting for another one. Inside of it torch has one thread.

    Args:
        form: Maps a batch to predictions, shape (n_graphs, n_targets), on the CPU.
    """

    def __init__(self, form: Callable[[Batch], Tensor]) -> None:
        self.form = form

    def __call__(self, batch: Batch) -> Tensor:
        """Return predictions on the model's internal scale, shape (n_graphs, n_targets)."""
        n_parts = min(torch.get_num_threads(), batch.edge_index.shape[1] // FEWEST_EDGES)
        parts = split_batch(batch, n_parts) if n_parts > 1 else [batch]
        if len(parts) == 1:
            return self._predict(batch)
        pool = _pool(torch.get_num_threads())
        return torch.cat(list(pool.map(self._predict, parts)))

    def _predict(self, batch: Batch) -> Tensor:
        with torch.inference_mode():
            return self.form(batch)


def split_batch(batch: Batch, n_parts: int) -> list[Batch]:
    """Cut a batch between crystals into parts of about equal numbers of edges.

    Args:
        batch: Fields as `crystalgnn_core.graphs.batches.GraphDataset.batch` makes them.
        n_parts: Most parts; there are fewer where crystals are few.
    """
    adjacency = Adjacency.of(batch.edge_index[0], batch.degree, batch.ptr)
    return [_part(batch, adjacency, *span) for span in adjacency.spans(n_parts)]


def _part(batch: Batch, adjacency: Adjacency, begin: int, end: int) -> Batch:
    """Return the crystals between two atoms, with atoms counted from 0."""
    edges = slice(int(adjacency.first[begin]), int(adjacency.first[end]))
    first, last = torch.searchsorted(batch.ptr, torch.tensor([begin, end])).tolist()
    return Batch(
        atomic_numbers=batch.atomic_numbers[begin:end],
        edge_index=batch.edge_index[:, edges] - begin,
        edge_vector=batch.edge_vector[edges],
        cell_offset=batch.cell_offset[edges],
        degree=batch.degree[begin:end],
        lattice=batch.lattice[first:last],
        frac_coords=batch.frac_coords[begin:end],
        batch=batch.batch[begin:end] - first,
        ptr=batch.ptr[first : last + 1] - begin,
        num_nodes=end - begin,
    )


_making = threading.Lock()


def _pool(n_threads: int) -> ThreadPoolExecutor:
    """Return threads in which torch has one thread each, shared by all callers."""
    with _making:
        return _make_pool(n_threads)


@cache
def _make_pool(n_threads: int) -> ThreadPoolExecutor:
    """Start threads in which torch has one thread each.

    torch takes the number last set in any thread for the threads that are yet to come, so
    it is set again in the calling one when all are there.
    """
    all_are_there = threading.Barrier(n_threads + 1)

    def use_one_thread() -> None:
        torch.get_num_threads()  # else its first operation would ask for that of the others
        torch.set_num_threads(1)
        all_are_there.wait()

    pool = ThreadPoolExecutor(
        n_threads, thread_name_prefix="crystalgnn-predict", initializer=use_one_thread
    )
    for _ in range(n_threads):
        pool.submit(int)
    all_are_there.wait()
    torch.set_num_threads(n_threads)
    return pool
