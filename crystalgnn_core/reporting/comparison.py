"""Predicted and true values of one target, and how far they agree."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from crystalgnn_core.learning.metrics import Metrics, compare_target
from crystalgnn_core.screening.criteria import TRUE
from crystalgnn_core.targets import NONZERO

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Comparison:
    """True and predicted values of one target on one split.

    Attributes:
        target: Name in the table of targets.
        split: Split or set the rows belong to, such as `test`.
        material_ids: Identifiers, length n.
        true: Reference values in the target's unit, NaN where not known, shape (n,); of a
            class 1 or 0.
        predicted: Predicted values in the target's unit, shape (n,); of a class the
            probabilities of 1.
        baseline: Errors of a composition-only model on the same rows, if one was fitted.
        nonzero: Probabilities that the value is not zero, shape (n,); None if the target
            was not learned in two parts.
    """

    target: str
    split: str
    material_ids: Sequence[str]
    true: NDArray[np.float64]
    predicted: NDArray[np.float64]
    baseline: Metrics | None = None
    nonzero: NDArray[np.float64] | None = None

    @property
    def is_usable(self) -> NDArray[np.bool_]:
        """Whether both values are finite, shape (n,)."""
        return np.isfinite(self.true) & np.isfinite(self.predicted)

    @cached_property
    def metrics(self) -> Metrics:
        """Errors over the rows where both values are finite."""
        columns = {self.target: self.predicted[self.is_usable]}
        if self.nonzero is not None:
            columns[self.target + NONZERO] = self.nonzero[self.is_usable]
        return compare_target(self.target, self.true[self.is_usable], columns)


def compare_columns(
    rows: pd.DataFrame,
    target: str,
    split: str,
    *,
    ids: str,
    baseline: Metrics | None = None,
) -> Comparison:
    """Compare a target's column with that of its true values, `<target>_true`."""
    names = (target + TRUE, target, target + NONZERO)
    true, predicted, *nonzero = (
        rows[name].to_numpy(dtype=float) for name in names if name in rows
    )
    named = rows[ids].to_list()
    return Comparison(target, split, named, true, predicted, baseline, *nonzero)
