"""Warnings about single candidates: where a model has little to go by."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pymatgen.core.periodic_table import Element

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from crystalgnn_core.learning.cards import ModelCard

FEW_ROWS = 5
ENERGY = "formation_energy_per_atom"
SEPARATOR = ";"


def flag_candidates(predicted: pd.DataFrame, cards: Sequence[ModelCard]) -> list[str]:
    """Write down what makes each prediction doubtful; the score stays as it is.

    * `rare_element`: an element occurs in fewer than 5 training rows of a model;
    * `extrapolation`: the predicted formation energy lies outside the range of the training
      labels of the model that predicts it.

    A card that does not hold the counts or the range raises no flag.

    Args:
        predicted: Columns `chemsys` (symbols joined by `-`) and the predicted energy.
        cards: The models.

    Returns:
        Flags of each row joined by `;`, empty where there is none.
    """
    rare = {
        Element.from_Z(number).symbol
        for card in cards
        for number, count in card.element_counts.items()
        if count < FEW_ROWS
    }
    is_rare = [not rare.isdisjoint(name.split("-")) for name in predicted["chemsys"]]
    energies = predicted[ENERGY].to_numpy(dtype=float)
    is_outside = np.zeros(len(predicted), dtype=bool)
    for card in cards:
        low, high = card.label_range.get(ENERGY, (-np.inf, np.inf))
        is_outside |= (energies < low) | (energies > high)
    return [
        SEPARATOR.join(
            name
            for name, is_set in (("rare_element", one), ("extrapolation", other))
            if is_set
        )
        for one, other in zip(is_rare, is_outside.tolist(), strict=True)
    ]
