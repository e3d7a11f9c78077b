"""The training loop: epochs, validation, early stopping, a checkpoint after each epoch."""

from __future__ import annotations

import logging
import time
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from crystalgnn_core.distributed import share
from crystalgnn_core.errors import InputError
from crystalgnn_core.learning.loop.epochs import record_epoch
from crystalgnn_core.learning.loop.following import share_run
from crystalgnn_core.learning.loop.progress_bar import progress_bar
from crystalgnn_core.learning.loop.steps import start_loop, train_epoch
from crystalgnn_core.learning.metrics import Metrics, compare_targets
from crystalgnn_core.models.ensemble import members_of
from crystalgnn_core.models.inference import for_inference

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from crystalgnn_core.graphs.batches import GraphDataset
    from crystalgnn_core.learning.cards import ModelCard
    from crystalgnn_core.learning.config import TrainingConfig
    from crystalgnn_core.learning.resume import CheckpointFolder, Progress
    from crystalgnn_core.learning.scaling import TargetScaler
    from crystalgnn_core.models.network import Network

logger = logging.getLogger(__name__)
INFERENCE_BATCH = 256


class LabelledGraphs(NamedTuple):
    """Graphs and labels of all splits, and where the splits lie.

    Attributes:
        dataset: Graphs of all rows.
        labels: In the targets' units, NaN missing, shape (n_rows, n_targets).
        train: Positions of the training rows.
        val: Positions of the validation rows.
        folder: Folder of the shards of the graphs, for other processes; None where these
            get the graphs themselves.
    """

    dataset: GraphDataset
    labels: NDArray[np.float64]
    train: NDArray[np.int64]
    val: NDArray[np.int64]
    folder: Path | None = None


def fit(
    network: Network,
    data: LabelledGraphs,
    config: TrainingConfig,
    checkpoints: CheckpointFolder,
    card: ModelCard,
    *,
    device: str,
    is_finetuning: bool = False,
) -> Progress:
    """Train until the last epoch or until validation stops improving.

    Continues from the last checkpoint when there is one. Row order and random state of an
    epoch depend on seed and epoch alone, so an interrupted run ends like one left alone.
    The network is trained in place. With `is_finetuning` it is normalised by the running
    means and variances that it came with, which then do not change, and not by those of
    each batch; and its prediction learns as a whole, not in its parts, of which a refitted
    output layer has made a new sum.

    Raises:
        TrainingDivergedError: Loss or validation error became NaN or infinite, or the loss
            ran away.
    """
    loop = start_loop(
        network.to(device),
        data.dataset,
        data.train,
        config,
        card.scaler,
        is_finetuning=is_finetuning,
    )
    average = None if loop.average is None else loop.average.network
    state = network, loop.optimizer, loop.scheduler
    progress = checkpoints.restore(*state, average=average)
    n_done = sum(loop.n_batches[: progress.epoch])
    if progress.epoch:
        logger.info("training continues after epoch %d", progress.epoch)
        if loop.average is not None:
            loop.average.n_steps = n_done
    labels = torch.from_numpy(card.scaler.scale(data.labels)).float()
    share_run(loop, data.folder, labels, card.scaler)
    try:
        with progress_bar(sum(loop.n_batches), n_done=n_done) as advance:
            for epoch in range(progress.epoch + 1, config.epochs + 1):
                if epoch - 1 - progress.best_epoch >= config.patience:
                    logger.info("no better val error for %d epochs: stop", config.patience)
                    break
                started = time.perf_counter()
                share(epoch)
                loss = train_epoch(loop, labels, epoch, advance)
                speed = len(data.train) / (time.perf_counter() - started)
                model = average or network
                metrics = evaluate(model, data.dataset, data.labels, data.val, card.scaler)
                rate = loop.optimizer.param_groups[0]["lr"]
                progress = record_epoch(progress, loss, metrics, rate=rate, speed=speed)
                now = card.model_copy(update={"metrics": {"val": metrics}})
                checkpoints.save(progress, *state, now, average=average)
    finally:
        share()
    return progress


def evaluate(
    network: Network,
    dataset: GraphDataset,
    labels: NDArray[np.float64],
    positions: NDArray[np.int64],
    scaler: TargetScaler,
) -> dict[str, Metrics]:
    """Compare a network's predictions with labels, target by target, in their units."""
    predicted = predict_columns(network, dataset, scaler, positions=positions)
    return compare_targets(scaler.targets, labels[positions], predicted)


def predict_dataset(
    network: Network,
    dataset: GraphDataset,
    scaler: TargetScaler,
    *,
    positions: NDArray[np.int64] | None = None,
    batch_size: int = INFERENCE_BATCH,
) -> NDArray[np.float64]:
    """Predict the graphs at some positions (all by default), in evaluation mode.

    Returns:
        Values in the targets' units, shape (n_positions, n_targets), in the given order.
    """
    found = predict_columns(
        network, dataset, scaler, positions=positions, batch_size=batch_size
    )
    return np.stack([found[name] for name in scaler.targets], axis=1)


def predict_columns(
    network: Network,
    dataset: GraphDataset,
    scaler: TargetScaler,
    *,
    positions: NDArray[np.int64] | None = None,
    batch_size: int = INFERENCE_BATCH,
) -> dict[str, NDArray[np.float64]]:
    """Predict the graphs at some positions, all that the network says about its targets.

    Returns:
        The columns of `TargetScaler.columns`, and the spread of each target over the
        members where there are several, each of shape (n_positions,).
    """
    forms = [for_inference(member) for member in members_of(network)]
    device = next(chain(network.parameters(), network.buffers())).device
    outputs = [np.empty((len(forms), 0, scaler.n_outputs))]
    left = np.arange(len(dataset)) if positions is None else positions
    while len(left):
        try:
            with torch.inference_mode():
                for chosen, batch in dataset.batches(batch_size, order=left):
                    moved = batch.to(device)
                    found = [form(moved).cpu().double().numpy() for form in forms]
                    outputs.append(np.stack(found))
                    left = left[len(chosen) :]
        except torch.OutOfMemoryError as error:
            batch_size = _halve(batch_size, str(error))
    return scaler.member_columns(np.concatenate(outputs, axis=1))


def _halve(batch_size: int, reason: str) -> int:
    """Return the batch size to go on with where memory does not hold a batch; say so.

    Raises:
        InputError: The batch is a single graph.
    """
    first = reason.partition("\n")[0]
    if batch_size == 1:
        raise InputError(f"memory does not hold a graph in prediction ({first})")
    logger.warning(
        "memory does not hold %d graphs in prediction (%s): %d at a time",
        batch_size,
        first,
        batch_size // 2,
    )
    return batch_size // 2
