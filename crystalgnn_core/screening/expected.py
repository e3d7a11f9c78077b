"""Desirability of values that are predicted with a distribution, not as one number."""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING

import numpy as np

from crystalgnn_core.screening.nonmetals import GAP, needs_chance
from crystalgnn_core.targets import HIGH, IF_NONZERO, LOW, NONZERO

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from crystalgnn_core.learning.cards import ModelCard
    from crystalgnn_core.screening.criteria import Criterion

    Array = NDArray[np.float64]

N_QUANTILES = 20
TAIL = 0.1  # share of true values outside an interval


def are_uncertain(
    cards: Sequence[ModelCard], targets: Iterable[str], *, metal_filter: bool = True
) -> bool:
    """Return whether models, and the metal filter, give distributions of some targets."""
    wanted = set(targets)
    if metal_filter and GAP in wanted and needs_chance(cards):
        return True
    further = {name + end for name in wanted for end in (NONZERO, LOW)}
    return any(further & set(card.column_names) for card in cards)


def log_desirability(
    criterion: Criterion, candidates: pd.DataFrame, suffix: str = ""
) -> Array:
    """Return the logarithm of the mean desirability of what the values may be.

    A value in two parts is zero but for its chance, and else about its value if it is not
    zero; any other is about its prediction. About it stands a Laplace distribution with the
    half-width of the 90 % interval. Without parts and intervals a value is one number.

    Args:
        criterion: What is wanted.
        candidates: Its column, with those of parts and interval where they are predicted.
        suffix: What the name of the column ends in; values with one are taken as they are.

    Returns:
        Shape (n_candidates,), NaN where the value is missing.
    """
    name = criterion.column + suffix
    values = candidates[name].to_numpy(dtype=float)
    known = ~np.isnan(values)
    rows = candidates[known]
    found = np.full(len(values), np.nan)
    if name + NONZERO in candidates:
        chance = rows[name + NONZERO].to_numpy(dtype=float)
        if_nonzero = rows[name + IF_NONZERO].to_numpy(dtype=float)
        there = _mean(criterion, if_nonzero, rows, name)
        zero = criterion.log_desirability(np.zeros(len(rows)))
        found[known] = np.logaddexp(_log(1 - chance) + zero, _log(chance) + there)
    else:
        found[known] = _mean(criterion, values[known], rows, name)
    return found


def _mean(criterion: Criterion, center: Array, rows: pd.DataFrame, name: str) -> Array:
    """Return the logarithm of the mean desirability about some values."""
    if name + LOW not in rows:
        return criterion.log_desirability(center)
    ends = rows[[name + LOW, name + HIGH]].to_numpy(dtype=float)
    scale = (ends[:, 1] - ends[:, 0]) / 2 / log(1 / TAIL)
    least, most = criterion.target.minimum, criterion.target.maximum
    total = np.full(len(center), -np.inf)
    for share in (np.arange(N_QUANTILES) + 0.5) / N_QUANTILES:
        quantile = log(2 * share) if share < 1 / 2 else -log(2 * (1 - share))
        values = (center + scale * quantile).clip(least, most)
        total = np.logaddexp(total, criterion.log_desirability(values))
    return total - log(N_QUANTILES)


def _log(chance: Array) -> Array:
    """Return logarithms of chances, minus infinity for none."""
    return np.log(chance, out=np.full(len(chance), -np.inf), where=chance > 0)
