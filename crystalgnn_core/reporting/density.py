"""Show many points, none left out: crowded cells as a density map, others one by one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from crystalgnn_core.reporting.style import LIGHT, PlotSpec, json_numbers, make_trace

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

MAX_SINGLE_POINTS = 1500
N_CELLS = (64, 56)
N_CROWDED = 3


def density_traces(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    label: Callable[[int], str],
    *,
    noun: str,
    hover: str,
    is_log: bool = False,
    n_cells: tuple[int, int] = N_CELLS,
) -> list[PlotSpec]:
    """Draw up to 1500 points singly, more as a density map plus the rest.

    Nothing is sampled: every finite point is drawn, or counted in its cell if that is
    crowded; the number of drawn points is bounded by the number of cells.

    Args:
        x: Horizontal values, shape (n,).
        y: Vertical values, shape (n,).
        label: Gives the escaped hover text of point i.
        noun: What one point is, in the plural, for the colour bar.
        hover: Plotly hover template of a single point; `%{text}` is the label.
        is_log: Whether both axes are logarithmic; non-positive points are then left out.
        n_cells: Cells of the density map along x and y.

    Returns:
        Plotly traces, the density map first.
    """
    usable = np.isfinite(x) & np.isfinite(y)
    if is_log:
        usable &= (x > 0) & (y > 0)
    index = np.flatnonzero(usable)

    def draw_singly(shown: NDArray[np.intp]) -> PlotSpec:
        return make_trace(
            x[shown],
            y[shown],
            text=[label(int(i)) for i in shown],
            marker={"size": 4.5, "color": LIGHT["point"], "opacity": 0.75},
            name=noun,
            hovertemplate=hover,
        )

    if len(index) <= MAX_SINGLE_POINTS:
        return [draw_singly(index)]
    x_edges, y_edges = (
        _edges(v[index], n, is_log) for v, n in zip((x, y), n_cells, strict=True)
    )
    counts, _, _ = np.histogram2d(x[index], y[index], bins=(x_edges, y_edges))
    column, row = (
        np.clip(np.searchsorted(edges, v[index], side="right") - 1, 0, len(edges) - 2)
        for v, edges in ((x, x_edges), (y, y_edges))
    )
    sparse = index[counts[column, row] < N_CROWDED]
    return [_heatmap(counts.T, x_edges, y_edges, noun), draw_singly(sparse)]


def _edges(values: NDArray[np.float64], n_cells: int, is_log: bool) -> NDArray[np.float64]:
    low, high = float(values.min()), float(values.max())
    if low == high:
        low, high = (low / 2, high * 2) if is_log else (low - 0.5, high + 0.5)
    edges = (np.geomspace if is_log else np.linspace)(low, high, n_cells + 1)
    edges[0], edges[-1] = low, high
    return edges


def _heatmap(
    counts: NDArray[np.float64],
    x_edges: NDArray[np.float64],
    y_edges: NDArray[np.float64],
    noun: str,
) -> PlotSpec:
    crowded = counts >= N_CROWDED
    largest = float(counts.max())
    ticks = [10.0**power for power in range(int(math.log10(max(largest, 1.0))) + 1)]
    ticks = [N_CROWDED, *[tick for tick in ticks if tick > N_CROWDED]]
    levels = np.log10(np.where(crowded, counts, np.nan))
    return {
        "type": "heatmap",
        "x": json_numbers(x_edges),
        "y": json_numbers(y_edges),
        "z": [json_numbers(row) for row in levels],
        "text": [[f"{int(count):,}" if count else "" for count in row] for row in counts],
        "hovertemplate": f"%{{text}} {noun} in this cell<extra></extra>",
        "hoverongaps": False,
        "zmin": math.log10(N_CROWDED),
        "zmax": math.log10(max(largest, N_CROWDED + 1)),
        "colorscale": [
            [0.0, LIGHT["density-low"]],
            [0.5, LIGHT["density-mid"]],
            [1.0, LIGHT["density-high"]],
        ],
        "colorbar": {
            "title": {"text": f"{noun} per cell", "side": "right"},
            "tickvals": json_numbers(math.log10(tick) for tick in ticks),
            "ticktext": [f"{int(tick):,}" for tick in ticks],
            "thickness": 8,
            "outlinewidth": 0,
            "len": 0.6,
        },
    }
