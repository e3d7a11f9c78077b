"""Where some numbers lie: mean, spread and quantiles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from crystalgnn_core.base import FrozenModel

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TENTHS = tuple(n / 10 for n in range(1, 10))
QUANTILES = (0.0, 0.005, 0.01, 0.05, *_TENTHS, 0.95, 0.99, 0.995, 1.0)


class Distribution(FrozenModel):
    """Where some numbers lie.

    Attributes:
        n: How many there are.
        minimum: The smallest.
        maximum: The largest.
        mean: Their mean.
        std: Their standard deviation, with n in the denominator.
        quantiles: Values at `QUANTILES`, by linear interpolation.
    """

    n: int
    minimum: float
    maximum: float
    mean: float
    std: float
    quantiles: tuple[float, ...]

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> Distribution | None:
        """Describe numbers in any order, shape (n,); None if there are none."""
        if not len(values):
            return None
        ordered = np.sort(values)  # so that the sums do not depend on the order
        return cls(
            n=len(ordered),
            minimum=float(ordered[0]),
            maximum=float(ordered[-1]),
            mean=float(ordered.mean()),
            std=float(ordered.std()),
            quantiles=tuple(np.quantile(ordered, QUANTILES).tolist()),
        )

    def quantile(self, probability: float) -> float:
        """Return the value at one of `QUANTILES`."""
        return self.quantiles[QUANTILES.index(probability)]
