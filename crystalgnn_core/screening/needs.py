"""What a ranking needs of the models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crystalgnn_core.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crystalgnn_core.learning.cards import ModelCard

RANKED_TARGETS = ENERGY, GAP = "formation_energy_per_atom", "band_gap"


def check_models(cards: Sequence[ModelCard]) -> None:
    """Refuse models that together do not predict what the ranking needs.

    Raises:
        ModelError: A target is missing, or predicted by two models.
    """
    predicted = [name for card in cards for name in card.scaler.targets]
    for name in RANKED_TARGETS:
        if predicted.count(name) != 1:
            ids = ", ".join(card.model_id for card in cards)
            raise ModelError(
                f"{name} is predicted by {predicted.count(name)} of the models ({ids}); "
                "give one model for both targets, or one for each"
            )


def further_targets(cards: Sequence[ModelCard]) -> tuple[str, ...]:
    """Name what the models predict beside formation energy and gap, in their order."""
    names = dict.fromkeys(name for card in cards for name in card.scaler.targets)
    return tuple(name for name in names if name not in RANKED_TARGETS)
