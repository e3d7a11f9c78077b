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

LIGHT: dict[str, str] = {
    "page": "#f6f7f9",
    "surface": "#ffffff",
    "raised": "#eef1f4",
    "ink": "#17212b",
    "muted": "#5a6673",
    "line": "#dbe1e7",
    "accent": "#0b6685",
    "bar": "#14708f",
    "accent-soft": "#e2eff4",
    "highlight": "#c8441b",
    "highlight-line": "#fffefd",
    "window": "#dcefe1",
    "window-ink": "#2b7145",
    "point": "#6f9fb3",
    "density-low": "#c3dbe4",
    "density-mid": "#4e93ad",
    "density-high": "#083c50",
    "grid": "#e9edf1",
    "axis": "#8b97a3",
    "warn": "#7a4b00",
    "warn-soft": "#fff1d2",
    "warn-line": "#e0a63c",
}
DARK: dict[str, str] = {
    "page": "#0f1419",
    "surface": "#161d24",
    "raised": "#202932",
    "ink": "#e8edf2",
    "muted": "#9aa8b5",
    "line": "#2b3641",
    "accent": "#67c1de",
    "bar": "#2f84a1",
    "accent-soft": "#17333f",
    "highlight": "#ff8d5f",
    "highlight-line": "#161d24",
    "window": "#1a3527",
    "window-ink": "#7fcf9b",
    "point": "#5b8ea3",
    "density-low": "#22475a",
    "density-mid": "#3f93b3",
    "density-high": "#c9f0fb",
    "grid": "#232d36",
    "axis": "#71808e",
    "warn": "#ffd58a",
    "warn-soft": "#33270f",
    "warn-line": "#8a6420",
}
FONT = (
    'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", '
    "Helvetica, Arial, sans-serif"
)


def dark_colors() -> dict[str, str]:
    """Map every light colour to its dark counterpart."""
    return {LIGHT[name]: DARK[name] for name in LIGHT}


def figure(data: list[PlotSpec], *, x_axis: PlotSpec, y_axis: PlotSpec) -> PlotSpec:
    """Assemble a figure of one panel in the common style."""
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
    return {"data": data, "layout": layout}


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
    """Describe a horizontal legend above the panel."""
    place = {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"}
    return {**place, "bgcolor": "rgba(0,0,0,0)", "itemsizing": "constant", **extra}


def json_numbers(values: Iterable[float]) -> list[float | None]:
    """Round to six significant digits, more than a screen shows; non-finite is None."""
    return [
        float(f"{value:.6g}") if math.isfinite(value) else None
        for value in map(float, values)
    ]


def line_trace(x: Iterable[float], y: Iterable[float], color: str, name: str) -> PlotSpec:
    """Draw a thin dashed guide line that does not answer to the pointer."""
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": json_numbers(x),
        "y": json_numbers(y),
        "line": {"color": color, "width": 1.2, "dash": "dash"},
        "hoverinfo": "skip",
    }


def corner_note(lines: Sequence[str]) -> dict[str, Any]:
    """Return an annotation of plotly with lines in the upper left corner of a panel."""
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
    }
