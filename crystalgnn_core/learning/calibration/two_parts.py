"""Intervals of targets in two parts: the ends are quantiles of zero-or-not and how much.

Distributional conformal prediction (Chernozhukov, Wüthrich & Zhu, PNAS 118, e2107794118
(2021)): a row has a distribution of its own, the share of it beyond the ends is calibrated.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from crystalgnn_core.base import FrozenModel
from crystalgnn_core.learning.calibration.expected import (
    COVERAGE,
    LEAST_ROWS,
    IntervalGroup,
    fit_error,
    folds,
    scales_of,
    standard_scores,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

STRENGTH = 0.05  # inverse penalty of the chance that a value is not zero
LEVELS = np.linspace(0, 1, 51)
LIKELY = 0.4  # chance of another value from which the interval of a zero is more than it
LEAST_COVERAGE = 0.87  # of other predictions, where those of zero hold more than 90 %


class Prediction(NamedTuple):
    """What is predicted of rows, and of what it depends how far off it is.

    Attributes:
        value: Median of both parts, shape (n_rows,).
        chance: That it is not zero.
        given: Value if it is not.
        inputs: Of the expected error, shape (n_rows, n_inputs).
    """

    value: Array
    chance: Array
    given: Array
    inputs: Array

    def at(self, rows: NDArray[np.bool_]) -> Prediction:
        """Return some of the rows."""
        return Prediction(*(column[rows] for column in self))


class Mixture(NamedTuple):
    """Distributions of zero and other values, a row each: chance, centre and scale."""

    chance: Array
    given: Array
    scale: Array

    def share_below(self, values: Array, quantiles: Array) -> Array:
        """Return the share at or below values that are not zero."""
        ratios = (values - self.given) / self.scale
        return 1 - self.chance + self.chance * np.interp(ratios, quantiles, LEVELS)

    def quantile(self, share: Array | float, quantiles: Array) -> Array:
        """Return the values below which a share lies; none is below zero."""
        above = (share - (1 - self.chance)) / self.chance
        ends = self.given + self.scale * np.interp(above.clip(0, 1), LEVELS, quantiles)
        return np.where(above <= 0, 0.0, np.maximum(ends, 0.0))


class TwoPartIntervals(FrozenModel):
    """What gives the intervals of a target in two parts.

    Attributes:
        n: Rows it was calibrated by.
        mean: Of the logit of the chance that a value is not zero, as the network says it,
            and of the inputs of the expected error.
        std: Of the same.
        weights: Of their standard scores in the logit as it turned out to be.
        offset: That logit where all are at their means.
        error: Expected error of values that are not zero.
        quantiles: Of errors over expected errors, signed, at equal steps from 0 to 1.
        tail: Share of the distribution beyond either end, of predictions that are not zero.
    """

    n: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    weights: tuple[float, ...]
    offset: float
    error: IntervalGroup
    quantiles: tuple[float, ...]
    tail: float = 0.0

    @classmethod
    def fit(cls, predicted: Prediction, labels: Array) -> TwoPartIntervals | None:
        """Calibrate by labels of shape (n_rows,), none missing; None by too few."""
        is_zero, is_metal = predicted.value == 0, labels == 0
        parts = (is_zero, ~is_zero, is_metal, ~is_metal)
        if min(part.sum() for part in parts) < LEAST_ROWS:
            return None
        mixtures = np.empty((3, len(labels)))
        for out, rest in folds(len(labels)):
            part = _fit_parts(predicted.at(rest), labels[rest])
            mixtures[:, out] = part.mixture(predicted.at(out))
        mixture, whole = Mixture(*mixtures), _fit_parts(predicted, labels)
        ratios = ((labels - mixture.given) / mixture.scale)[~is_metal]
        quantiles = np.quantile(ratios, LEVELS)
        high = mixture.quantile(1 - LIKELY, quantiles)
        n_right = int((labels <= high)[is_zero].sum())
        n_rest = int((~is_zero).sum())
        level = (COVERAGE * len(labels) - n_right) / n_rest
        level = min(max(level, LEAST_COVERAGE), COVERAGE)
        below = mixture.share_below(labels, quantiles)
        tails = np.where(is_metal, 1 - mixture.chance, np.minimum(below, 1 - below))
        rank = max(n_rest - ceil((n_rest + 1) * level), 0)
        found = {
            "quantiles": tuple(quantiles.tolist()),
            "tail": float(np.sort(tails[~is_zero])[rank]),
        }
        return whole.model_copy(update=found)

    def ends(self, predicted: Prediction) -> tuple[Array, Array]:
        """Return the ends of the intervals; the prediction itself is inside."""
        mixture, quantiles = self.mixture(predicted), np.array(self.quantiles)
        is_zero = predicted.value == 0
        tail = np.where(is_zero, LIKELY, self.tail)
        low = mixture.quantile(np.where(is_zero, 0.0, tail), quantiles)
        high = mixture.quantile(1 - tail, quantiles)
        return np.minimum(low, predicted.value), np.maximum(high, predicted.value)

    def mixture(self, predicted: Prediction) -> Mixture:
        """Return the distributions of rows."""
        scores = standard_scores(_logits(predicted), self.mean, self.std)
        logit = self.offset + scores @ np.array(self.weights)
        scale = self.error.half_widths(predicted.inputs)
        return Mixture(1 / (1 + np.exp(-logit)), predicted.given, scale)


def _logits(predicted: Prediction) -> Array:
    """Return what the chance depends on: that of the network, and the other inputs."""
    chance = predicted.chance.clip(1e-7, 1 - 1e-7)
    logit = np.log(chance / (1 - chance))
    return np.concatenate([logit[:, None], predicted.inputs], axis=1)


def _fit_parts(predicted: Prediction, labels: Array) -> TwoPartIntervals:
    """Fit the chance that a value is not zero, and the expected error if it is not."""
    from sklearn.linear_model import LogisticRegression

    inputs, is_there = _logits(predicted), labels != 0
    mean, std = scales_of(inputs)
    scores = standard_scores(inputs, mean, std)
    line = LogisticRegression(C=STRENGTH, max_iter=1000).fit(scores, is_there)
    errors = np.abs(labels - predicted.given)[is_there]
    return TwoPartIntervals(
        n=len(labels),
        mean=mean,
        std=std,
        weights=tuple(line.coef_[0].tolist()),
        offset=float(line.intercept_[0]),
        error=fit_error(predicted.inputs[is_there], errors),
        quantiles=(),
    )
