"""What is kept of each epoch, and whether training goes well."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd

from crystalgnn_core.errors import TrainingDivergedError
from crystalgnn_core.learning.metrics import (
    Metrics,
    describe_errors,
    history_columns,
    scaled_error,
)
from crystalgnn_core.learning.resume import Progress

logger = logging.getLogger(__name__)
RUNAWAY_FACTOR = 100.0


def record_epoch(
    progress: Progress,
    loss: float,
    metrics: dict[str, Metrics],
    *,
    rate: float,
    speed: float,
) -> Progress:
    """Append an epoch to the history and note whether it is the best."""
    epoch = progress.epoch + 1
    error = scaled_error(list(metrics.values()))
    _check_convergence(loss, error, epoch, progress.history)
    row = {
        "epoch": epoch,
        "train_loss": loss,
        "val_error": error,
        **history_columns(metrics),
        "learning_rate": rate,
        "structures_per_second": speed,
    }
    shown = describe_errors(metrics)
    logger.info("epoch %d: loss %.4f, val %s, %.0f structures/s", epoch, loss, shown, speed)
    history = pd.concat([progress.history, pd.DataFrame([row])], ignore_index=True)
    if error < progress.best_error:
        return Progress(epoch, epoch, error, history)
    return Progress(epoch, progress.best_epoch, progress.best_error, history)


def _check_convergence(
    loss: float, error: float, epoch: int, history: pd.DataFrame
) -> None:
    if not (np.isfinite(loss) and np.isfinite(error)):
        raise TrainingDivergedError(
            f"loss is {loss} and scaled validation error {error} in epoch {epoch}; lower "
            "training.optimizer.learning_rate"
        )
    if len(history) and loss > RUNAWAY_FACTOR * history["train_loss"].iloc[0]:
        raise TrainingDivergedError(
            f"loss {loss:.3g} in epoch {epoch} is over {RUNAWAY_FACTOR:g} times that of "
            "the first epoch; lower training.optimizer.learning_rate"
        )
