"""Which graphs go into which batch: even batches, an edge budget, buckets of like size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def even_batches(order: NDArray[np.int64], batch_size: int) -> list[NDArray[np.int64]]:
    """Cut an order, shape (n_graphs,), into as few and even batches as the size allows."""
    if not len(order):
        return []
    return np.array_split(order, -(-len(order) // batch_size))


def edge_budget_batches(
    order: NDArray[np.int64], n_edges: NDArray[np.integer], max_edges: int
) -> list[NDArray[np.int64]]:
    """Cut an order into batches of at most so many edges, which bounds memory.

    A graph that has more edges alone is a batch of its own, so that none is left out. The
    order, shape (n_graphs,), holds positions; `n_edges` is of every graph of the data set.
    """
    ends = np.cumsum(n_edges[order], dtype=np.int64)
    batches = []
    start, spent = 0, 0
    while start < len(order):
        stop = max(int(np.searchsorted(ends, spent + max_edges, side="right")), start + 1)
        batches.append(order[start:stop])
        start, spent = stop, int(ends[stop - 1])
    return batches


def bucketed_order(
    n_edges: NDArray[np.integer], bucket_size: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draw a random order in which neighbours have about as many edges.

    Graphs are shuffled, cut into buckets, and sorted by edges within each, every other
    bucket downwards, so that batches cut from the order hold graphs of like size. Shuffle
    the batches afterwards if their order matters.

    Args:
        n_edges: Edges of every graph, shape (n_graphs,).
        bucket_size: Graphs per bucket, many batches; the larger, the more alike.
        rng: Source of randomness.

    Returns:
        Every position once, shape (n_graphs,).
    """
    order = rng.permutation(len(n_edges))
    pieces = []
    for index, start in enumerate(range(0, len(order), bucket_size)):
        bucket = order[start : start + bucket_size]
        bucket = bucket[np.argsort(n_edges[bucket], kind="stable")]
        pieces.append(bucket[::-1] if index % 2 else bucket)
    return np.concatenate([np.empty(0, np.int64), *pieces])
