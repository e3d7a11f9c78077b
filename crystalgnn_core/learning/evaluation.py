"""A finished model against the labels of a store as they are now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crystalgnn_core.errors import InputError
from crystalgnn_core.graphs.shards import graph_folder
from crystalgnn_core.learning.checkpoints import choose_device, load_bundle
from crystalgnn_core.learning.config import TrainingConfig
from crystalgnn_core.learning.data import load_training_data
from crystalgnn_core.learning.fitting import evaluate
from crystalgnn_core.learning.scheme_checks import refuse_other_schemes
from crystalgnn_core.records.schema import SPLITS

if TYPE_CHECKING:
    from pathlib import Path

    from crystalgnn_core.learning.cards import ModelCard
    from crystalgnn_core.learning.metrics import Metrics


def evaluate_model(
    store: Path, bundle: Path, split: str
) -> tuple[ModelCard, dict[str, Metrics]]:
    """Compare a model with the present labels of one split of its training sources.

    Returns:
        The model's card, and the errors of each target in its unit.

    Raises:
        InputError: There is no such split, or its rows are not in the store.
        LabelSchemeError: The labels follow other schemes than those it learned from.
    """
    if split not in SPLITS:
        raise InputError(f"no split {split!r}; choose one of {', '.join(SPLITS)}")
    network, card = load_bundle(bundle)
    training = TrainingConfig.model_validate(card.training)
    elements = card.model.known_elements()
    data = load_training_data(store, training, card.graph, elements)
    if not training.allow_mixed_schemes:
        refuse_other_schemes(card, data.summary)
    network.to(choose_device(training.device))
    dataset = data.dataset(graph_folder(store, card.graph))
    return card, evaluate(network, dataset, data.labels, data.select(split), card.scaler)
