"""Predicted against true values of one target, with the errors."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from crystalgnn_core.reporting.density import density_traces
from crystalgnn_core.reporting.style import (
    LIGHT,
    PlotSpec,
    axis,
    corner_note,
    figure,
    line_trace,
)
from crystalgnn_core.reporting.text import format_number
from crystalgnn_core.targets import get_target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True)
class ParityData:
    """True and predicted values of one target on one split.

    Attributes:
        target: Name in the table of targets.
        split: Split or set the rows belong to, such as `test`.
        material_ids: Identifiers, length n.
        true: Reference values in the target's unit, shape (n,).
        predicted: Predicted values in the target's unit, shape (n,).
        mae: Mean absolute error in the target's unit.
        rmse: Root mean square error in the target's unit.
        r2: Coefficient of determination.
        baseline_mae: Error of a composition-only model on the same rows, if one was fitted.
    """

    target: str
    split: str
    material_ids: Sequence[str]
    true: NDArray[np.float64]
    predicted: NDArray[np.float64]
    mae: float
    rmse: float
    r2: float
    baseline_mae: float | None = None

    @classmethod
    def of(
        cls,
        target: str,
        split: str,
        material_ids: Sequence[str],
        true: NDArray[np.float64],
        predicted: NDArray[np.float64],
        *,
        baseline_mae: float | None = None,
    ) -> ParityData:
        """Compute the errors over the rows where both values are finite; NaN if none is."""
        usable = np.isfinite(true) & np.isfinite(predicted)
        if not usable.any():
            nan = float("nan")
            return cls(
                target, split, material_ids, true, predicted, nan, nan, nan, baseline_mae
            )
        error = predicted[usable] - true[usable]
        spread = float(np.sum((true[usable] - true[usable].mean()) ** 2))
        r2 = 1.0 - float(np.sum(error**2)) / spread if spread > 0 else float("nan")
        mae, rmse = float(np.abs(error).mean()), float(np.sqrt((error**2).mean()))
        return cls(
            target, split, material_ids, true, predicted, mae, rmse, r2, baseline_mae
        )

    @property
    def n_rows(self) -> int:
        """Number of rows where both values are finite."""
        return int(np.sum(np.isfinite(self.true) & np.isfinite(self.predicted)))


def parity_figure(data: ParityData) -> PlotSpec:
    """Draw predicted against true values with the identity line and the errors."""
    target = get_target(data.target)
    is_log = target.transform == "log10"
    traces = density_traces(
        np.asarray(data.true, dtype=float),
        np.asarray(data.predicted, dtype=float),
        lambda i: html.escape(str(data.material_ids[i])),
        noun="materials",
        hover=f"<b>%{{text}}</b><br>true {target.with_unit('%{x:.4g}')}<br>predicted "
        f"{target.with_unit('%{y:.4g}')}<extra></extra>",
        is_log=is_log,
    )
    low, high = _common_range(data, is_log=is_log)
    traces.append(line_trace([low, high], [low, high], LIGHT["axis"], "perfect agreement"))
    span = [float(np.log10(low)), float(np.log10(high))] if is_log else [low, high]
    shared = {"type": "log"} if is_log else {}
    x_axis = axis(f"true {target.heading}", range=span, constrain="domain", **shared)
    y_axis = axis(
        f"predicted {target.heading}",
        range=span,
        constrain="domain",
        scaleanchor="x",
        **shared,
    )
    spec = figure(traces, x_axis=x_axis, y_axis=y_axis)
    spec["layout"]["annotations"] = [_error_box(data)]
    return spec


def _common_range(data: ParityData, *, is_log: bool) -> tuple[float, float]:
    values = np.concatenate([np.ravel(data.true), np.ravel(data.predicted)]).astype(float)
    values = values[np.isfinite(values) & ((values > 0) | (not is_log))]
    if not len(values):
        return (1.0, 10.0) if is_log else (0.0, 1.0)
    low, high = float(values.min()), float(values.max())
    if is_log:
        return low / 1.2, high * 1.2
    margin = 0.04 * (high - low) or 0.5
    return low - margin, high + margin


def _error_box(data: ParityData) -> PlotSpec:
    target = get_target(data.target)
    lines = [
        f"<b>MAE {target.with_unit(format_number(data.mae))}</b>",
        f"RMSE {target.with_unit(format_number(data.rmse))}",
        f"R\N{SUPERSCRIPT TWO} {format_number(data.r2)}",
        f"n = {data.n_rows:,}",
    ]
    if data.baseline_mae is not None:
        baseline = target.with_unit(format_number(data.baseline_mae))
        lines.insert(1, f"composition only {baseline}")
    return corner_note(lines)
