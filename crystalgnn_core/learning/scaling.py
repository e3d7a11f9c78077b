"""Targets on the scale on which a model learns: transformed, zero mean, unit spread.

Classes are learned as they are, 1 or 0, by a model that gives their logit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit

from crystalgnn_core.base import FrozenModel
from crystalgnn_core.targets import get_target, is_class

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class TargetScaler(FrozenModel):
    """Mean and standard deviation of each transformed target in the training split.

    Attributes:
        targets: Target names, in the order of the model's output columns.
        mean: Mean after the target's transform; 0 for a class.
        std: Standard deviation after the transform; 1 when the labels do not vary, and for
            a class.
        linear: Targets whose labels were not transformed, whatever the table of targets
            says: some published models learned moduli in GPa, not their logarithms.
    """

    targets: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    linear: tuple[str, ...] = ()

    @classmethod
    def fit(
        cls,
        targets: Sequence[str],
        labels: NDArray[np.float64],
        *,
        linear: tuple[str, ...] = (),
    ) -> TargetScaler:
        """Fit to labels in the targets' units, shape (n_rows, n_targets), NaN missing."""
        scales = []
        for name, column in zip(targets, labels.T, strict=True):
            known = column[np.isfinite(column)]
            values = known if name in linear else _forward(name, known)
            scales.append((0.0, 1.0) if is_class(name) else _mean_and_spread(values))
        return cls(
            targets=tuple(targets),
            mean=tuple(mean for mean, _ in scales),
            std=tuple(std for _, std in scales),
            linear=linear,
        )

    def scale(self, labels: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map labels in the targets' units to the model's scale; NaN stays NaN."""
        columns = [
            labels[:, index] if name in self.linear else _forward(name, labels[:, index])
            for index, name in enumerate(self.targets)
        ]
        return (np.stack(columns, axis=1) - np.array(self.mean)) / np.array(self.std)

    def unscale(self, outputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map model outputs to the targets' units, and logits to probabilities."""
        values = outputs * np.array(self.std) + np.array(self.mean)
        for index, name in enumerate(self.targets):
            if get_target(name).transform == "log10" and name not in self.linear:
                values[:, index] = 10.0 ** values[:, index]
            elif is_class(name):
                values[:, index] = expit(values[:, index])
        return values


def _mean_and_spread(values: NDArray[np.float64]) -> tuple[float, float]:
    # equal labels may have a spread of rounding errors
    return float(values.mean()), float(values.std()) if values.min() < values.max() else 1.0


def _forward(name: str, values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.log10(values) if get_target(name).transform == "log10" else values
