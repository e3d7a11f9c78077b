"""Errors of a kind of target or prediction: of classes, at zero, of intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from crystalgnn_core.base import FrozenModel

if TYPE_CHECKING:
    from numpy.typing import NDArray

BOUND = 0.5  # probability from which a row counts as predicted to be of the class


class ClassMetrics(FrozenModel):
    """How well probabilities of a class agree with the classes.

    Attributes:
        share: Share of rows of the class.
        accuracy: Share of rows whose class is predicted, from a probability of 0.5 on.
        balanced_accuracy: Mean of that share over both classes; None without both.
        f1: Harmonic mean of precision and recall of the class.
        auc: Area under the ROC curve; None without both classes.
        log_loss: Mean negative logarithm of the probability of what was true.
        brier: Mean squared difference of probability and class.
    """

    share: float | None = None
    accuracy: float | None = None
    balanced_accuracy: float | None = None
    f1: float | None = None
    auc: float | None = None
    log_loss: float | None = None
    brier: float | None = None


class ZeroMetrics(FrozenModel):
    """Errors where the label is zero and elsewhere, of a target with many zeros.

    Attributes:
        n_zero: Rows whose label is zero.
        mae_zero: Mean absolute error on these; None without any.
        mae_nonzero: Mean absolute error on the others; None without any.
        auc: How well the others are told apart: area under the ROC curve of the probability
            that a value is not zero, or of the predicted value where a model gives none;
            None without rows of both kinds.
        balanced_accuracy: Mean over both kinds of the share of rows that the probability
            puts on the right side of 0.5; None without rows of both kinds, or if a model
            gives no probability.
        brier: Mean squared error of the probability; None if a model gives none.
    """

    n_zero: int
    mae_zero: float | None = None
    mae_nonzero: float | None = None
    auc: float | None = None
    balanced_accuracy: float | None = None
    brier: float | None = None


class IntervalMetrics(FrozenModel):
    """How well intervals hold the labels, of which they are meant to hold nine of ten.

    Attributes:
        coverage: Share of the labels that lie inside, ends included.
        width: Mean width in the target's unit.
        mae_narrow: Mean absolute error of the half of the rows with the narrowest; None in
            the card of an older version.
    """

    coverage: float
    width: float
    mae_narrow: float | None = None


def class_metrics(
    labels: NDArray[np.float64], probability: NDArray[np.float64]
) -> ClassMetrics:
    """Compare probabilities with classes, 1 or 0, none missing."""
    if not np.isfinite(probability).all():
        return ClassMetrics(share=float(labels.mean()), brier=float("nan"))
    from sklearn import metrics as scores

    is_there, is_said = labels > BOUND, probability >= BOUND
    balanced = auc = None
    if 0 < is_there.sum() < len(labels):  # both classes are there
        balanced = float(scores.balanced_accuracy_score(is_there, is_said))
        auc = float(scores.roc_auc_score(is_there, probability))
    return ClassMetrics(
        share=float(is_there.mean()),
        accuracy=float(scores.accuracy_score(is_there, is_said)),
        balanced_accuracy=balanced,
        f1=float(scores.f1_score(is_there, is_said, zero_division=0.0)),
        auc=auc,
        log_loss=float(scores.log_loss(is_there, probability, labels=[False, True])),
        brier=float(np.square(probability - labels).mean()),
    )


def zero_metrics(
    true: NDArray[np.float64],
    predicted: NDArray[np.float64],
    probability: NDArray[np.float64] | None,
) -> ZeroMetrics:
    """Compare predictions, and probabilities where there are any, with labels."""
    known = np.isfinite(true)
    is_there, error = true[known] != 0, np.abs(predicted - true)[known]
    zero, other = error[~is_there], error[is_there]
    has_both = bool(len(zero) and len(other))
    scores = (predicted if probability is None else probability)[known]
    balanced = brier = None
    if probability is not None and len(error):
        is_right = (scores >= BOUND) == is_there
        brier = float(np.square(scores - is_there).mean())
        if has_both:
            balanced = float((is_right[is_there].mean() + is_right[~is_there].mean()) / 2)
    return ZeroMetrics(
        n_zero=len(zero),
        mae_zero=float(zero.mean()) if len(zero) else None,
        mae_nonzero=float(other.mean()) if len(other) else None,
        auc=_area_under_curve(is_there, scores) if has_both else None,
        balanced_accuracy=balanced,
        brier=brier,
    )


def interval_metrics(
    true: NDArray[np.float64],
    predicted: NDArray[np.float64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
) -> IntervalMetrics:
    """Count the labels in their intervals; NaN is missing."""
    known = np.isfinite(true)
    width, error = (high - low)[known], np.abs(predicted - true)[known]
    narrowest = np.argsort(width, kind="stable")[: (len(width) + 1) // 2]
    return IntervalMetrics(
        coverage=float(((low <= true) & (true <= high))[known].mean()),
        width=float(width.mean()),
        mae_narrow=float(error[narrowest].mean()),
    )


def _area_under_curve(
    is_there: NDArray[np.bool_], scores: NDArray[np.float64]
) -> float | None:
    """Return the share of pairs of both kinds in the right order, equal scores as half."""
    if not np.isfinite(scores).all():
        return None
    from scipy.stats import rankdata

    n_there = int(is_there.sum())
    above = rankdata(scores)[is_there].sum() - n_there * (n_there + 1) / 2
    return float(above / (n_there * (len(scores) - n_there)))
