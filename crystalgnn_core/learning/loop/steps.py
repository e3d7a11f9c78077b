"""An epoch and its steps: batches in pieces, gradients of all processes, the optimiser."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from crystalgnn_core.distributed import in_step, ranks, sum_gradients
from crystalgnn_core.errors import InputError
from crystalgnn_core.learning.loop.acceleration import Forward
from crystalgnn_core.learning.loop.averaging import WeightAverage
from crystalgnn_core.learning.loop.batching import (
    batches_on_device,
    count_batches,
    epoch_batches,
)
from crystalgnn_core.learning.loop.optimization import (
    loss_columns,
    make_optimizer,
    make_scheduler,
    masked_loss,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler
    from torch_geometric.data import Batch

    from crystalgnn_core.graphs.batches import GraphDataset
    from crystalgnn_core.learning.config import TrainingConfig
    from crystalgnn_core.learning.scaling import TargetScaler
    from crystalgnn_core.models.network import Network

logger = logging.getLogger(__name__)
SMALLEST = 2  # graphs of a piece: the batch norm of a lone atom is undefined


class Pieces:
    """Into how many pieces each batch is cut, so that memory holds one at a time."""

    def __init__(self) -> None:
        self.number = 1

    def cut(self, batch: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """Cut a batch; pieces have two graphs at least, if it has."""
        return np.array_split(batch, max(1, min(self.number, len(batch) // SMALLEST)))


class TrainingState(NamedTuple):
    """What an epoch works on; the optimiser changes the network in place."""

    network: Network
    dataset: GraphDataset
    rows: NDArray[np.int64]  # that are trained on
    forward: Forward
    optimizer: Optimizer
    scheduler: LRScheduler
    config: TrainingConfig
    n_batches: list[int]  # of each epoch
    is_class: Tensor | None  # of each output column; None where none is
    weights: Tensor | None  # of each output column; None where all are equal
    is_finetuning: bool
    average: WeightAverage | None  # of the weights, where one is kept
    pieces: Pieces


def start_loop(
    network: Network,
    dataset: GraphDataset,
    rows: NDArray[np.int64],
    config: TrainingConfig,
    scaler: TargetScaler,
    *,
    is_finetuning: bool,
) -> TrainingState:
    """Make what the epochs of a training work on."""
    n_batches = count_batches(rows, dataset.n_edges, config)
    optimizer = make_optimizer(network, config.optimizer)
    scheduler = make_scheduler(optimizer, config, sum(n_batches))
    device = next(network.parameters()).device
    classes, weights = loss_columns(scaler, device, config.loss_weights)
    decay = config.ema_decay
    return TrainingState(
        network,
        dataset,
        rows,
        Forward(network, config, in_parts=not is_finetuning),
        optimizer,
        scheduler,
        config,
        n_batches,
        classes,
        weights,
        is_finetuning,
        None if decay is None else WeightAverage(network, decay),
        Pieces(),
    )


def train_epoch(
    loop: TrainingState,
    labels: Tensor,
    epoch: int,
    advance: Callable[[float], None],
) -> float:
    """Pass once over the training rows; return the mean loss."""
    network, config = loop.network.train(), loop.config
    if loop.is_finetuning:
        for layer in network.modules():
            if isinstance(layer, torch.nn.BatchNorm1d):
                layer.eval()
    torch.manual_seed(config.seed + epoch)
    total, n_seen, started = 0.0, 0, time.perf_counter()
    batches = epoch_batches(loop.rows, loop.dataset.n_edges, config, epoch)
    with in_step():
        for loss, n_graphs in take_steps(loop, labels, batches):
            total += loss * n_graphs
            n_seen += n_graphs
            advance(n_seen / (time.perf_counter() - started))
    return total / n_seen


def take_steps(
    loop: TrainingState, labels: Tensor, batches: Sequence[NDArray[np.int64]]
) -> Iterator[tuple[float, int]]:
    """Make a step of the optimiser for each batch; yield its loss and number of graphs.

    Where the device has too little memory, batches are halved, as often as is needed: the
    gradients of the pieces are summed, so that a step is that of the whole batch, but batch
    norms then see a piece at a time. Several processes have a part of each batch each.

    Raises:
        InputError: Memory does not hold a piece of two graphs.
        RankError: Another process has ended.
    """
    done = 0
    while done < len(batches):
        for loss in _passes(loop, labels, batches[done:]):
            if loss is None:  # gradients are incomplete: the batch is passed again
                break
            total = sum_gradients(loop.network, loss)
            clip = loop.config.optimizer.clip_norm
            torch.nn.utils.clip_grad_norm_(loop.network.parameters(), clip)
            loop.optimizer.step()
            loop.scheduler.step()
            if loop.average is not None:
                loop.average.update(loop.network)
            yield total.item(), len(batches[done])
            done += 1
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _passes(
    loop: TrainingState, labels: Tensor, batches: Sequence[NDArray[np.int64]]
) -> Iterator[Tensor | None]:
    """Yield the loss of each batch, whose gradients are there.

    For want of memory it is None, and nothing is yielded after that.
    """
    device = next(loop.network.parameters()).device
    cut = [loop.pieces.cut(own_part(batch)) for batch in batches]
    flat = [piece for pieces in cut for piece in pieces]
    n_rounds = loop.network.equivalence_rounds
    ready = batches_on_device(loop.dataset, flat, device, n_rounds=n_rounds)
    for batch, pieces in zip(batches, cut, strict=True):
        counts = (~labels[batch].isnan()).sum(0).to(device)
        loop.optimizer.zero_grad()
        losses, reason = [], ""
        try:
            for _ in pieces:
                rows, graphs = next(ready)
                known = labels[rows].to(device)
                losses.append(_add_gradients(loop, graphs, known, counts, len(batch)))
        except torch.OutOfMemoryError as error:
            reason = str(error).splitlines()[0]
        if reason:  # outside of the handler, whose error holds the tensors
            _halve(loop.pieces, max(map(len, pieces)), reason)
            yield None
            return
        yield torch.stack(losses).sum() if len(losses) > 1 else losses[0]


def own_part(batch: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the part of a batch that this process passes.

    Of a batch with fewer graphs than there are processes each passes the whole.
    """
    rank, size = ranks()[:2]
    return batch if len(batch) < size else np.array_split(batch, size)[rank]


