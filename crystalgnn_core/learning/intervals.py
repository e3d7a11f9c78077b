"""Intervals that hold the truth in nine of ten cases: split conformal prediction.

Vovk, Gammerman & Shafer, Algorithmic Learning in a Random World (2005); Lei et al., J. Am.
Stat. Assoc. 113, 1094 (2018). The quantile of errors of rows that were not trained on holds
for further rows like them, whatever the model. Errors count in units of how large they are
expected to be (Papadopoulos et al. 2008): a line in what is predicted, in the
spread of the members, and in electronegativities, fitted to the logarithms of the errors.
"""

from __future__ import annotations

import logging
from math import ceil
from typing import TYPE_CHECKING

import numpy as np

from crystalgnn_core.base import FrozenModel
from crystalgnn_core.targets import HIGH, IF_NONZERO, LOW, NONZERO, STD, get_target

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from crystalgnn_core.graphs.batches import GraphDataset
    from crystalgnn_core.learning.scaling import TargetScaler

    Columns = Mapping[str, NDArray[np.float64]]

logger = logging.getLogger(__name__)
COVERAGE = 0.9
LEAST_ROWS = 20  # to calibrate by; the quantile needs 9
N_FOLDS = 5
PENALTY = 20.0  # of the weights of standard scores, in rows
SMALL = 0.1  # of the mean error or spread: differences of smaller ones mean nothing
FARTHEST = 4.0  # standard scores beyond it are cut: lines go on for ever, errors do not
PROPERTY = "electronegativity"
STATISTICS = [f"{PROPERTY}_{name}" for name in ("mean", "deviation", "range")]


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
        return self.quantile * np.exp(self._log_error(inputs))

    def _log_error(self, inputs: NDArray[np.float64]) -> NDArray[np.float64]:
        scores = (inputs - np.array(self.mean)) / np.array(self.std)
        return self.offset + scores.clip(-FARTHEST, FARTHEST) @ np.array(self.weights)


class Intervals(FrozenModel):
    """What is known of the errors of a model.

    Attributes:
        n_rows: Rows set aside for it.
        chose_epoch: Whether these rows have chosen the best epoch, too.
        spread: Target to mean spread of the members; empty for a single network.
        groups: Target to its groups: one, or, of a target in two parts, the rows that are
            predicted to be zero and the others (Mondrian prediction).
    """

    n_rows: int
    chose_epoch: bool
    spread: dict[str, float]
    groups: dict[str, tuple[IntervalGroup, ...]]

    @classmethod
    def fit(
        cls,
        scaler: TargetScaler,
        predicted: Columns,
        labels: NDArray[np.float64],
        statistics: NDArray[np.float64],
        *,
        chose_epoch: bool,
    ) -> Intervals:
        """Calibrate by rows that were not trained on.

        Classes have no intervals; nor have targets with fewer than `LEAST_ROWS` labels.

        Args:
            scaler: Of the model.
            predicted: Columns of its predictions, each of shape (n_rows,).
            labels: In the targets' units, NaN missing, shape (n_rows, n_targets).
            statistics: See `describe_compositions`.
            chose_epoch: As the attribute.
        """
        spread = {
            name: float(predicted[name + STD].mean())
            for name in scaler.targets
            if name + STD in predicted
        }
        inputs = _inputs(scaler, predicted, statistics, spread)
        groups = {}
        for name, column in zip(scaler.targets, labels.T, strict=True):
            if get_target(name).is_class:
                continue
            known = np.isfinite(column)
            if known.sum() < LEAST_ROWS:
                logger.warning(
                    "%s: %d labels to calibrate intervals by, at least %d are needed; it "
                    "has none",
                    name,
                    known.sum(),
                    LEAST_ROWS,
                )
                continue
            values = _on_scale(scaler, name, predicted[name])
            errors = np.abs(_on_scale(scaler, name, column) - values)[known]
            is_zero = predicted[name][known] == 0
            parts = [is_zero, ~is_zero] if name in scaler.hurdle else []
            if not parts or min(part.sum() for part in parts) < LEAST_ROWS:
                parts = [np.ones(len(errors), dtype=bool)]
            groups[name] = tuple(
                _fit_group(inputs[known][part], errors[part]) for part in parts
            )
        return cls(
            n_rows=len(labels), chose_epoch=chose_epoch, spread=spread, groups=groups
        )

    def columns(
        self, scaler: TargetScaler, predicted: Columns, statistics: NDArray[np.float64]
    ) -> dict[str, NDArray[np.float64]]:
        """Return the ends of the intervals of each target, `<target>_low` and `_high`.

        They are in the target's unit, and not below its minimum.
        """
        inputs = _inputs(scaler, predicted, statistics, self.spread)
        found = {}
        for name, groups in self.groups.items():
            halves = [group.half_widths(inputs) for group in groups]
            half = np.where(predicted[name] == 0, halves[0], halves[-1])
            values = _on_scale(scaler, name, predicted[name])
            ends = values - half, values + half
            if _is_log(scaler, name):
                ends = 10.0 ** ends[0], 10.0 ** ends[1]
            least = get_target(name).minimum
            found[name + LOW], found[name + HIGH] = (np.maximum(end, least) for end in ends)
        return found


