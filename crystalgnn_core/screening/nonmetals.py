"""Gaps of models that learned from non-metals alone, joined with the chance of a metal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from crystalgnn_core.targets import IF_NONZERO, LOW, NONZERO

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from crystalgnn_core.learning.cards import ModelCard

GAP, METAL = "band_gap", "is_metal"
# shares of non-metals among 11,639 crystals of the Materials Project: formulas without a
# metal, those that balance by common states, by those of the ICSD, by several of an
# element, and others
CHANCES = (0.94, 0.8, 0.4, 0.3, 0.05)


def add_chance_of_gap(predicted: pd.DataFrame, cards: Sequence[ModelCard]) -> pd.DataFrame:
    """Give the gaps of such models two parts, of which the first says if there is one.

    It is one less the probability of a metal, where another model predicts `is_metal`, and
    else the share of non-metals among known crystals whose formulas are as near to being
    neutral (see `charge_features`). The gap is zero where a metal is more probable.

    Args:
        predicted: `band_gap` with what is known of it, `formula`, and `is_metal` where it
            is predicted.
        cards: Models of the screen.

    Returns:
        The same where no such model predicts the gap.
    """
    if not needs_chance(cards):
        return predicted
    if METAL in predicted:
        chance = 1 - predicted[METAL].to_numpy(dtype=float)
    else:
        chance = chance_by_formula(predicted["formula"].tolist())
    gaps = predicted[GAP]
    if GAP + LOW in predicted:  # zero is among what it may be
        predicted = predicted.assign(**{GAP + LOW: gaps.where(gaps.isna(), 0.0)})
    parts: dict[str, Any] = {
        GAP: gaps.where(chance > 1 / 2, 0.0),
        GAP + NONZERO: np.where(gaps.isna(), np.nan, chance),
        GAP + IF_NONZERO: gaps,
    }
    return predicted.assign(**parts)


def needs_chance(cards: Sequence[ModelCard]) -> bool:
    """Return whether the gap is predicted by a model that saw non-metals alone."""
    of_gap = [card for card in cards if GAP in card.scaler.targets]
    return bool(of_gap) and GAP in of_gap[0].nonzero_only


def columns_with_chance(columns: Sequence[str]) -> tuple[str, ...]:
    """Add the parts to the names of the columns, behind that of the gap."""
    if GAP not in columns:
        return tuple(columns)
    place = columns.index(GAP) + 1
    return (*columns[:place], GAP + NONZERO, GAP + IF_NONZERO, *columns[place:])


def describe_chance(cards: Sequence[ModelCard]) -> str:
    """Say how metals are found, where the model of the gap does not know them."""
    if not needs_chance(cards):
        return ""
    if any(METAL in card.scaler.targets for card in cards):
        chance = "the model of is_metal"
    else:
        chance = "whether the oxidation states of the formula balance"
    return (
        " The model of the band gap saw non-metals alone; the chance that there is a gap "
        f"is taken from {chance}."
    )


def chance_by_formula(formulas: Sequence[str]) -> NDArray[np.float64]:
    """Return the share of non-metals among crystals of such formulas, shape (n,)."""
    from pymatgen.core.composition import Composition

    from crystalgnn_core.models.composition.charges import charge_features

    places = {formula: place for place, formula in enumerate(dict.fromkeys(formulas))}
    parts = [Composition(formula) for formula in places]
    numbers = [element.Z for part in parts for element in part]
    amounts = [max(round(amount), 1) for part in parts for amount in part.values()]
    found = charge_features(
        np.array(numbers, np.int64),
        np.array(amounts, np.int64),
        np.cumsum([0, *map(len, parts)]),
    )
    without = [not any(element.is_metal for element in part) for part in parts]
    kinds = [
        np.array(without, bool),
        found[:, 2] == 1,
        found[:, 6] == 1,
        found[:, [3, 7]].min(axis=1) == 0,
    ]
    chances = np.select(kinds, CHANCES[:-1], CHANCES[-1])
    return chances[[places[formula] for formula in formulas]]