def _add_gradients(
    loop: TrainingState, graphs: Batch, known: Tensor, counts: Tensor, n_graphs: int
) -> Tensor:
    """Add the gradients of a piece; return its part of the loss of the whole batch.

    Args:
        loop: State.
        graphs: Crystals of the piece.
        known: Their labels, NaN missing.
        counts: Labels of each column in the whole batch.
        n_graphs: Graphs of the whole batch.
    """
    parts = loop.forward(graphs)
    loss = masked_loss(
        parts.flatten(0, 1),
        known.repeat(len(parts), 1),
        loop.config.loss,
        loop.is_class,
        loop.weights,
        counts=counts * len(parts),
    )
    size = ranks().size
    if n_graphs < size:  # each has passed the whole
        loss = loss / size
    torch.autograd.backward(loss)
    return loss.detach()


def _halve(pieces: Pieces, largest: int, reason: str) -> None:
    """Cut batches into twice as many pieces, and say so.

    Raises:
        InputError: A piece is as small as can be, or other processes would not know of it.
    """
    advice = "lower training.batch_size or training.max_edges, or take a smaller network"
    if largest < 2 * SMALLEST:
        raise InputError(
            f"memory does not hold {largest} graphs in training ({reason}); {advice}"
        )
    if ranks().size > 1:
        raise InputError(
            f"memory of rank {ranks().rank} does not hold {largest} graphs ({reason}); "
            f"{advice}"
        )
    pieces.number *= 2
    logger.warning(
        "memory does not hold %d graphs in training (%s): batches are passed in %d pieces "
        "and their gradients summed; batch norms see a piece at a time",
        largest,
        reason,
        pieces.number,
    )
