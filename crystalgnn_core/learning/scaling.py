"""Targets on the scale on which a model learns: transformed, zero mean, unit spread."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from crystalgnn_core.base import FrozenModel
from crystalgnn_core.targets import get_target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class TargetScaler(FrozenModel):
    """Mean and standard deviation of each transformed target in the training split.

    Attributes:
        targets: Target names, in the order of the model's output columns.
        mean: Mean after the target's transform.
        std: Standard deviation after the transform; 1 when the labels do not vary.
    """

    targets: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def fit(cls, targets: Sequence[str], labels: NDArray[np.float64]) -> TargetScaler:
        """Fit to labels in the targets' units, shape (n_rows, n_targets), NaN missing."""
        columns = [
            _forward(name, labels[:, index][np.isfinite(labels[:, index])])
            for index, name in enumerate(targets)
        ]
        return cls(
            targets=tuple(targets),
            mean=tuple(float(column.mean()) for column in columns),
            # equal labels may have a spread of rounding errors
            std=tuple(float(c.std()) if c.min() < c.max() else 1.0 for c in columns),
        )

    def scale(self, labels: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map labels in the targets' units to the model's scale; NaN stays NaN."""
        columns = [_forward(name, labels[:, i]) for i, name in enumerate(self.targets)]
        return (np.stack(columns, axis=1) - np.array(self.mean)) / np.array(self.std)

    def unscale(self, outputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map model outputs to the targets' units."""
        values = outputs * np.array(self.std) + np.array(self.mean)
        for index, name in enumerate(self.targets):
            if get_target(name).transform == "log10":
                values[:, index] = 10.0 ** values[:, index]
        return values


def _forward(name: str, values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.log10(values) if get_target(name).transform == "log10" else values
