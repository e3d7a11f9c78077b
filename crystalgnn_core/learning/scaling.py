"""Targets on the scale on which a model learns: transformed, zero mean, unit spread.

Classes are learned as they are, 1 or 0, by a model that gives their logit. A target of
which many labels are exactly zero can be learned in two parts, a hurdle model (Cragg,
Econometrica 39, 829 (1971)): the logit that it is not zero, and its value if it is not.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated

import numpy as np
from scipy.special import expit

from crystalgnn_core.base import ADDED_LATER, FrozenModel
from crystalgnn_core.targets import IF_NONZERO, NONZERO, STD, get_target, is_class

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

logger = logging.getLogger(__name__)
# of the error of a value in units of the spread of the labels that are not zero: 0.34 for
# gaps of MP-20; their MAE varies by less than 1 % between 0.2 and 0.6
WIDTH = 1 / 3


class TargetScaler(FrozenModel):
    """Which output columns a model has, and their scale.

    The columns are those of the targets, in order, then one logit for each target of
    `hurdle`.

    Attributes:
        targets: Target names, in the order of the model's output columns.
        mean: Mean after the target's transform; 0 for a class.
        std: Standard deviation after the transform; 1 when the labels do not vary, and for
            a class.
        linear: Targets whose labels were not transformed, whatever the table of targets
            says: some published models learned moduli in GPa, not their logarithms.
        hurdle: Targets in two parts. The column of such a target is its value if it is not
            zero, with mean and spread of the labels that are not; a further column behind
            those of all targets is the logit that it is not zero.
    """

    targets: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    linear: tuple[str, ...] = ()
    hurdle: Annotated[tuple[str, ...], ADDED_LATER] = ()

    @classmethod
    def fit(
        cls,
        targets: Sequence[str],
        labels: NDArray[np.float64],
        *,
        linear: tuple[str, ...] = (),
        hurdle: Sequence[str] = (),
    ) -> TargetScaler:
        """Fit to labels in the targets' units, shape (n_rows, n_targets), NaN missing.

        A target of `hurdle` whose labels are all zero, or all not, has one part only.
        """
        scales, in_two = [], []
        for name, column in zip(targets, labels.T, strict=True):
            known = column[np.isfinite(column)]
            if name in hurdle and _has_both(name, known):
                in_two.append(name)
                known = known[known > 0]
            values = known if name in linear else _forward(name, known)
            scales.append((0.0, 1.0) if is_class(name) else _mean_and_spread(values))
        return cls(
            targets=tuple(targets),
            mean=tuple(mean for mean, _ in scales),
            std=tuple(std for _, std in scales),
            linear=linear,
            hurdle=tuple(in_two),
        )

    @property
    def n_outputs(self) -> int:
        """Output columns of the model."""
        return len(self.targets) + len(self.hurdle)

    @property
    def output_classes(self) -> tuple[bool, ...]:
        """Whether each output column is a logit."""
        return (*map(is_class, self.targets), *(True for _ in self.hurdle))

    @property
    def output_weights(self) -> tuple[float, ...]:
        """Weight of each output column in the loss; those of one target are 1 together."""
        return tuple(0.5 if name in self.hurdle else 1.0 for name in self.output_targets)

    @property
    def output_targets(self) -> tuple[str, ...]:
        """Target that each output column belongs to."""
        return (*self.targets, *self.hurdle)

    @property
    def column_names(self) -> tuple[str, ...]:
        """Columns of predictions: the targets, each with its parts behind it."""
        return self.columns_of(self.targets)

    def columns_of(self, targets: Sequence[str]) -> tuple[str, ...]:
        """Name the columns of some targets and of their parts."""
        columns = []
        for name in targets:
            columns.append(name)
            if name in self.hurdle:
                columns += [name + NONZERO, name + IF_NONZERO]
        return tuple(columns)

    def is_log(self, name: str) -> bool:
        """Return whether the logarithm of a target is learned, to the base of ten."""
        return get_target(name).transform == "log10" and name not in self.linear

    def scale(self, labels: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map labels in the targets' units to what the model learns; NaN stays NaN.

        Returns:
            Shape (n_rows, n_outputs). Of a target in two parts the value is NaN where the
            label is zero, so that no loss counts there; the logit's label is 1 or 0.
        """
        columns = []
        for name, column in zip(self.targets, labels.T, strict=True):
            known = np.where(column > 0, column, np.nan) if name in self.hurdle else column
            columns.append(known if name in self.linear else _forward(name, known))
        scaled = (np.stack(columns, axis=1) - np.array(self.mean)) / np.array(self.std)
        given = [labels[:, self.targets.index(name)] for name in self.hurdle]
        is_there = [np.where(np.isnan(column), np.nan, column > 0) for column in given]
        return np.column_stack([scaled, *is_there])

    def unscale(self, outputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map model outputs to the targets' units, and logits to probabilities.

        Args:
            outputs: Shape (n_rows, n_outputs).

        Returns:
            One value per target, shape (n_rows, n_targets); see `columns`.
        """
        found = self.columns(outputs)
        return np.stack([found[name] for name in self.targets], axis=1)

    def columns(self, outputs: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        """Map model outputs to the columns of `column_names`, each of shape (n_rows,).

        A target in two parts is the median of what both say together, which has the
        smallest mean absolute error: 0 if it is more probable than not, else its value if
        it is not zero, less by `WIDTH` ln(2 - 1/p) on the model's scale, at least 0. That
        is for a Laplace distribution about the value, and continuous in both parts.
        """
        n_targets = len(self.targets)
        found = {}
        for index, name in enumerate(self.targets):
            found[name] = self._in_units(index, outputs[:, index])
            if name in self.hurdle:
                logit = outputs[:, n_targets + self.hurdle.index(name)]
                is_there = ~(logit <= 0)
                # 2 - 1/p = 1 - exp(-logit)
                below = np.log(-np.expm1(-np.where(is_there, logit, np.inf)))
                median = self._in_units(index, outputs[:, index] + WIDTH * below)
                value = np.maximum(found[name], 0.0)
                found[name] = np.where(is_there, np.maximum(median, 0.0), 0.0)
                found[name + NONZERO], found[name + IF_NONZERO] = expit(logit), value
        return found

    def member_columns(
        self, outputs: NDArray[np.float64]
    ) -> dict[str, NDArray[np.float64]]:
        """Map the outputs of the members of a model to the columns of their mean.

        Args:
            outputs: Shape (n_members, n_rows, n_outputs).

        Returns:
            The columns of `columns`, and of several members the standard deviation of each
            target over their predictions, in its unit.
        """
        found = self.columns(outputs.mean(axis=0))
        if len(outputs) > 1:
            each = np.stack([self.unscale(one) for one in outputs])
            spread = each.std(axis=0, ddof=1)
            found |= {n + STD: s for n, s in zip(self.targets, spread.T, strict=True)}
        return found

    def _in_units(self, index: int, scaled: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map the output column of a target to its unit, and logits to probabilities."""
        name, values = self.targets[index], scaled * self.std[index] + self.mean[index]
        if self.is_log(name):
            return 10.0**values
        return expit(values) if is_class(name) else values


def _has_both(name: str, known: NDArray[np.float64]) -> bool:
    """Return whether there are labels of both parts of a target; say so when not."""
    n_zero = int((known == 0).sum())
    if 0 < n_zero < len(known):
        return True
    logger.warning(
        "%s: %s of the %d training labels are zero; it is learned as one number, not two",
        name,
        "all" if n_zero else "none",
        len(known),
    )
    return False


def _mean_and_spread(values: NDArray[np.float64]) -> tuple[float, float]:
    # equal labels may have a spread of rounding errors
    return float(values.mean()), float(values.std()) if values.min() < values.max() else 1.0


def _forward(name: str, values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.log10(values) if get_target(name).transform == "log10" else values
