"""What a good candidate is: the contract of a criterion, and the built-in kinds."""

from __future__ import annotations

from abc import abstractmethod
from math import inf, isfinite
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, FiniteFloat, model_validator

from crystalgnn_core.base import FrozenModel
from crystalgnn_core.targets import Target, TargetName, get_target

if TYPE_CHECKING:
    from numpy.typing import NDArray

Width = Annotated[FiniteFloat, Field(gt=0)]
TRUE = "_true"  # what names of known values end in


class Criterion(FrozenModel):
    """Contract: how desirable the values of one column are, in numbers, words and a range.

    The score of a candidate is the weighted geometric mean of its desirabilities. A kind of
    criterion is a subclass with a field `kind` of one literal string and the three methods;
    `crystalgnn_core.contracts.criteria` checks one.

    Attributes:
        column: Target whose values are judged, in its unit; of a class the probability.
        weight: Weight in the mean, relative to those of the other criteria; with 0 the
            criterion is only reported.
    """

    column: TargetName
    weight: Annotated[FiniteFloat, Field(ge=0)] = 1.0

    @abstractmethod
    def log_desirability(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the natural logarithm of desirabilities between 0 and 1.

        Each value is judged by itself, so that any partition of the candidates scores the
        same.

        Args:
            values: In the unit of the column, shape (n,); none is missing.

        Returns:
            Shape (n,), 0 where a value is fully desirable; minus infinity is allowed.
        """

    @abstractmethod
    def wanted(self) -> tuple[float, float]:
        """Return the lowest and the highest wanted value; a bound may be infinite.

        No value outside is more desirable than one inside. Plots shade this range; if it is
        bounded on both sides, the report also counts the candidates in it.
        """

    @abstractmethod
    def sentence(self) -> str:
        """Say what is rewarded and how, with units, for example on the report page."""

    @property
    def target(self) -> Target:
        """The target in this column, with title and unit."""
        return get_target(self.column)

    @property
    def is_window(self) -> bool:
        """Whether the wanted range is bounded on both sides."""
        return all(map(isfinite, self.wanted()))


class Window(Criterion):
    """Desirability 1 from `low` to `high`, and exp(-(distance / width)^2 / 2) outside.

    Attributes:
        low: Lowest wanted value.
        high: Highest wanted value.
        width: How quickly desirability falls outside.
    """

    kind: Literal["window"] = "window"
    low: FiniteFloat
    high: FiniteFloat
    width: Width

    @model_validator(mode="after")
    def _is_ordered(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low {self.low:g} is above high {self.high:g}; swap them")
        return self

    def log_desirability(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return 0 inside, and -(distance / width)^2 / 2 outside."""
        distance = np.maximum(np.maximum(self.low - values, values - self.high), 0.0)
        # beyond 1000 widths the desirability is 0 anyway, and the square could overflow
        return -0.5 * np.square(np.minimum(distance / self.width, 1e3))

    def wanted(self) -> tuple[float, float]:
        """Return the window."""
        return self.low, self.high

    def sentence(self) -> str:
        """Name the window and how desirability falls outside."""
        target = self.target
        ends = f"{format_value(self.low)} to {format_value(self.high)}"
        return (
            f"{target.title} from {target.with_unit(ends)}, falling as exp(\N{MINUS SIGN}"
            f"(distance / {target.with_unit(format_value(self.width))})² / 2) outside"
        )


class _Threshold(Criterion):
    """Desirability 1/2 at the midpoint, rising to 1 on the wanted side.

    Attributes:
        midpoint: Value with desirability 1/2.
        width: Width of the transition.
    """

    kind: str
    sign: ClassVar[int]  # 1 where low values are wanted, -1 where high ones are
    midpoint: FiniteFloat
    width: Width

    def log_desirability(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the logarithm of the logistic function."""
        return -np.logaddexp(0.0, self.sign * (values - self.midpoint) / self.width)

    def wanted(self) -> tuple[float, float]:
        """Return all on the wanted side of the midpoint."""
        return (-inf, self.midpoint) if self.sign > 0 else (self.midpoint, inf)

    def sentence(self) -> str:
        """Name the midpoint and the logistic function."""
        midpoint, width = (
            self.target.with_unit(format_value(x)) for x in (self.midpoint, self.width)
        )
        terms = ["value", "midpoint"][:: self.sign]
        difference = " \N{MINUS SIGN} ".join(terms)
        return (
            f"{self.target.title} {self.kind} {midpoint}, as "
            f"1 / (1 + exp(({difference}) / {width}))"
        )


class Below(_Threshold):
    """Desirability 1 / (1 + exp((value - midpoint) / width)): low values are wanted."""

    kind: Literal["below"] = "below"
    sign = 1


class Above(_Threshold):
    """Desirability 1 / (1 + exp((midpoint - value) / width)): high values are wanted."""

    kind: Literal["above"] = "above"
    sign = -1


def format_value(value: float) -> str:
    """Write a setting with a true minus sign and no more digits than it has."""
    return f"{value:g}".replace("-", "\N{MINUS SIGN}")
