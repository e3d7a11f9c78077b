"""A finished model against the labels of a store as they are now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crystalgnn_core.errors import InputError, LabelSchemeError
from crystalgnn_core.graphs.shards import graph_folder
from crystalgnn_core.learning.checkpoints import choose_device, load_bundle
from crystalgnn_core.learning.config import TrainingConfig
from crystalgnn_core.learning.data import load_training_data
from crystalgnn_core.learning.metrics import compare_targets
from crystalgnn_core.learning.predicting import predict_card_columns, prediction_table
from crystalgnn_core.records.label_schemes import JOINED, describe_scheme
from crystalgnn_core.records.schema import SPLITS
from crystalgnn_core.wording import did_you_mean

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

    from crystalgnn_core.learning.cards import DataSummary, ModelCard
    from crystalgnn_core.learning.metrics import Metrics


def evaluate_model(
    store: Path, bundle: Path, split: str
) -> tuple[ModelCard, dict[str, Metrics]]:
    """Compare a model with the present labels of one split, see `evaluate_rows`.

    Returns:
        The model's card, and the errors of each target in its unit.
    """
    card, metrics, _ = evaluate_rows(store, bundle, split)
    return card, metrics


def evaluate_rows(
    store: Path, bundle: Path, split: str
) -> tuple[ModelCard, dict[str, Metrics], pa.Table]:
    """Compare a model with the present labels of one split of its training sources.

    Returns:
        The model's card, the errors of each target in its unit, and the rows with
        predictions and labels.

    Raises:
        InputError: There is no such split, or its rows are not in the store.
        LabelSchemeError: The labels follow other schemes than those it learned from.
    """
    if split not in SPLITS:
        raise InputError(
            f"no split {split!r}; choose one of {', '.join(SPLITS)}"
            f"{did_you_mean(split, SPLITS)}"
        )
    network, card = load_bundle(bundle)
    training = TrainingConfig.model_validate(card.training)
    elements = card.model.known_elements()
    data = load_training_data(store, training, card.graph, elements)
    if not training.allow_mixed_schemes:
        refuse_other_schemes(card, data.summary)
    network.to(choose_device(training.device))
    dataset = data.dataset(graph_folder(store, card.graph))
    rows = data.select(split)
    predicted = predict_card_columns(network, card, dataset, positions=rows)
    names = card.scaler.targets
    metrics = compare_targets(names, data.labels[rows], predicted)
    return card, metrics, prediction_table(data, rows, predicted, names)


def refuse_other_schemes(card: ModelCard, data: DataSummary) -> None:
    """Refuse to judge a model by labels of schemes that it did not learn from.

    A source that was ingested again may have come with labels of another scheme since.

    Raises:
        LabelSchemeError: The labels of a target of the model follow another scheme.
    """
    for name, learned in card.label_schemes.items():
        present = data.label_schemes.get(name, "")
        other = sorted(set(present.split(JOINED)) - {"", *learned.split(JOINED)})
        if other:
            now = "; ".join(f"{scheme!r} ({describe_scheme(scheme)})" for scheme in other)
            raise LabelSchemeError(
                f"{name}: {card.model_id} learned from labels of {learned!r}, but those of "
                f"{', '.join(data.sources)} are now of {now}; their differences are not "
                "its errors. Train a model on the present labels, or set "
                "training.allow_mixed_schemes: true to take them as one"
            )
