"""The map of candidates and the training curves, as plotly specifications."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from crystalgnn_core.reporting.density import density_traces
from crystalgnn_core.reporting.history import (
    LINE_COLORS,
    HistoryPanel,
    best_epoch,
    history_panels,
)
from crystalgnn_core.reporting.style import (
    LIGHT,
    PlotSpec,
    axis,
    corner_note,
    figure,
    legend,
    line_trace,
    make_trace,
)
from crystalgnn_core.reporting.text import format_wanted, formula_markup
from crystalgnn_core.targets import TARGETS, Target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from crystalgnn_core.screening.criteria import Criterion

SCORE = Target(name="score", unit="", title="score", minimum=0.0, maximum=1.0)


def column_target(name: str) -> Target:
    """Return title and unit of a column of numbers."""
    return TARGETS.get(name, SCORE)


def plane_axes(criteria: Sequence[Criterion]) -> list[tuple[str, str]]:
    """Pair one column, if there is one without a window, with each other to be shaded.

    A single column is paired with the score.
    """
    columns = list(dict.fromkeys(criterion.column for criterion in criteria))
    if len(columns) < 2:
        return [(SCORE.name, column) for column in columns]
    without = (criterion.column for criterion in criteria if not criterion.is_window)
    first = next(without, columns[0])
    return [(first, column) for column in columns if column != first]


def plane_figure(
    scatter: pd.DataFrame, axes: tuple[str, str], criteria: Sequence[Criterion], n_top: int
) -> PlotSpec:
    """Draw all candidates by two columns, the first n_top highlighted.

    Args:
        scatter: The two columns, formula, candidate_id and rank (which may be missing),
            one row per candidate.
        axes: Columns along x and y; the wanted range of the latter is shaded.
        criteria: The criteria of the score.
        n_top: Number of leading ranks to highlight.
    """
    rank = pd.to_numeric(scatter["rank"], errors="coerce").to_numpy(dtype=float)
    is_top = rank <= n_top  # NaN compares false
    rest, top = scatter[~is_top], scatter[is_top]
    x, y = map(column_target, axes)
    hover = (
        f"%{{text}}<br>{x.title} {x.with_unit('%{x:.3f}')}, "
        f"{y.title} {y.with_unit('%{y:.3f}')}<extra></extra>"
    )
    traces = density_traces(
        rest[x.name].to_numpy(dtype=float),
        rest[y.name].to_numpy(dtype=float),
        lambda i: _candidate_text(rest.iloc[i]),
        noun="candidates",
        n_cells=(104, 60),
        hover=hover,
    )
    line = {"color": LIGHT["highlight-line"], "width": 1}
    highlighted = make_trace(
        top[x.name],
        top[y.name],
        name=f"ranked 1\N{EN DASH}{n_top}",
        text=[_candidate_text(row) for _, row in top.iterrows()],
        hovertemplate=hover,
        marker={"size": 9, "color": LIGHT["highlight"], "line": line},
    )
    shaded = [criterion for criterion in criteria if criterion.column == axes[1]]
    ends = _vertical_range(scatter[y.name].to_numpy(dtype=float), y, shaded)
    y_axis = axis(y.heading, range=ends)
    spec = figure([*traces, highlighted], x_axis=axis(x.heading), y_axis=y_axis, **legend())
    spec["layout"]["margin"] |= {"t": 36}
    for criterion in shaded:
        _shade(spec, criterion, ends)
    return spec


def history_figures(history: pd.DataFrame) -> list[tuple[HistoryPanel, PlotSpec]]:
    """Draw one small figure for each quantity of the training history."""
    return [(panel, _history_figure(history, panel)) for panel in history_panels(history)]


def _history_figure(history: pd.DataFrame, panel: HistoryPanel) -> PlotSpec:
    traces = []
    for (column, name), color in zip(panel.columns.items(), LINE_COLORS, strict=False):
        trace = line_trace(history["epoch"], history[column], color, name)
        trace["line"] = {"color": color, "width": 1.8}
        trace["hovertemplate"] = f"epoch %{{x}}: %{{y:.4g}} ({name})<extra></extra>"
        traces.append(trace)
    kind = {"type": "log", "dtick": "D2"} if panel.is_log else {"rangemode": "tozero"}
    shown = legend() if len(traces) > 1 else {}
    spec = figure(traces, x_axis=axis("epoch"), y_axis=axis("", **kind), **shown)
    if panel.marks_best:
        _mark_best(spec, history, next(iter(panel.columns)))
    return spec


def _mark_best(spec: PlotSpec, history: pd.DataFrame, column: str) -> None:
    epoch, value = best_epoch(history, column)
    best = make_trace(
        [epoch],
        [value],
        cliponaxis=False,
        marker={"size": 8, "color": LIGHT["highlight"]},
        hovertemplate="best: epoch %{x}, %{y:.4g}<extra></extra>",
    )
    spec["data"].append(best)
    note = corner_note([f"best {value:.3g} at epoch {epoch}"], x=1, xanchor="right")
    spec["layout"]["annotations"].append(note)


def _candidate_text(row: pd.Series) -> str:
    name, formula = html.escape(row["candidate_id"]), formula_markup(row["formula"])
    place = "" if pd.isna(row["rank"]) else f"<br>rank {int(row['rank']):,}"
    return f"<b>{formula}</b><br>{name}{place}"


def _vertical_range(
    values: NDArray[np.float64], target: Target, shaded: Sequence[Criterion]
) -> list[float]:
    """Return an axis that holds all values, and of each wanted range at least an end."""
    finite = values[np.isfinite(values)]
    bounds = [criterion.wanted() for criterion in shaded]
    lowest = min(*finite, *(high for _, high in bounds), np.inf)
    highest = max(*finite, *(low for low, _ in bounds), lowest)
    if target.minimum >= 0:  # also a prediction slightly below 0 stands for 0
        lowest = 0.0
    margin = 0.03 * (highest - lowest) or 0.05
    return [lowest - margin, highest + 2 * margin]


def _shade(spec: PlotSpec, criterion: Criterion, ends: Sequence[float]) -> None:
    """Shade the wanted range of the vertical axis."""
    low, high = criterion.wanted()
    spec["layout"]["shapes"].append(
        {
            "type": "rect",
            "xref": "paper",
            "x0": 0,
            "x1": 1,
            "y0": max(low, ends[0]),
            "y1": min(high, ends[1]),
            "fillcolor": LIGHT["window"],
            "line": {"width": 0},
            "layer": "below",
        }
    )
    # An empty trace gives the range a place in the legend, where no marker hides it.
    swatch = {"size": 12, "symbol": "square", "color": LIGHT["window"]}
    name = f"wanted: {format_wanted(criterion)}"
    spec["data"].append(make_trace([np.nan], [np.nan], name=name, marker=swatch))
