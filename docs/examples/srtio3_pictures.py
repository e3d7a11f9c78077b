"""The pictures of `srtio3_walkthrough.py`, one function each."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from srtio3_walkthrough import FEATURES, count_edges

from crystalgnn_core.reporting.style import LIGHT
from crystalgnn_core.storage.files import atomic_path

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.container import BarContainer
    from srtio3_walkthrough import Walk

DPI = 100
COLORS = {"Sr": "#4e93ad", "Ti": "#5a6673", "O": "#c8441b"}
RADII = {"Sr": 0.62, "Ti": 0.42, "O": 0.34}  # of the circles, in angstrom
PAIRS = {"Ti-O": "#c8441b", "Sr-O": "#4e93ad", "O-O": "#e0a63c", "Sr-Ti": "#5a6673"}
BALL = 0.6  # radius of an atom in space, in angstrom, where it hides lines
VIEW = np.deg2rad([18.0, 24.0])  # elevation and azimuth


def draw(walk: Walk, folder: Path) -> list[Path]:
    """Draw all pictures; return their paths."""
    paths = []
    for name, (size, function) in PICTURES.items():
        figure = Figure(figsize=size, dpi=DPI, layout="constrained")
        figure.set_facecolor(LIGHT["surface"])
        function(figure.subplots(), walk)
        path = folder / f"srtio3-{name}.png"
        with atomic_path(path, with_checksum=False) as temporary:
            figure.savefig(temporary, format="png")
        paths.append(path)
    return paths


def draw_crystal(axes: Axes, walk: Walk) -> None:
    """Draw the cell with the images on its faces, and its Ti-O bonds, seen from afar."""
    lattice = walk.crystal.lattice
    corners = np.array(list(itertools.product((0.0, 1.0), repeat=3)))
    for first, second in itertools.combinations(corners, 2):
        if np.abs(first - second).sum() == 1:
            _line(axes, first @ lattice, second @ lattice, LIGHT["axis"], 1.0)
    symbols = [*["Sr", "Ti", "O", "O", "O"]]
    for symbol, coords in zip(symbols, walk.crystal.frac_coords, strict=True):
        shifts = [(0, 1) if abs(x) < 1e-6 else (0,) for x in coords]
        for shift in itertools.product(*shifts):
            place = (coords + shift) @ lattice
            x, y, depth = _project(place)
            axes.add_patch(_circle(x, y, symbol, depth))
            if symbol == "O":
                _line(axes, place, lattice.sum(axis=0) / 2, COLORS["Ti"], 3.5)
    for index, symbol in enumerate(COLORS):
        axes.scatter([], [], s=90, color=COLORS[symbol], label=symbol, zorder=index)
    axes.legend(loc="center left", bbox_to_anchor=(0.98, 0.5), frameon=False)
    axes.set_aspect("equal")
    axes.autoscale_view()
    axes.axis("off")
    axes.set_title("SrTiO₃, cubic, a = 3.905 Å; lines: Ti-O bonds, 1.9525 Å")


def draw_shells(axes: Axes, walk: Walk) -> None:
    """Draw how many edges there are at each distance, by elements, for both graphs."""
    width, graphs = 0.055, {"12 nearest": walk.nearest, "whole shells": walk.shells}
    for side, (name, graph) in enumerate(graphs.items()):
        bottom: Counter[float] = Counter()
        for (pair, distance), count in sorted(_edges(graph).items()):
            place = distance + (side - 0.5) * width * 1.15
            bars = axes.bar(place, count, width, bottom[distance], color=PAIRS[pair])
            _mark(bars, is_first=side == 0)
            bottom[distance] += count
        for distance, total in bottom.items():
            place = distance + (side - 0.5) * width * 1.15
            axes.text(place, total + 0.6, str(total), ha="center", fontsize=9)
        _mark(axes.bar(0, 0, color=LIGHT["axis"], label=name), is_first=side == 0)
    for pair, color in PAIRS.items():
        axes.bar(0, 0, color=color, label=pair)
    axes.set_xlim(1.7, 3.65)
    _label(axes, "distance (Å)", "edges", "Neighbours within the twelfth distance")
    axes.legend(frameon=False, ncols=3, loc="upper center", fontsize=9)
    axes.set_ylim(0, 64)


def _mark(bars: BarContainer, *, is_first: bool) -> None:
    """Part bars by white lines; hatch those of the first graph."""
    for bar in bars:
        bar.set(edgecolor="w", alpha=0.55 if is_first else 1.0)
        bar.set_hatch("///" if is_first else "")


def draw_features(axes: Axes, walk: Walk) -> None:
    """Draw the 92 features of the three elements, with the properties they stand for."""
    for row, symbol in enumerate(COLORS):
        at = np.flatnonzero(walk.features[row])
        axes.bar(at, 0.86, 1.0, row - 0.43, color=COLORS[symbol])
    ends = np.cumsum([0, *FEATURES.values()]) - 0.5
    axes.vlines(ends, -0.5, 2.5, color=LIGHT["axis"], linewidth=0.8)
    axes.vlines(
        np.arange(92) + 0.5, -0.5, 2.5, color=LIGHT["grid"], linewidth=0.4, zorder=0
    )
    for name, first, last in zip(FEATURES, ends, ends[1:], strict=False):
        text = name.replace(" ", "\n")
        axes.text((first + last) / 2, -0.6, text, ha="center", va="bottom", fontsize=8)
    axes.set_yticks(range(3), list(COLORS))
    axes.set_xlim(-0.5, 91.5)
    axes.set_ylim(2.5, -1.15)
    _label(axes, "feature", "", "The 92 element features; coloured: 1, white: 0")
    axes.spines["left"].set_visible(False)


def draw_expansion(axes: Axes, walk: Walk) -> None:
    """Draw the 41 Gaussians, and their values at the distances that occur."""
    grid, centers = np.linspace(0, 8, 401), np.linspace(0, 8, 41)
    for center in centers:
        curve = np.exp(-(((grid - center) / 0.2) ** 2))
        axes.plot(grid, curve, color=LIGHT["line"], linewidth=0.8, zorder=0)
    shades = (PAIRS["Ti-O"], PAIRS["Sr-O"], PAIRS["Sr-Ti"])
    for color, (distance, values) in zip(shades, walk.expansion.items(), strict=True):
        is_seen = values > 0.005
        at, heights = centers[is_seen], values[is_seen]
        axes.vlines(at, 0, heights, color=color, linewidth=2)
        axes.plot(at, heights, "o", color=color, markersize=4, label=f"{distance:.4f} Å")
        axes.axvline(distance, color=color, linewidth=0.8, linestyle=":")
    title = "41 Gaussians from 0 to 8 Å, and what three distances become"
    _label(axes, "centre (Å)", "feature", title)
    axes.set_ylim(0, 1.08)
    axes.legend(loc="upper right", framealpha=1, edgecolor=LIGHT["line"])


def draw_angles(axes: Axes, walk: Walk) -> None:
    """Draw the angles between edges at the atoms where they meet."""
    degrees, centers = walk.angles
    bins = np.arange(-2.5, 185, 5).tolist()
    groups = [degrees[np.array(centers) == symbol] for symbol in COLORS]
    axes.hist(groups, bins, stacked=True, color=list(COLORS.values()), label=list(COLORS))
    axes.set_xticks(range(0, 181, 30))
    title = f"{len(degrees)} angles between edges of one atom (whole shells)"
    _label(axes, "angle (°)", "pairs of edges", title)
    axes.legend(frameon=False, title="at")


def _label(axes: Axes, across: str, up: str, title: str) -> None:
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.set_title(title, fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)


def _edges(graph: object) -> Counter[tuple[str, float]]:
    """Count edges by pair of elements, whichever is the centre, and distance."""
    counts: Counter[tuple[str, float]] = Counter()
    for (pair, distance), count in count_edges(graph).items():
        first, second = pair.split("-")
        both = pair if pair in PAIRS else f"{second}-{first}"
        counts[both, distance] += count
    return counts


def _project(place: np.ndarray) -> tuple[float, float, float]:
    """Return a place on the paper, and its nearness to the eye."""
    up, turn = VIEW
    x, y, z = place
    across, away = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    return across, z * np.cos(up) + away * np.sin(up), z * np.sin(up) - away * np.cos(up)


def _line(
    axes: Axes, first: np.ndarray, second: np.ndarray, color: str, width: float
) -> None:
    """Draw a line in short pieces, so that each lies behind what is nearer."""
    steps = np.linspace(0, 1, 9)[:, None]
    for begin, end in itertools.pairwise(first + steps * (second - first)):
        (x, y, near), (u, v, other) = _project(begin), _project(end)
        depth = 10 + (near + other) / 2 - BALL  # behind the front of a ball
        axes.plot((x, u), (y, v), color=color, linewidth=width, zorder=depth)


def _circle(x: float, y: float, symbol: str, depth: float) -> Circle:
    color, edge = COLORS[symbol], LIGHT["surface"]
    return Circle(
        (x, y),
        RADII[symbol],
        facecolor=color,
        edgecolor=edge,
        linewidth=1,
        zorder=10 + depth,
    )


PICTURES: dict[str, tuple[tuple[float, float], Callable[[Axes, Walk], None]]] = {
    "crystal": ((5.2, 4.2), draw_crystal),
    "shells": ((6.4, 3.6), draw_shells),
    "features": ((8.4, 2.4), draw_features),
    "expansion": ((7.2, 3.2), draw_expansion),
    "angles": ((6.4, 3.2), draw_angles),
}
