"""Train the networks of a model, one after the other, each from a seed of its own."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd
import torch

from crystalgnn_core.errors import ConfigError
from crystalgnn_core.learning.checkpoints import choose_device
from crystalgnn_core.learning.fitting import evaluate, fit
from crystalgnn_core.learning.mixing import weigh_parts
from crystalgnn_core.learning.resume import CheckpointFolder
from crystalgnn_core.learning.tree_fitting import fit_estimator
from crystalgnn_core.models.ensemble import EnsembleNetwork
from crystalgnn_core.models.network import Estimator

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from crystalgnn_core.learning.cards import ModelCard
    from crystalgnn_core.learning.config import TrainingConfig
    from crystalgnn_core.learning.fitting import LabelledGraphs
    from crystalgnn_core.models.network import Network

logger = logging.getLogger(__name__)


class RunStart(NamedTuple):
    """What a run begins with.

    Attributes:
        card: Card of the model before its first epoch.
        network: Makes the network to train of a member, counted from 0, after torch's
            generator has been seeded.
        is_finetuning: As for `crystalgnn_core.learning.fitting.fit`.
    """

    card: ModelCard
    network: Callable[[int], Network]
    is_finetuning: bool = False


def train_members(
    start: RunStart, data: LabelledGraphs, training: TrainingConfig, checkpoints: Path
) -> tuple[tuple[Network, ModelCard], pd.DataFrame]:
    """Train all members of a model, or continue where a run was interrupted.

    Several keep their checkpoints in a folder each; a member that is done is not trained
    again.

    Returns:
        The network of the best epoch, or of the best epochs of all members, with its card,
        and a history of one row an epoch, with the number of the member if there are
        several.

    Raises:
        ConfigError: Several members are asked for of a model that is fitted in one go.
        TrainingDivergedError: A loss became NaN or infinite, or ran away.
    """
    if training.members == 1:
        return _train(start, data, training, checkpoints, 0)
    if isinstance(start.network(0), Estimator):
        raise ConfigError(
            f"{start.card.model.kind} is fitted in one go and has no members; set "
            "training.members: 1, or choose another model.kind"
        )
    networks, histories, epoch = [], [], 0
    for index in range(training.members):
        one = training.model_copy(update={"members": 1, "seed": training.seed + index})
        logger.info("member %d of %d: seed %d", index + 1, training.members, one.seed)
        update = {"training": one.model_dump(mode="json")}
        own = start._replace(card=start.card.model_copy(update=update))
        folder = checkpoints / f"member-{index + 1}"
        (network, card), history = _train(own, data, one, folder, index)
        networks.append(network)
        histories.append(history.assign(member=index + 1))
        epoch = max(epoch, card.epoch)
    joined = EnsembleNetwork(networks)
    metrics = evaluate(joined, data.dataset, data.labels, data.val, start.card.scaler)
    card = start.card.model_copy(update={"metrics": {"val": metrics}, "epoch": epoch})
    history = pd.concat(histories, ignore_index=True)
    return (joined, card), history.assign(epoch=range(1, len(history) + 1))


def _train(
    start: RunStart,
    data: LabelledGraphs,
    training: TrainingConfig,
    checkpoints: Path,
    index: int,
) -> tuple[tuple[Network, ModelCard], pd.DataFrame]:
    """Train one network."""
    torch.manual_seed(training.seed)
    network, card = start.network(index), start.card
    if isinstance(network, Estimator):
        fitted, history = fit_estimator(network, data, training, card)
        return (network, fitted), history
    kept = CheckpointFolder(checkpoints)
    progress = fit(
        network,
        data,
        training,
        kept,
        card,
        device=choose_device(training.device),
        is_finetuning=start.is_finetuning,
    )
    best, found = kept.best()
    if not start.is_finetuning and weigh_parts(best, data, card.scaler):
        metrics = evaluate(best, data.dataset, data.labels, data.val, card.scaler)
        found = found.model_copy(update={"metrics": {"val": metrics}})
    return (best, found), progress.history