def describe_compositions(
    dataset: GraphDataset, positions: NDArray[np.int64] | None = None
) -> NDArray[np.float64]:
    """Return statistics of the electronegativities, shape (n_positions, 3).

    They tell oxides and fluorides from intermetallics, whose errors differ.
    """
    from crystalgnn_core.models.composition.features import batch_features, feature_names

    columns = [feature_names().index(name) for name in STATISTICS]
    return np.nan_to_num(batch_features(*dataset.compositions(positions))[:, columns])


def _is_log(scaler: TargetScaler, name: str) -> bool:
    return get_target(name).transform == "log10" and name not in scaler.linear


def _on_scale(
    scaler: TargetScaler, name: str, values: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Map values to the scale on which errors are alike."""
    return np.log10(values) if _is_log(scaler, name) else values


def _inputs(
    scaler: TargetScaler,
    predicted: Columns,
    statistics: NDArray[np.float64],
    spread: Mapping[str, float],
) -> NDArray[np.float64]:
    """Return what the expected error depends on, shape (n_rows, n_inputs)."""
    inputs = [statistics]
    for name in scaler.targets:
        if name in scaler.hurdle:
            value, chance = predicted[name + IF_NONZERO], predicted[name + NONZERO]
        else:
            value, chance = _on_scale(scaler, name, predicted[name]), None
            chance = value if get_target(name).is_class else None
        inputs.append(np.stack([value, value**2], axis=1))
        if chance is not None:
            inputs.append(np.stack([chance, chance * (1 - chance)], axis=1))
        if name in spread:
            shown = predicted[name + STD] + SMALL * spread[name] + np.finfo(float).tiny
            inputs.append(np.log(shown)[:, None])
    return np.concatenate(inputs, axis=1)


def _fit_group(inputs: NDArray[np.float64], errors: NDArray[np.float64]) -> IntervalGroup:
    """Fit the expected error, and the quantile of errors in its units.

    The units of a row come from a fit without its fold, as those of new rows do.
    """
    logs = np.log(errors + SMALL * errors.mean() + np.finfo(float).tiny)
    fold = np.arange(len(errors)) % N_FOLDS
    ratios = np.empty(len(errors))
    for one in range(N_FOLDS):
        is_out = fold == one
        part = _fit_line(inputs[~is_out], logs[~is_out])
        ratios[is_out] = errors[is_out] / part.half_widths(inputs[is_out])
    rank = ceil((len(errors) + 1) * COVERAGE)
    whole = _fit_line(inputs, logs)
    return whole.model_copy(update={"quantile": float(np.sort(ratios)[rank - 1])})


def _fit_line(inputs: NDArray[np.float64], logs: NDArray[np.float64]) -> IntervalGroup:
    """Fit the logarithm of the error, as a line with a penalty (ridge regression)."""
    mean, std = inputs.mean(axis=0), inputs.std(axis=0)
    std = np.where(std > 1e-12 * (1 + np.abs(mean)), std, 1.0)  # equal but for rounding
    scores = ((inputs - mean) / std).clip(-FARTHEST, FARTHEST)
    moments = scores.T @ scores + PENALTY * np.eye(len(mean))
    offset = logs.mean()
    weights = np.linalg.solve(moments, scores.T @ (logs - offset))
    return IntervalGroup(
        n=len(logs),
        quantile=1.0,
        mean=tuple(mean.tolist()),
        std=tuple(std.tolist()),
        weights=tuple(weights.tolist()),
        offset=float(offset),
    )
