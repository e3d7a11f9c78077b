"""Intervals that hold the truth in nine of ten cases: split conformal prediction.

Vovk, Gammerman & Shafer, Algorithmic Learning in a Random World (2005); Lei et al., J. Am.
Stat. Assoc. 113, 1094 (2018). The quantile of errors of rows that were not trained on holds
for further rows like them, whatever the model. Errors count in units of how large they are
expected to be (Papadopoulos et al. 2008): a line in what is predicted, in the
spread of the members, in how unlike the training rows a row is, and in electronegativities,
fitted to the logarithms of the errors.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from crystalgnn_core.base import ADDED_LATER, FrozenModel
from crystalgnn_core.learning.calibration.expected import (
    LEAST_ROWS,
    SMALL,
    IntervalGroup,
    fit_group,
)
from crystalgnn_core.learning.calibration.two_parts import Prediction, TwoPartIntervals
from crystalgnn_core.targets import (
    HIGH,
    IF_NONZERO,
    LOW,
    NONZERO,
    NOVELTY,
    STD,
    get_target,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from crystalgnn_core.graphs.batches import GraphDataset
    from crystalgnn_core.learning.scaling import TargetScaler

    Columns = Mapping[str, NDArray[np.float64]]

logger = logging.getLogger(__name__)
PROPERTY = "electronegativity"
STATISTICS = [f"{PROPERTY}_{name}" for name in ("mean", "deviation", "range")]


class Intervals(FrozenModel):
    """What is known of the errors of a model.

    Attributes:
        n_rows: Rows set aside for it.
        chose_epoch: Whether these rows have chosen the best epoch, too.
        spread: Target to mean spread of the members; empty for a single network.
        groups: Target to its groups: one, or, of a model with a target in two parts, the
            rows of which it is predicted to be zero and the others (Mondrian prediction).
        two_parts: Targets in two parts to what gives the ends of their intervals; in the
            card of an older version, and where rows of one kind are few, `groups` does.
    """

    n_rows: int
    chose_epoch: bool
    spread: dict[str, float]
    groups: dict[str, tuple[IntervalGroup, ...]]
    two_parts: Annotated[dict[str, TwoPartIntervals], ADDED_LATER] = Field(
        default_factory=dict
    )

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
        groups, two_parts = {}, {}
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
            if name in scaler.hurdle:
                found = TwoPartIntervals.fit(
                    _in_two_parts(name, predicted, inputs).at(known), column[known]
                )
                if found is not None:
                    two_parts[name] = found
                    continue
            groups[name] = _fit_groups(scaler, name, predicted, column, inputs)
        return cls(
            n_rows=len(labels),
            chose_epoch=chose_epoch,
            spread=spread,
            groups=groups,
            two_parts=two_parts,
        )

    @property
    def targets(self) -> set[str]:
        """Targets that have intervals."""
        return {*self.groups, *self.two_parts}

    def columns(
        self, scaler: TargetScaler, predicted: Columns, statistics: NDArray[np.float64]
    ) -> dict[str, NDArray[np.float64]]:
        """Return the ends of the intervals of each target, `<target>_low` and `_high`.

        They are in the target's unit, and not below its minimum.
        """
        inputs = _inputs(scaler, predicted, statistics, self.spread)
        found = {}
        for name, two in self.two_parts.items():
            ends = two.ends(_in_two_parts(name, predicted, inputs))
            found[name + LOW], found[name + HIGH] = ends
        for name, groups in self.groups.items():
            half = groups[0].half_widths(inputs)
            if len(groups) > 1:
                is_zero = _is_zero(scaler, name, predicted)
                half = np.where(is_zero, half, groups[1].half_widths(inputs))
            values = _on_scale(scaler, name, predicted[name])
            ends = values - half, values + half
            if scaler.is_log(name):
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


def _fit_groups(
    scaler: TargetScaler,
    name: str,
    predicted: Columns,
    labels: NDArray[np.float64],
    inputs: NDArray[np.float64],
) -> tuple[IntervalGroup, ...]:
    """Calibrate one target, by predicted zeros and others where both are enough."""
    known, values = np.isfinite(labels), _on_scale(scaler, name, predicted[name])
    errors = np.abs(_on_scale(scaler, name, labels) - values)
    parts = [known]
    if scaler.hurdle:
        is_zero = _is_zero(scaler, name, predicted)
        parts = [known & is_zero, known & ~is_zero]
    if min(part.sum() for part in parts) < LEAST_ROWS:
        parts = [known]
    return tuple(fit_group(inputs[part], errors[part]) for part in parts)


def _is_zero(scaler: TargetScaler, name: str, predicted: Columns) -> NDArray[np.bool_]:
    """Mark the rows whose target, or else the first in two parts, is predicted to be 0."""
    decisive = name if name in scaler.hurdle else scaler.hurdle[0]
    return predicted[decisive] == 0


def _in_two_parts(name: str, predicted: Columns, inputs: NDArray[np.float64]) -> Prediction:
    chance, given = predicted[name + NONZERO], predicted[name + IF_NONZERO]
    return Prediction(predicted[name], chance, given, inputs)


def _on_scale(
    scaler: TargetScaler, name: str, values: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Map values to the scale on which errors are alike."""
    return np.log10(values) if scaler.is_log(name) else values


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
    if NOVELTY in predicted:
        inputs.append(predicted[NOVELTY][:, None])
    return np.concatenate(inputs, axis=1)
