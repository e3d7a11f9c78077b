"""Errors of predictions against labels, missing labels left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from crystalgnn_core.base import FrozenModel
from crystalgnn_core.learning.scores import (
    ClassMetrics,
    IntervalMetrics,
    ZeroMetrics,
    class_metrics,
    interval_metrics,
    zero_metrics,
)
from crystalgnn_core.targets import HIGH, LOW, NONZERO, get_target

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray


class Metrics(FrozenModel):
    """Errors of one target on one set of rows, in the target's unit.

    For a class the values are 1 and 0 against a probability.

    Attributes:
        n: Rows with a label.
        mae: Mean absolute error; None without rows.
        rmse: Root mean square error; None without rows.
        r2: Coefficient of determination; None when the labels do not vary.
        mad: Mean absolute deviation of the labels from their mean: the error of a
            constant guess; 0 when they do not vary.
        classes: Errors of classes, too; None for other targets.
        zeros: Errors at zero and elsewhere; None for a target without many zeros, and in
            the card of an older version.
        intervals: Of the intervals; None for a model that gives none.
    """

    n: int
    mae: float | None
    rmse: float | None
    r2: float | None
    mad: float | None
    classes: ClassMetrics | None = None
    zeros: ZeroMetrics | None = None
    intervals: IntervalMetrics | None = None

    @property
    def error(self) -> float | None:
        """The error by which models are compared: Brier score of a class, else the MAE."""
        return self.mae if self.classes is None else self.classes.brier

    @property
    def error_name(self) -> str:
        """What `error` is called."""
        return "MAE" if self.classes is None else "Brier score"


def compare(
    true: NDArray[np.float64], predicted: NDArray[np.float64], *, are_classes: bool = False
) -> Metrics:
    """Compare predictions with labels.

    Args:
        true: Labels, NaN where missing, shape (n_rows,).
        predicted: Predictions, shape (n_rows,).
        are_classes: Whether labels are 1 or 0 and predictions are probabilities of 1.
    """
    known = np.isfinite(true)
    labels, guesses = true[known], predicted[known]
    if not len(labels):
        return Metrics(n=0, mae=None, rmse=None, r2=None, mad=None)
    error = guesses - labels
    varies = labels.min() < labels.max()  # the mean of equal labels may be off by rounding
    deviation = labels - labels.mean() if varies else np.zeros(len(labels))
    r2 = float(1 - np.square(error).sum() / np.square(deviation).sum()) if varies else None
    return Metrics(
        n=len(labels),
        mae=float(np.abs(error).mean()),
        rmse=float(np.sqrt(np.square(error).mean())),
        r2=r2,
        mad=float(np.abs(deviation).mean()),
        classes=class_metrics(labels, guesses) if are_classes else None,
    )


def compare_target(
    name: str, true: NDArray[np.float64], predicted: Mapping[str, NDArray[np.float64]]
) -> Metrics:
    """Compare predictions of one target with its labels, classes as classes.

    Args:
        name: The target.
        true: Labels, NaN where missing, shape (n_rows,).
        predicted: Column name to values of shape (n_rows,): the target in its unit and, of
            one that was learned in two parts, the probability that it is not zero; and
            the ends of the intervals, where there are any.
    """
    target, values = get_target(name), predicted[name]
    metrics = compare(true, values, are_classes=target.is_class)
    if name + LOW in predicted and metrics.n:
        held = interval_metrics(true, values, predicted[name + LOW], predicted[name + HIGH])
        metrics = metrics.model_copy(update={"intervals": held})
    if not target.is_zero_inflated:
        return metrics
    zeros = zero_metrics(true, values, predicted.get(name + NONZERO))
    return metrics.model_copy(update={"zeros": zeros})


def compare_targets(
    targets: Sequence[str],
    true: NDArray[np.float64],
    predicted: Mapping[str, NDArray[np.float64]],
) -> dict[str, Metrics]:
    """Compare predictions with labels target by target, see `compare_target`.

    Args:
        targets: Targets in the order of the labels.
        true: Labels, NaN where missing, shape (n_rows, n_targets).
        predicted: Column name to values of shape (n_rows,).
    """
    return {
        name: compare_target(name, column, predicted)
        for name, column in zip(targets, true.T, strict=True)
    }


def scaled_error(metrics: list[Metrics]) -> float:
    """Average over targets the error over that of a constant guess: 0 is perfect.

    MAE / MAD for a number; for a class the Brier score over that of its share, which, as a
    proper score (Brier, Mon. Weather Rev. 78, 1 (1950)), is smallest for honest
    probabilities, and which one bold mistake cannot spoil as it would the log loss.

    This single number picks the best epoch and decides between champion and challenger;
    it does not depend on the targets' units. A target whose labels do not vary counts with
    its error.
    """
    ratios = [_scaled(m) for m in metrics if m.mae is not None and m.error is not None]
    return float(np.mean(ratios)) if ratios else float("inf")


def _scaled(metrics: Metrics) -> float:
    error = metrics.error or 0.0
    if metrics.classes is None:
        return error / (metrics.mad or 1.0)
    share = metrics.classes.share or 0.0
    return error / (share * (1 - share) or 1.0)


def history_columns(metrics: dict[str, Metrics]) -> dict[str, float | None]:
    """Name the validation errors that the history of a training keeps."""
    row: dict[str, float | None] = {}
    for name, found in metrics.items():
        if found.classes is None:
            row[f"val_mae_{name}"] = found.mae
        else:
            row[f"val_brier_{name}"] = found.classes.brier
            row[f"val_accuracy_{name}"] = found.classes.accuracy
            row[f"val_auc_{name}"] = found.classes.auc
    return row


def describe_error(name: str, metrics: Metrics) -> str:
    """Put the errors of a target into a few words; empty where none is known."""
    if metrics.classes is not None:
        found = (("accuracy", metrics.classes.accuracy), ("AUC", metrics.classes.auc))
        shown = [f"{word} {value:.4f}" for word, value in found if value is not None]
        return f"{name} {' '.join(shown)}" if shown else ""
    if metrics.mae is None:
        return ""
    return f"{name} MAE {get_target(name).with_unit(f'{metrics.mae:.4f}')}"


def describe_errors(metrics: dict[str, Metrics]) -> str:
    """Put the errors of all targets into one line; targets without labels are left out."""
    texts = (describe_error(name, found) for name, found in metrics.items())
    return ", ".join(text for text in texts if text)
