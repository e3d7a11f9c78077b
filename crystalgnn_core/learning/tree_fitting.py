"""Models that are fitted in one go, in place of a training by epochs."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

import pandas as pd
import torch

from crystalgnn_core.learning.fitting import evaluate
from crystalgnn_core.learning.loop.epochs import record_epoch
from crystalgnn_core.learning.loop.optimization import loss_columns, masked_loss
from crystalgnn_core.learning.resume import Progress

if TYPE_CHECKING:
    from crystalgnn_core.learning.cards import ModelCard
    from crystalgnn_core.learning.config import TrainingConfig
    from crystalgnn_core.learning.fitting import LabelledGraphs
    from crystalgnn_core.models.network import Estimator

logger = logging.getLogger(__name__)


def fit_estimator(
    network: Estimator, data: LabelledGraphs, config: TrainingConfig, card: ModelCard
) -> tuple[ModelCard, pd.DataFrame]:
    """Fit a model to the training split, and judge it on the validation split.

    Of the training settings the seed counts, and the loss as a number to report: what is
    minimised is the squared error. Nothing is kept of a run that is interrupted but the
    features that are cached, as fitting takes seconds. The model is fitted in place.

    Returns:
        The card with the validation errors, and a history of one epoch.
    """
    labels = card.scaler.scale(data.labels)
    started = time.perf_counter()
    batch = data.dataset.batch(data.train)
    classes = card.scaler.output_classes
    network.fit(batch, labels[data.train], classes=classes, seed=config.seed)
    speed = len(data.train) / (time.perf_counter() - started)
    known, outputs = torch.from_numpy(labels[data.train]), network(batch)
    columns = loss_columns(card.scaler, outputs.device, config.loss_weights)
    loss = masked_loss(outputs, known, config.loss, *columns).item()
    metrics = evaluate(network, data.dataset, data.labels, data.val, card.scaler)
    none_yet = Progress(0, 0, float("inf"), pd.DataFrame())
    progress = record_epoch(none_yet, loss, metrics, rate=0.0, speed=speed)
    updated = card.model_copy(update={"metrics": {"val": metrics}, "epoch": 1})
    return updated, progress.history
