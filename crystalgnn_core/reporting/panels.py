"""Which figures a report has, with their captions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from crystalgnn_core.reporting.comparison import compare_columns
from crystalgnn_core.reporting.parity import parity_caption, parity_figure
from crystalgnn_core.reporting.plots import (
    column_target,
    history_figures,
    plane_axes,
    plane_figure,
)
from crystalgnn_core.reporting.recovery import recovery_figure
from crystalgnn_core.reporting.reliability import reliability_caption, reliability_figure
from crystalgnn_core.reporting.text import capitalized, format_count
from crystalgnn_core.screening.criteria import TRUE
from crystalgnn_core.targets import TARGETS, is_class

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from crystalgnn_core.reporting.comparison import Comparison
    from crystalgnn_core.reporting.report import ScreenReport
    from crystalgnn_core.reporting.style import PlotSpec


@dataclass(frozen=True)
class Panel:
    """One figure on the page.

    Attributes:
        key: Identifier of the figure on the page.
        title: Heading.
        caption: What to see, in words; also read by assistive technology.
        spec: The figure.
    """

    key: str
    title: str
    caption: str
    spec: PlotSpec


@dataclass(frozen=True)
class Panels:
    """The figures of a page by section."""

    plane: list[Panel]
    quality: list[Panel]
    parity: list[Panel]
    history: list[Panel]

    @property
    def specs(self) -> dict[str, PlotSpec]:
        """The figures by key."""
        panels = (*self.plane, *self.quality, *self.parity, *self.history)
        return {panel.key: panel.spec for panel in panels}


def draw_panels(report: ScreenReport) -> Panels:
    """Draw every figure that the report has data for."""
    history = report.history
    drawn = history_figures(history) if history is not None and len(history) else []
    return Panels(
        plane=list(_draw_plane(report)),
        quality=list(_draw_quality(report)),
        parity=[
            _compare(f"parity-{data.target}-{index}", f", {data.split} split", data)
            for index, data in enumerate(report.parity)
        ],
        history=[
            Panel(f"history-{one.key}", capitalized(one.title), "", spec)
            for one, spec in drawn
        ],
    )


def _draw_plane(report: ScreenReport) -> Iterator[Panel]:
    """Draw the maps of the candidates, see `plane_axes`."""
    scatter = report.scatter
    for index, (x, y) in enumerate(plane_axes(report.criteria)):
        if scatter is None or not _has_values(scatter, (x, y)):
            continue
        caption = (
            f"{format_count(len(scatter))} of {format_count(report.counts.n_scored)} "
            f"scored candidates. Orange: the first {report.n_top} of the ranking. Crowded "
            "areas are shown as a density map, single candidates as dots. Point at a dot "
            "for formula, id and rank; drag to zoom, double-click to reset."
        )
        title = capitalized(f"{column_target(y).title} and {column_target(x).title}")
        spec = plane_figure(scatter, (x, y), report.criteria, report.n_top)
        yield Panel(f"plane-{index}" if index else "plane", title, caption, spec)


def _draw_quality(report: ScreenReport) -> Iterator[Panel]:
    curve, ranking = report.recovery, report.ranking
    if curve is not None:
        caption = (
            f"Of the {format_count(curve.n_best)} candidates that are best by their true "
            "values, the share met after screening the first part of this ranking."
        )
        title = "Recovery of the true best"
        yield Panel("recovery", title, caption, recovery_figure(curve))
    for name in TARGETS:
        if _has_values(ranking, (name, name + TRUE)):
            yield _compare(
                f"truth-{name}",
                " of ranked candidates",
                compare_columns(ranking, name, "ranked candidates", ids="candidate_id"),
            )


def _has_values(frame: pd.DataFrame, columns: tuple[str, ...]) -> bool:
    return all(name in frame.columns and frame[name].notna().any() for name in columns)


def _compare(key: str, of_what: str, data: Comparison) -> Panel:
    title = capitalized(f"{TARGETS[data.target].title}{of_what}")
    if is_class(data.target):
        return Panel(key, title, reliability_caption(data), reliability_figure(data))
    return Panel(key, title, parity_caption(data), parity_figure(data))
