"""Desirability of values that are predicted with a distribution, not as one number."""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING

import numpy as np

from crystalgnn_core.targets import HIGH, IF_NONZERO, LOW, NONZERO

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd
    from numpy.typing import NDArray

    from crystalgnn_core.learning.cards import ModelCard
    from crystalgnn_core.screening.criteria import Criterion

    Array = NDArray[np.float64]

N_QUANTILES = 20
TAIL = 0.1  # share of true values outside an interval
LIKELY = 0.5  # chance above which the interval is one of values that are not zero


def are_uncertain(cards: Iterable[ModelCard], targets: Iterable[str]) -> bool:
    """Return whether models predict distributions of some of these targets."""
    wanted = set(targets)
    further = {name + end for name in wanted for end in (NONZERO, LOW)}
    return any(further & set(card.column_names) for card in cards)


def log_desirability(
    criterion: Criterion, candidates: pd.DataFrame, suffix: str = ""
) -> Array:
    """Return the logarithm of the mean desirability of what the values may be.

    A value in two parts is zero but for its chance, and else about its value if it is not
    zero; any other is about its prediction. About it stands a Laplace distribution, which
    the 90 % interval gives: of a value in two parts its upper end, beyond which one in
    twenty lies, since the lower one is zero where that is not unlikely. Without parts and
    intervals a value is one number, and so is one that is more probably zero.

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
        there = _mean(criterion, if_nonzero, _scale_in_parts(rows, name))
        zero = criterion.log_desirability(np.zeros(len(rows)))
        found[known] = np.logaddexp(_log(1 - chance) + zero, _log(chance) + there)
    else:
        found[known] = _mean(criterion, values[known], _scale(rows, name))
    return found


def _scale(rows: pd.DataFrame, name: str) -> Array | None:
    """Return the scales of distributions with these intervals; None without intervals."""
    if name + LOW not in rows:
        return None
    ends = rows[[name + LOW, name + HIGH]].to_numpy(dtype=float)
    return (ends[:, 1] - ends[:, 0]) / 2 / log(1 / TAIL)


def _scale_in_parts(rows: pd.DataFrame, name: str) -> Array | None:
    """Return the scales of values that are not zero, of which the upper end is exceeded.

    chance * exp(-(high - value) / scale) / 2 = TAIL / 2.
    """
    if name + LOW not in rows:
        return None
    names = [name + HIGH, name + IF_NONZERO, name + NONZERO]
    high, value, chance = rows[names].to_numpy(dtype=float).T
    likely = np.maximum(chance, LIKELY)
    return np.where(chance > LIKELY, (high - value).clip(0) / np.log(likely / TAIL), 0.0)


def _mean(criterion: Criterion, center: Array, scale: Array | None) -> Array:
    """Return the logarithm of the mean desirability about some values."""
    if scale is None:
        return criterion.log_desirability(center)
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
