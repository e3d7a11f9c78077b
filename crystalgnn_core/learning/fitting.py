"""The training loop: epochs, validation, early stopping, a checkpoint after each epoch."""

from __future__ import annotations

import logging
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch.nn import functional
from torch.optim import SGD, AdamW
from torch.optim.lr_scheduler import LambdaLR, MultiStepLR, OneCycleLR

from crystalgnn_core.errors import TrainingDivergedError
from crystalgnn_core.learning.metrics import Metrics, compare, scaled_error
from crystalgnn_core.learning.resume import Progress as RunProgress

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor, nn
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler

    from crystalgnn_core.graphs.batches import GraphDataset
    from crystalgnn_core.learning.checkpoints import ModelCard
    from crystalgnn_core.learning.config import OptimizerConfig, TrainingConfig
    from crystalgnn_core.learning.resume import CheckpointFolder
    from crystalgnn_core.learning.scaling import TargetScaler

logger = logging.getLogger(__name__)
RUNAWAY_FACTOR = 100.0
STEP_AT, STEP_FACTOR = 0.8, 0.1
INFERENCE_BATCH = 256


class LabelledGraphs(NamedTuple):
    """Graphs and labels of all splits, and where the splits lie.

    Attributes:
        dataset: Graphs of all rows.
        labels: In the targets' units, NaN missing, shape (n_rows, n_targets).
        train: Positions of the training rows.
        val: Positions of the validation rows.
    """

    dataset: GraphDataset
    labels: NDArray[np.float64]
    train: NDArray[np.int64]
    val: NDArray[np.int64]


def fit(
    network: nn.Module,
    data: LabelledGraphs,
    scaler: TargetScaler,
    config: TrainingConfig,
    checkpoints: CheckpointFolder,
    card: ModelCard,
    device: str,
) -> RunProgress:
    """Train until the last epoch or until validation stops improving.

    Continues from the last checkpoint when there is one. Row order and random state of an
    epoch depend on seed and epoch alone, so an interrupted run ends like an undisturbed one.

    Raises:
        TrainingDivergedError: The loss became NaN or infinite, or ran away.
    """
    network.to(device)
    batches_per_epoch = _n_batches(len(data.train), config.batch_size)
    optimizer = make_optimizer(network, config.optimizer)
    scheduler = make_scheduler(optimizer, config, batches_per_epoch)
    progress = checkpoints.restore(network, optimizer, scheduler)
    if progress.epoch:
        logger.info("training continues after epoch %d", progress.epoch)
    scaled = torch.from_numpy(scaler.scale(data.labels)).float()
    with _progress_bar() as bar:
        bar_id = bar.add_task("train", total=config.epochs * batches_per_epoch, speed="")
        bar.update(bar_id, completed=progress.epoch * batches_per_epoch)
        for epoch in range(progress.epoch + 1, config.epochs + 1):
            if epoch - 1 - progress.best_epoch >= config.patience:
                logger.info(
                    "no better validation error for %d epochs: stop", config.patience
                )
                break
            started = time.perf_counter()
            loss = _train_epoch(
                network, data, scaled, config, optimizer, scheduler, epoch, (bar, bar_id)
            )
            _check_loss(loss, epoch, progress.history)
            speed = len(data.train) / (time.perf_counter() - started)
            metrics = evaluate(network, data.dataset, data.labels, data.val, scaler)
            progress = _record(progress, epoch, loss, speed, metrics, optimizer)
            checkpoints.save(
                progress,
                network,
                optimizer,
                scheduler,
                card.model_copy(update={"metrics": {"val": metrics}}),
            )
    return progress


def evaluate(
    network: nn.Module,
    dataset: GraphDataset,
    labels: NDArray[np.float64],
    positions: NDArray[np.int64],
    scaler: TargetScaler,
) -> dict[str, Metrics]:
    """Compare a network's predictions with labels, target by target, in their units."""
    predicted = predict_dataset(network, dataset, scaler, positions=positions)
    return {
        name: compare(labels[positions, index], predicted[:, index])
        for index, name in enumerate(scaler.targets)
    }


