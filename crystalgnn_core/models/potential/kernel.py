"""Kernel ridge regression whose settings are chosen by left-out rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from crystalgnn_core.models.fitted import CERTAIN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

LENGTHS = (2.0, 4.0, 8.0, 16.0, 32.0)  # a typical distance between rows is 1.4
PENALTIES = 10.0 ** np.arange(-5, 2)
STRENGTH = 10.0  # inverse penalty of the logit of a class
LEAST = 1e-10  # eigenvalue of the kernel beside the largest that is more than rounding
CHUNK = 2048  # rows whose kernel is in memory at a time when predicting


class Kernel(NamedTuple):
    """A fitted model.

    Attributes:
        mean: Of the features, shape (n_features,).
        inverse: Of their standard deviations, zero for constant ones, same shape.
        centers: Standard scores of training rows, shape (n_centers, n_features), float32.
        weight: Of the kernel with each center, shape (n_targets, n_centers).
        start: Where no center is near, shape (n_targets,).
        length: In which the kernel falls, shape (n_targets,).
    """

    mean: NDArray[np.float64]
    inverse: NDArray[np.float64]
    centers: NDArray[np.float32]
    weight: NDArray[np.float64]
    start: NDArray[np.float64]
    length: NDArray[np.float64]


def empty_kernel(n_targets: int) -> Kernel:
    """Return what nothing has been fitted to."""
    none = np.zeros(0)
    return Kernel(
        *(none, none, np.zeros((0, 0), np.float32), np.zeros((n_targets, 0))),
        *(np.zeros(n_targets), np.ones(n_targets)),
    )


def fit_kernel(
    features: NDArray[np.float64],
    labels: NDArray[np.float64],
    *,
    classes: Sequence[bool],
    max_centers: int,
    seed: int,
) -> Kernel:
    """Fit each target on the rows that have its label.

    Length and penalty have the lowest mean absolute error of left-out rows, in closed form.
    With more rows than centers the kernel is spanned by some rows, drawn at random (subset
    of regressors); all of them are fitted.

    Args:
        features: Finite, shape (n_rows, n_features).
        labels: NaN missing, shape (n_rows, n_targets).
        classes: Whether each target is the logit of a class, with labels 0 and 1.
        max_centers: Most rows that span the kernel.
        seed: Of the draw.
    """
    mean, spread = features.mean(axis=0), features.std(axis=0)
    varies = spread > 1e-6 * (1 + np.abs(mean))
    inverse = np.where(varies, 1 / np.where(varies, spread, 1), 0.0)
    scores = ((features - mean) * inverse).astype(np.float32)
    drawn = np.random.default_rng(seed).permutation(len(scores))[:max_centers]
    centers = scores[np.sort(drawn)]
    fitted = [
        _fit(scores[known], column[known], centers, is_class=is_class)
        for column, known, is_class in zip(
            labels.T, np.isfinite(labels.T), classes, strict=True
        )
    ]
    weights, starts, lengths = zip(*fitted, strict=True)
    return Kernel(
        mean, inverse, centers, np.stack(weights), np.array(starts), np.array(lengths)
    )


def predict_kernel(features: NDArray[np.float64], kernel: Kernel) -> NDArray[np.float64]:
    """Predict rows, shape (n_rows, n_targets)."""
    if not len(kernel.centers):  # nothing has been fitted yet
        return np.tile(kernel.start, (len(features), 1))
    scores = ((features - kernel.mean) * kernel.inverse).astype(np.float32)
    found = np.empty((len(scores), len(kernel.start)))
    for start in range(0, len(scores), CHUNK):
        far = _distances(scores[start : start + CHUNK], kernel.centers)
        for at, length in enumerate(kernel.length):
            values = _matern(far, length) @ kernel.weight[at]
            found[start : start + CHUNK, at] = kernel.start[at] + values
    return found


def _fit(
    scores: NDArray[np.float32],
    labels: NDArray[np.float64],
    centers: NDArray[np.float32],
    *,
    is_class: bool,
) -> tuple[NDArray[np.float64], float, float]:
    """Return weights, start and length of one target."""
    if labels.min() == labels.max():
        certain = CERTAIN if labels[0] else -CERTAIN
        return np.zeros(len(centers)), certain if is_class else float(labels[0]), 1.0
    few = np.linspace(0, len(scores) - 1, min(len(scores), len(centers))).astype(np.int64)
    within, between = _distances(centers, centers), _distances(scores[few], centers)
    trials = [_ridge(_span(within, between, each)[0], labels[few]) for each in LENGTHS]
    best = int(np.argmin([trial.error for trial in trials]))
    length = LENGTHS[best]
    rows, back = _span(within, _distances(scores, centers), length)
    if is_class:
        slope, start = _logistic(rows, labels)
        return back @ slope, start, length
    return back @ _ridge(rows, labels).slope, float(labels.mean()), length


class _Ridge(NamedTuple):
    error: float  # mean absolute, of left-out rows
    slope: NDArray[np.float64]


def _ridge(rows: NDArray[np.float64], labels: NDArray[np.float64]) -> _Ridge:
    """Fit a ridge whose penalty has the lowest error of left-out rows."""
    values, vectors = np.linalg.eigh(rows.T @ rows)
    turned, target = rows @ vectors, labels - labels.mean()
    moments, found = turned.T @ target, []
    for penalty in PENALTIES:
        shrunk = 1 / (np.maximum(values, 0) + penalty)
        # the mean is a parameter, too
        leverage = np.square(turned) @ shrunk + 1 / len(rows)
        left = (target - turned @ (shrunk * moments)) / np.maximum(1 - leverage, LEAST)
        found.append(_Ridge(float(np.abs(left).mean()), vectors @ (shrunk * moments)))
    return min(found, key=lambda one: one.error)


def _logistic(
    rows: NDArray[np.float64], labels: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float]:
    """Return slope and intercept of a logit."""
    from sklearn.linear_model import LogisticRegression

    made = LogisticRegression(C=STRENGTH, max_iter=1000).fit(rows, labels > 0.5)
    return made.coef_[0], float(made.intercept_[0])


def _span(
    within: NDArray[np.float64], between: NDArray[np.float64], length: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return features whose products are the kernel, and their way back to the centers."""
    values, vectors = np.linalg.eigh(_matern(within, length))
    kept = values > LEAST * values[-1]
    back = vectors[:, kept] / np.sqrt(values[kept])
    return _matern(between, length) @ back, back


def _distances(
    rows: NDArray[np.float32], others: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return root mean square differences, shape (n_rows, n_others)."""
    left, right = rows.astype(np.float64), others.astype(np.float64)
    squares = np.square(left).sum(axis=1)[:, None] + np.square(right).sum(axis=1)
    squares -= 2 * left @ right.T
    return np.sqrt(np.maximum(squares, 0) / max(1, rows.shape[1]))


def _matern(far: NDArray[np.float64], length: float) -> NDArray[np.float64]:
    """Return the kernel of Matern with the parameter 3/2."""
    scaled = np.sqrt(3) * far / length
    return np.asarray((1 + scaled) * np.exp(-scaled))
