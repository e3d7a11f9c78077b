"""The map of candidates and the training curves, as plotly specifications."""

from __future__ import annotations

import html

import numpy as np
import pandas as pd

from crystalgnn_core.reporting.density import density_traces
from crystalgnn_core.reporting.history import HistoryPanel, best_epoch, history_panels
from crystalgnn_core.reporting.style import (
    LIGHT,
    PlotSpec,
    axis,
    figure,
    json_numbers,
    legend,
    line_trace,
)
from crystalgnn_core.reporting.text import format_window, formula_markup

PLANE_COLUMNS = ("formation_energy_per_atom", "band_gap", "formula", "candidate_id", "rank")


def plane_figure(
    scatter: pd.DataFrame, gap_window: tuple[float, float] | None, *, n_top: int
) -> PlotSpec:
    """Draw all candidates by formation energy and band gap, the first n_top highlighted.

    Args:
        scatter: The columns `PLANE_COLUMNS`, one row a candidate; rank may be missing.
        gap_window: Wanted band gaps in eV, shaded; a bound may be infinite.
        n_top: Number of leading ranks to highlight.
    """
    rank = pd.to_numeric(scatter["rank"], errors="coerce").to_numpy(dtype=float)
    is_top = rank <= n_top  # NaN compares false
    rest, top = scatter[~is_top], scatter[is_top]
    hover = "%{text}<br>%{x:.3f} eV/atom, gap %{y:.3f} eV<extra></extra>"
    traces = density_traces(
        rest["formation_energy_per_atom"].to_numpy(dtype=float),
        rest["band_gap"].to_numpy(dtype=float),
        lambda i: _candidate_text(rest.iloc[i]),
        noun="candidates",
        n_cells=(104, 60),
        hover=hover,
    )
    traces.append(_top_trace(top, hover, n_top))
    gaps = scatter["band_gap"].to_numpy(dtype=float)
    largest = float(np.nanmax(gaps)) if np.isfinite(gaps).any() else 1.0
    ceiling = 1.06 * max(largest, gap_window[0] if gap_window else 0.0, 0.1)
    y_axis = axis("band gap (eV)", range=[-0.03 * ceiling, ceiling])
    spec = figure(traces, x_axis=axis("formation energy (eV/atom)"), y_axis=y_axis)
    spec["layout"] |= {"showlegend": True, "legend": legend()}
    spec["layout"]["margin"] |= {"t": 36}
    if gap_window is not None:
        _shade_window(spec, gap_window, ceiling)
    return spec


def history_figures(history: pd.DataFrame) -> list[tuple[HistoryPanel, PlotSpec]]:
    """Draw one small figure for each quantity of the training history."""
    return [(panel, _history_figure(history, panel)) for panel in history_panels(history)]


def _history_figure(history: pd.DataFrame, panel: HistoryPanel) -> PlotSpec:
    epoch = history["epoch"].to_numpy(dtype=float)
    colors = (LIGHT["accent"], LIGHT["highlight"])
    traces = []
    for (column, name), color in zip(panel.columns.items(), colors, strict=False):
        trace = line_trace(epoch, history[column].to_numpy(dtype=float), color, name)
        trace["line"] = {"color": color, "width": 1.8}
        trace["hovertemplate"] = f"epoch %{{x}}: %{{y:.4g}} ({name})<extra></extra>"
        traces.append(trace)
    kind = {"type": "log", "dtick": "D2"} if panel.is_log else {"rangemode": "tozero"}
    y_axis = axis("", **kind)
    spec = figure(traces, x_axis=axis("epoch"), y_axis=y_axis)
    if len(traces) > 1:
        spec["layout"] |= {"showlegend": True, "legend": legend()}
    if panel.marks_best:
        _mark_best(spec, history, next(iter(panel.columns)))
    return spec


def _mark_best(spec: PlotSpec, history: pd.DataFrame, column: str) -> None:
    epoch, value = best_epoch(history, column)
    spec["data"].append(
        {
            "type": "scatter",
            "mode": "markers",
            "x": [epoch],
            "y": [value],
            "cliponaxis": False,
            "marker": {"size": 8, "color": LIGHT["highlight"]},
            "hovertemplate": "best: epoch %{x}, %{y:.4g}<extra></extra>",
        }
    )
    spec["layout"]["annotations"].append(
        {
            "text": f"best {value:.3g} at epoch {epoch}",
            "showarrow": False,
            "xref": "x domain",
            "yref": "y domain",
            "x": 1,
            "y": 0.98,
            "xanchor": "right",
            "yanchor": "top",
            "font": {"color": LIGHT["ink"], "size": 12},
        }
    )


def _candidate_text(row: pd.Series) -> str:
    name, formula = (
        html.escape(str(row["candidate_id"])),
        formula_markup(str(row["formula"])),
    )
    place = "" if pd.isna(row["rank"]) else f"<br>rank {int(row['rank']):,}"
    return f"<b>{formula}</b><br>{name}{place}"


def _top_trace(top: pd.DataFrame, hover: str, n_top: int) -> PlotSpec:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": f"ranked 1\N{EN DASH}{n_top}",
        "x": json_numbers(top["formation_energy_per_atom"]),
        "y": json_numbers(top["band_gap"]),
        "text": [_candidate_text(row) for _, row in top.iterrows()],
        "hovertemplate": hover,
        "marker": {
            "size": 9,
            "color": LIGHT["highlight"],
            "line": {"color": LIGHT["highlight-line"], "width": 1},
        },
    }


def _shade_window(spec: PlotSpec, window: tuple[float, float], ceiling: float) -> None:
    low, high = max(window[0], -0.03 * ceiling), min(window[1], ceiling)
    spec["layout"]["shapes"].append(
        {
            "type": "rect",
            "xref": "paper",
            "x0": 0,
            "x1": 1,
            "y0": low,
            "y1": high,
            "fillcolor": LIGHT["window"],
            "line": {"width": 0},
            "layer": "below",
        }
    )
    # An empty trace gives the window a place in the legend, where no marker hides it.
    swatch = {"size": 12, "symbol": "square", "color": LIGHT["window"]}
    name = f"gap window {format_window(*window, 'eV')}"
    spec["data"].append(
        {"type": "scatter", "mode": "markers", "name": name, "x": [None], "y": [None]}
        | {"marker": swatch}
    )
