"""A criterion for values near one that is best, such as a gap for one wavelength."""

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, FiniteFloat

from crystalgnn_core.screening.criteria import Criterion


class NearValue(Criterion):
    """Desirability exp(-|value - best| / width).

    Attributes:
        best: Value with desirability 1.
        width: Distance at which desirability has fallen to 1/e.
    """

    kind: Literal["near_value"] = "near_value"
    best: FiniteFloat
    width: Annotated[FiniteFloat, Field(gt=0)]

    def log_desirability(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return -|value - best| / width."""
        return -np.abs(values - self.best) / self.width

    def wanted(self) -> tuple[float, float]:
        """Return all within one width."""
        return self.best - self.width, self.best + self.width

    def sentence(self) -> str:
        """Name the best value and how desirability falls."""
        best, width = (self.target.with_unit(f"{x:g}") for x in (self.best, self.width))
        return f"{self.target.title} near {best}, as exp(-distance / {width})"
