"""How large an error is expected to be: a line for its logarithm."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

import numpy as np

from crystalgnn_core.base import FrozenModel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

COVERAGE = 0.9
LEAST_ROWS = 20  # to calibrate by; the quantile needs 9
N_FOLDS = 5
PENALTY = 20.0  # of the weights of standard scores, in rows
SMALL = 0.1  # of the mean error or spread: differences of smaller ones mean nothing
FARTHEST = 4.0  # standard scores beyond it are cut: lines go on for ever, errors do not


class IntervalGroup(FrozenModel):
    """How wide the intervals of some rows are: quantile times expected error.

    Attributes:
        n: Rows it was calibrated by.
        quantile: The 90 % quantile of errors over expected errors. Where all but a few
            predictions of zero are right it is 0: no interval is narrower.
        mean: Of the inputs of the expected error.
        std: Of the same.
        weights: Of their standard scores in the logarithm of the expected error.
        offset: That logarithm where all inputs are at their means.
    """

    n: int
    quantile: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    weights: tuple[float, ...]
    offset: float

    def half_widths(self, inputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return half the width of intervals, on the scale of the errors."""
        line = standard_scores(inputs, self.mean, self.std) @ np.array(self.weights)
        return self.quantile * np.exp(self.offset + line)


def fit_group(inputs: NDArray[np.float64], errors: NDArray[np.float64]) -> IntervalGroup:
    """Fit the expected error, and the quantile of errors in its units.

    The units of a row come from a fit without its fold, as those of new rows do.
    """
    ratios = np.empty(len(errors))
    for out, rest in folds(len(errors)):
        ratios[out] = errors[out] / fit_error(inputs[rest], errors[rest]).half_widths(
            inputs[out]
        )
    rank = ceil((len(errors) + 1) * COVERAGE)
    whole = fit_error(inputs, errors)
    return whole.model_copy(update={"quantile": float(np.sort(ratios)[rank - 1])})


def fit_error(inputs: NDArray[np.float64], errors: NDArray[np.float64]) -> IntervalGroup:
    """Fit the logarithm of the error, as a line with a penalty (ridge regression)."""
    logs = np.log(errors + SMALL * errors.mean() + np.finfo(float).tiny)
    mean, std = scales_of(inputs)
    scores = standard_scores(inputs, mean, std)
    moments = scores.T @ scores + PENALTY * np.eye(len(mean))
    offset = logs.mean()
    weights = np.linalg.solve(moments, scores.T @ (logs - offset))
    return IntervalGroup(
        n=len(logs),
        quantile=1.0,
        mean=mean,
        std=std,
        weights=tuple(weights.tolist()),
        offset=float(offset),
    )


def folds(n_rows: int) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """Yield which rows are in each fold, and which are not."""
    fold = np.arange(n_rows) % N_FOLDS
    for one in range(N_FOLDS):
        yield fold == one, fold != one


def scales_of(
    inputs: NDArray[np.float64],
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of each column; 1 where it does not vary."""
    mean, std = inputs.mean(axis=0), inputs.std(axis=0)
    std = np.where(std > 1e-12 * (1 + np.abs(mean)), std, 1.0)  # equal but for rounding
    return tuple(mean.tolist()), tuple(std.tolist())


def standard_scores(
    inputs: NDArray[np.float64], mean: tuple[float, ...], std: tuple[float, ...]
) -> NDArray[np.float64]:
    """Return the inputs in standard deviations from their means, cut at the farthest."""
    scores = (inputs - np.array(mean)) / np.array(std)
    return scores.clip(-FARTHEST, FARTHEST)
