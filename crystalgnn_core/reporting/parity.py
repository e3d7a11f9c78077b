"""Predicted against true values of one target, with the errors."""

from __future__ import annotations

import html
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
from crystalgnn_core.reporting.text import format_number, format_share
from crystalgnn_core.targets import get_target

if TYPE_CHECKING:
    from crystalgnn_core.reporting.comparison import Comparison


def parity_figure(data: Comparison) -> PlotSpec:
    """Draw predicted against true values with the identity line and the errors."""
    target = get_target(data.target)
    is_log = target.transform == "log10"
    traces = density_traces(
        data.true,
        data.predicted,
        lambda i: html.escape(str(data.material_ids[i])),
        noun="materials",
        hover=f"<b>%{{text}}</b><br>true {target.with_unit('%{x:.4g}')}<br>predicted "
        f"{target.with_unit('%{y:.4g}')}<extra></extra>",
        is_log=is_log,
    )
    low, high = _common_range(data, is_log=is_log)
    traces.append(line_trace([low, high], [low, high], LIGHT["axis"], "perfect agreement"))
    span = [float(np.log10(low)), float(np.log10(high))] if is_log else [low, high]
    shared = {"range": span, "constrain": "domain"} | ({"type": "log"} if is_log else {})
    return figure(
        traces,
        x_axis=axis(f"true {target.heading}", **shared),
        y_axis=axis(f"predicted {target.heading}", scaleanchor="x", **shared),
        annotations=[_error_box(data)],
    )


def parity_caption(data: Comparison) -> str:
    """Say in words how large the error is, and how much the structures help."""
    target, mae = get_target(data.target), data.metrics.mae
    error = target.with_unit(format_number(mae))
    errors = f"Mean absolute error {error} on {data.metrics.n:,} rows"
    other = data.baseline.mae if data.baseline else None
    if mae is None or other is None or not other > 0:
        return f"{errors}. {_describe_zeros(data)}Dashed: perfect agreement."
    word = "smaller" if mae <= other else "larger"
    return (
        f"{errors}, {format_share(abs(other - mae), other)} {word} than that of a model "
        f"that sees the composition only ({target.with_unit(format_number(other))}). "
        f"{_describe_zeros(data)}Dashed: perfect agreement."
    )


def _common_range(data: Comparison, *, is_log: bool) -> tuple[float, float]:
    values = np.concatenate([data.true, data.predicted])
    values = values[np.isfinite(values) & ((values > 0) | (not is_log))]
    if not len(values):
        return (1.0, 10.0) if is_log else (0.0, 1.0)
    low, high = float(values.min()), float(values.max())
    if is_log:
        return low / 1.2, high * 1.2
    margin = 0.04 * (high - low) or 0.5
    return low - margin, high + margin


def _error_box(data: Comparison) -> PlotSpec:
    target, found = get_target(data.target), data.metrics
    lines = [
        f"<b>MAE {target.with_unit(format_number(found.mae))}</b>",
        f"RMSE {target.with_unit(format_number(found.rmse))}",
        f"R\N{SUPERSCRIPT TWO} {format_number(found.r2)}",
        f"n = {found.n:,}",
    ]
    if data.baseline is not None and data.baseline.mae is not None:
        baseline = target.with_unit(format_number(data.baseline.mae))
        lines.insert(1, f"composition only {baseline}")
    if found.zeros is not None and found.zeros.auc is not None:
        lines.append(f"AUC of above 0 {format_number(found.zeros.auc)}")
    return corner_note(lines)


def _describe_zeros(data: Comparison) -> str:
    """Say how large the errors are where the true value is zero and elsewhere."""
    target, found = get_target(data.target), data.metrics.zeros
    if found is None or found.auc is None:
        return ""
    at_zero, above = (
        target.with_unit(format_number(mae)) for mae in (found.mae_zero, found.mae_nonzero)
    )
    brier = "" if found.brier is None else f" (Brier score {format_number(found.brier)})"
    return (
        f"It is {at_zero} on the {found.n_zero:,} rows whose {target.title} is 0 and "
        f"{above} on the others; area under the ROC curve of the two "
        f"{format_number(found.auc)}{brier}. "
    )