def predict_dataset(
    network: nn.Module,
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
    network.eval()
    device = next(network.parameters()).device
    outputs = [np.empty((0, len(scaler.targets)))]
    with torch.inference_mode():
        for _, batch in dataset.batches(batch_size, order=positions):
            outputs.append(network(batch.to(device)).cpu().double().numpy())  # noqa: PERF401  the list starts with an empty block
    return scaler.unscale(np.concatenate(outputs))


def make_optimizer(network: nn.Module, config: OptimizerConfig) -> Optimizer:
    """Create the configured optimiser for all parameters."""
    parameters = network.parameters()
    if config.kind == "sgd":
        return SGD(
            parameters,
            lr=config.learning_rate,
            momentum=config.momentum,
            weight_decay=config.weight_decay,
        )
    return AdamW(parameters, lr=config.learning_rate, weight_decay=config.weight_decay)


def make_scheduler(
    optimizer: Optimizer, config: TrainingConfig, batches_per_epoch: int
) -> LRScheduler:
    """Create the configured schedule, stepped once a batch."""
    n_steps = config.epochs * batches_per_epoch
    match config.optimizer.schedule:
        case "one_cycle":
            return OneCycleLR(
                optimizer, max_lr=config.optimizer.learning_rate, total_steps=n_steps
            )
        case "step":
            return MultiStepLR(optimizer, [int(STEP_AT * n_steps)], gamma=STEP_FACTOR)
        case _:
            return LambdaLR(optimizer, _one)


def masked_loss(outputs: Tensor, labels: Tensor, kind: str) -> Tensor:
    """Average the loss over the labels that are there, then over targets.

    Args:
        outputs: Scaled predictions, shape (n_graphs, n_targets).
        labels: Scaled labels, NaN missing, same shape.
        kind: `l1`, `huber` or `mse`.
    """
    is_known = ~labels.isnan()
    filled = torch.where(is_known, labels, outputs.detach())
    function = {
        "l1": functional.l1_loss,
        "huber": functional.smooth_l1_loss,
        "mse": functional.mse_loss,
    }[kind]
    per_target = function(outputs, filled, reduction="none").sum(0) / is_known.sum(0).clamp(
        1
    )
    return per_target.sum() / is_known.any(0).sum().clamp(1)


def _one(_: int) -> float:
    return 1.0


def _n_batches(n_rows: int, batch_size: int) -> int:
    return max(1, -(-n_rows // batch_size))


def _train_epoch(
    network: nn.Module,
    data: LabelledGraphs,
    labels: Tensor,
    config: TrainingConfig,
    optimizer: Optimizer,
    scheduler: LRScheduler,
    epoch: int,
    bar: tuple[Progress, int],
) -> float:
    """Pass once over the training rows in batches of even size; return the mean loss."""
    network.train()
    torch.manual_seed(config.seed + epoch)
    order = np.random.default_rng([config.seed, epoch]).permutation(data.train)
    device = next(network.parameters()).device
    total = 0.0
    started = time.perf_counter()
    n_seen = 0
    for chosen in np.array_split(order, _n_batches(len(order), config.batch_size)):
        batch = data.dataset.batch(chosen).to(device)
        loss = masked_loss(network(batch), labels[chosen].to(device), config.loss)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), config.optimizer.clip_norm)
        optimizer.step()
        scheduler.step()
        total += loss.item() * len(chosen)
        n_seen += len(chosen)
        speed = n_seen / (time.perf_counter() - started)
        bar[0].update(bar[1], advance=1, speed=f"{speed:,.0f} structures/s")  # type: ignore[arg-type]
    return total / len(order)


def _check_loss(loss: float, epoch: int, history: pd.DataFrame) -> None:
    if not np.isfinite(loss):
        raise TrainingDivergedError(
            f"loss is {loss} in epoch {epoch}; lower training.optimizer.learning_rate"
        )
    if len(history) and loss > RUNAWAY_FACTOR * history["train_loss"].iloc[0]:
        raise TrainingDivergedError(
            f"loss {loss:.3g} in epoch {epoch} is over {RUNAWAY_FACTOR:g} times that of the "
            "first epoch; lower training.optimizer.learning_rate"
        )


def _record(
    progress: RunProgress,
    epoch: int,
    loss: float,
    speed: float,
    metrics: dict[str, Metrics],
    optimizer: Optimizer,
) -> RunProgress:
    """Append an epoch to the history and note whether it is the best."""
    error = scaled_error(list(metrics.values()))
    row = {
        "epoch": epoch,
        "train_loss": loss,
        "val_error": error,
        **{f"val_mae_{name}": metric.mae for name, metric in metrics.items()},
        "learning_rate": optimizer.param_groups[0]["lr"],
        "structures_per_second": speed,
    }
    maes = ", ".join(f"{name} {metric.mae:.4f}" for name, metric in metrics.items())
    logger.info(
        "epoch %d: loss %.4f, val MAE %s, %.0f structures/s", epoch, loss, maes, speed
    )
    history = pd.concat([progress.history, pd.DataFrame([row])], ignore_index=True)
    if error < progress.best_error:
        return RunProgress(epoch, epoch, error, history)
    return RunProgress(epoch, progress.best_epoch, progress.best_error, history)


def _progress_bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
