"""Errors of predictions against labels, missing labels left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from crystalgnn_core.base import FrozenModel

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Metrics(FrozenModel):
    """Errors of one target on one set of rows, in the target's unit.

    Attributes:
        n: Rows with a label.
        mae: Mean absolute error; None without rows.
        rmse: Root mean square error; None without rows.
        r2: Coefficient of determination; None when the labels do not vary.
        mad: Mean absolute deviation of the labels from their mean: the error of a
            constant guess; 0 when they do not vary.
    """

    n: int
    mae: float | None
    rmse: float | None
    r2: float | None
    mad: float | None


def compare(true: NDArray[np.float64], predicted: NDArray[np.float64]) -> Metrics:
    """Compare predictions with labels.

    Args:
        true: Labels, NaN where missing, shape (n_rows,).
        predicted: Predictions, shape (n_rows,).
    """
    known = np.isfinite(true)
    labels, guesses = true[known], predicted[known]
    if not len(labels):
        return Metrics(n=0, mae=None, rmse=None, r2=None, mad=None)
    error = guesses - labels
    varies = labels.min() < labels.max()  # the mean of equal labels may be off by rounding
    deviation = labels - labels.mean() if varies else np.zeros(len(labels))
    return Metrics(
        n=len(labels),
        mae=float(np.abs(error).mean()),
        rmse=float(np.sqrt(np.square(error).mean())),
        r2=float(1 - np.square(error).sum() / np.square(deviation).sum())
        if varies
        else None,
        mad=float(np.abs(deviation).mean()),
    )


def scaled_error(metrics: list[Metrics]) -> float:
    """Average MAE / MAD over targets: 1 is a constant guess, 0 is perfect.

    This single number picks the best epoch and decides between champion and challenger;
    it does not depend on the targets' units. A target whose labels do not vary counts with
    its MAE.
    """
    ratios = [m.mae / (m.mad or 1.0) for m in metrics if m.mae is not None]
    return float(np.mean(ratios)) if ratios else float("inf")
