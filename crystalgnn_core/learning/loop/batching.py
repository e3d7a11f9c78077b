"""The batches of each epoch: which rows they hold, and their way to the device."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from crystalgnn_core.graphs.sampling import bucketed_order, edge_budget_batches
from crystalgnn_core.models.merging import merge_equivalent
from crystalgnn_core.parallel import prefetch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import torch
    from numpy.typing import NDArray
    from torch_geometric.data import Batch

    from crystalgnn_core.graphs.batches import GraphDataset
    from crystalgnn_core.learning.config import TrainingConfig


def epoch_batches(
    rows: NDArray[np.int64],
    n_edges: NDArray[np.integer],
    config: TrainingConfig,
    epoch: int,
) -> list[NDArray[np.int64]]:
    """Draw the batches of an epoch, which depend on seed and epoch alone.

    No batch holds a single graph, as long as there are two: the batch norm of a lone atom
    is undefined.

    Args:
        rows: Positions of the training rows, shape (n_rows,).
        n_edges: Edges of every graph of the data set, by position.
        config: Batch size or edge budget (which graphs without edges do not have),
            buckets, seed.
        epoch: Number of the epoch, from 1 on.

    Returns:
        Every row once.
    """
    rng = np.random.default_rng([config.seed, epoch])
    if config.bucket_size:
        order = rows[bucketed_order(n_edges[rows], config.bucket_size, rng)]
    else:
        order = rng.permutation(rows)
    if config.max_edges is None or not n_edges.any():
        n_batches = max(1, min(-(-len(rows) // config.batch_size), len(rows) // 2))
        batches = np.array_split(order, n_batches)
    else:
        batches = _none_alone(edge_budget_batches(order, n_edges, config.max_edges))
    if config.bucket_size:
        batches = [batches[index] for index in rng.permutation(len(batches))]
    return batches


def count_batches(
    rows: NDArray[np.int64], n_edges: NDArray[np.integer], config: TrainingConfig
) -> list[int]:
    """Return the number of batches of each epoch, the first one first."""
    if config.max_edges is None or not n_edges.any():
        return [len(epoch_batches(rows, n_edges, config, 1))] * config.epochs
    return [
        len(epoch_batches(rows, n_edges, config, epoch))
        for epoch in range(1, config.epochs + 1)
    ]


def batches_on_device(
    dataset: GraphDataset,
    batches: Sequence[NDArray[np.int64]],
    device: torch.device,
    *,
    n_rounds: int | None = None,
) -> Iterator[tuple[NDArray[np.int64], Batch]]:
    """Yield positions and graphs of each batch, on a device of torch.

    While a GPU works, a thread assembles the next batch in memory that the GPU can copy
    from by itself. Two cores that train have none to spare for that.

    Args:
        dataset: Graphs.
        batches: Positions of the graphs of each batch.
        device: Where they go.
        n_rounds: Merges equivalent atoms for a network of so many rounds; None does not.
    """

    def merge(batch: Batch) -> Batch:
        return batch if n_rounds is None else merge_equivalent(batch, n_rounds)

    made = dataset.assemble(batches)
    if device.type != "cuda":
        for chosen, batch in made:
            yield chosen, merge(batch).to(device)
        return
    ready = prefetch((chosen, merge(batch).pin_memory()) for chosen, batch in made)
    for chosen, batch in ready:
        yield chosen, batch.to(device, non_blocking=True)


def _none_alone(batches: list[NDArray[np.int64]]) -> list[NDArray[np.int64]]:
    """Give a graph that is alone in its batch one of the next, or join it with the last."""
    shared: list[NDArray[np.int64]] = []
    for batch in batches:
        rest = batch
        if shared and len(shared[-1]) == 1:
            shared[-1] = np.concatenate([shared[-1], batch[:1]])
            rest = batch[1:]
        if len(rest):
            shared.append(rest)
    if len(shared) > 1 and len(shared[-1]) == 1:
        shared[-2:] = [np.concatenate(shared[-2:])]
    return shared
