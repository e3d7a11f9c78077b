"""How far trainings on equal data differ by the seed alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from crystalgnn_core.learning.config import HOW_IT_RUNS
from crystalgnn_core.learning.metrics import scaled_error
from crystalgnn_core.learning.registry import Registry

if TYPE_CHECKING:
    from pathlib import Path

    from crystalgnn_core.learning.cards import ModelCard

MIN_TRAININGS = 3
WITHOUT_EFFECT = {"seed", *HOW_IT_RUNS}


def noise_of_retraining(
    store: Path, cards: tuple[ModelCard, ModelCard], known: float
) -> float:
    """Return the standard deviation of the improvement between equally good trainings.

    Args:
        store: Store whose models may hold further trainings of champion or challenger.
        cards: Cards of both.
        known: Relative standard deviation of the error of one network; where the store
            holds at least three trainings that differ in the seed alone, and their test
            errors scatter more, that counts in its place.
    """
    models = list(Registry(store).models())
    parts = []
    for card in cards:
        errors = [
            scaled_error(list(one.metrics["test"].values()))
            for one in models
            if one.metrics.get("test") and _is_equal(one, card)
        ]
        scatter = 0.0
        if len(errors) >= MIN_TRAININGS:
            scatter = float(np.std(errors, ddof=1) / np.mean(errors))
        expected = known / card.n_members**0.5
        parts.append(max(expected, scatter if np.isfinite(scatter) else 0.0))
    return float(np.hypot(*parts))


def _is_equal(one: ModelCard, other: ModelCard) -> bool:
    """Return whether two trainings differ in the seed at most."""
    settings = [
        {name: value for name, value in card.training.items() if name not in WITHOUT_EFFECT}
        for card in (one, other)
    ]
    return (
        settings[0] == settings[1]
        and one.data.data_digest == other.data.data_digest
        and (one.model, one.graph) == (other.model, other.graph)
        and _base_of(one) == _base_of(other)
    )


def _base_of(card: ModelCard) -> str:
    return "" if card.base is None else card.base.model_id
