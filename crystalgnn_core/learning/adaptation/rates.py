"""Choose the learning rate of a fine-tuning by short runs."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import torch

from crystalgnn_core.errors import TrainingDivergedError
from crystalgnn_core.learning.checkpoints import choose_device
from crystalgnn_core.learning.fitting import fit
from crystalgnn_core.learning.loop.batching import count_batches
from crystalgnn_core.learning.resume import CheckpointFolder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from crystalgnn_core.learning.config import TrainingConfig
    from crystalgnn_core.learning.fitting import LabelledGraphs
    from crystalgnn_core.learning.members import RunStart

logger = logging.getLogger(__name__)
N_STEPS = 300  # of a short run, at least


def choose_rate(
    start: RunStart,
    data: LabelledGraphs,
    training: TrainingConfig,
    rates: Sequence[float],
    checkpoints: Path,
) -> dict[float, float]:
    """Train the first member shortly with each rate, on the whole schedule.

    A run is a tenth of the training, or `N_STEPS` steps if these are more. Runs that are
    done are not repeated, and an interrupted one continues.

    Returns:
        Rate to the lowest scaled validation error, the lowest first; infinite where
        training diverged.
    """
    n_batches = count_batches(data.train, data.dataset.n_edges, training)[0]
    epochs = min(training.epochs, max(training.epochs // 10, -(-N_STEPS // n_batches)))
    brief = {"epochs": epochs, "patience": epochs, "members": 1}
    errors = {}
    for rate in rates:
        config = at_rate(training, rate).model_copy(update=brief)
        torch.manual_seed(config.seed)
        # a checkpoint is of one network, however many members there will be
        one = {"training": config.model_dump(mode="json")}
        try:
            errors[rate] = fit(
                start.network(0),
                data,
                config,
                CheckpointFolder(checkpoints / f"rate-{rate:g}"),
                start.card.model_copy(update=one),
                device=choose_device(config.device),
                is_finetuning=start.is_finetuning,
            ).best_error
        except TrainingDivergedError as error:
            logger.warning("learning rate %g: %s", rate, error)
            errors[rate] = float("inf")
    ordered = dict(sorted(errors.items(), key=lambda item: item[1]))
    shown = ", ".join(f"{rate:g}: {error:.4f}" for rate, error in ordered.items())
    logger.info("learning rates, scaled val error after %d epochs: %s", epochs, shown)
    return ordered


def at_rate(training: TrainingConfig, rate: float) -> TrainingConfig:
    """Return training settings with another learning rate."""
    optimizer = training.optimizer.model_copy(update={"learning_rate": rate})
    return training.model_copy(update={"optimizer": optimizer})
