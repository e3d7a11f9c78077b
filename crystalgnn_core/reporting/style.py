"""Colours of the two schemes, and the layout that every figure shares.

A figure is a plain plotly specification: a dictionary with `data` and `layout` that holds
only JSON values, so that `plotly.graph_objects.Figure(spec)` shows it in a notebook and the
page draws it without importing plotly. Figures use the light colours; the page exchanges
each for its dark counterpart, for which reason no two names share a light colour.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PlotSpec = dict[str, Any]

COLORS = {  # name: light, dark
    "page": ("#f6f7f9", "#0f1419"),
    "surface": ("#ffffff", "#161d24"),
    "raised": ("#eef1f4", "#202932"),
    "ink": ("#17212b", "#e8edf2"),
    "muted": ("#5a6673", "#9aa8b5"),
    "line": ("#dbe1e7", "#2b3641"),
    "accent": ("#0b6685", "#67c1de"),
    "bar": ("#14708f", "#2f84a1"),
    "accent-soft": ("#e2eff4", "#17333f"),
    "highlight": ("#c8441b", "#ff8d5f"),
    "highlight-line": ("#fffefd", "#161d24"),
    "window": ("#dcefe1", "#1a3527"),
    "window-ink": ("#2b7145", "#7fcf9b"),
    "point": ("#6f9fb3", "#5b8ea3"),
    "density-low": ("#c3dbe4", "#22475a"),
    "density-mid": ("#4e93ad", "#3f93b3"),
    "density-high": ("#083c50", "#c9f0fb"),
    "grid": ("#e9edf1", "#232d36"),
    "axis": ("#8b97a3", "#71808e"),
    "warn": ("#7a4b00", "#ffd58a"),
    "warn-soft": ("#fff1d2", "#33270f"),
    "warn-line": ("#e0a63c", "#8a6420"),
}
LIGHT = {name: light for name, (light, _) in COLORS.items()}
DARK = {name: dark for name, (_, dark) in COLORS.items()}
FONT = (
    'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", '
    "Helvetica, Arial, sans-serif"
)


def figure(
    data: list[PlotSpec],
    *,
    x_axis: PlotSpec,
    y_axis: PlotSpec,
    **extra: Any,  # noqa: ANN401  any JSON value
) -> PlotSpec:
    """Assemble a figure of one panel in the common style; the rest goes to the layout."""
    layout = {
        "font": {"family": FONT, "size": 12, "color": LIGHT["muted"]},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "margin": {"l": 48, "r": 16, "t": 20, "b": 46},
        "hoverlabel": {
            "bgcolor": LIGHT["surface"],
            "bordercolor": LIGHT["axis"],
            "font": {"family": FONT, "color": LIGHT["ink"]},
            "align": "left",
        },
        "modebar": {
            "bgcolor": "rgba(0,0,0,0)",
            "color": LIGHT["axis"],
            "activecolor": LIGHT["accent"],
        },
        "hovermode": "closest",
        "showlegend": False,
        "xaxis": x_axis,
        "yaxis": y_axis,
        "shapes": [],
        "annotations": [],
    }
    return {"data": data, "layout": layout | extra}


def axis(title: str, **extra: Any) -> PlotSpec:  # noqa: ANN401  any JSON value
    """Describe one axis: title with unit, hairline grid, outside ticks."""
    return {
        "title": {"text": title, "standoff": 10},
        "gridcolor": LIGHT["grid"],
        "linecolor": LIGHT["axis"],
        "showline": True,
        "zeroline": False,
        "ticks": "outside",
        "ticklen": 4,
        "tickcolor": LIGHT["axis"],
        "automargin": True,
    } | extra


def legend(**extra: Any) -> PlotSpec:  # noqa: ANN401  any JSON value
    """Show a horizontal legend above the panel: entries of the layout."""
    place = {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"}
    style = {"bgcolor": "rgba(0,0,0,0)", "itemsizing": "constant"}
    return {"showlegend": True, "legend": place | style | extra}


def json_numbers(values: Iterable[float]) -> list[float | None]:
    """Round to six significant digits, more than a screen shows; non-finite is None."""
    return [
        float(f"{value:.6g}") if math.isfinite(value) else None
        for value in map(float, values)
    ]


def make_trace(x: Iterable[float], y: Iterable[float], **extra: Any) -> PlotSpec:  # noqa: ANN401  any JSON value
    """Draw markers, or what `mode` says."""
    places = {"x": json_numbers(x), "y": json_numbers(y)}
    return {"type": "scatter", "mode": "markers"} | places | extra


def line_trace(x: Iterable[float], y: Iterable[float], color: str, name: str) -> PlotSpec:
    """Draw a thin dashed guide line that does not answer to the pointer."""
    line = {"color": color, "width": 1.2, "dash": "dash"}
    return make_trace(x, y, mode="lines", name=name, line=line, hoverinfo="skip")


def corner_note(lines: Sequence[str], **place: Any) -> PlotSpec:  # noqa: ANN401  any JSON value
    """Return an annotation with lines in a corner of a panel, the upper left by default."""
    return {
        "text": "<br>".join(lines),
        "align": "left",
        "showarrow": False,
        "xref": "x domain",
        "yref": "y domain",
        "x": 0.03,
        "y": 0.98,
        "xanchor": "left",
        "yanchor": "top",
        "font": {"color": LIGHT["ink"], "size": 12},
    } | place
