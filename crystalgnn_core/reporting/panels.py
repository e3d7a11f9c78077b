"""Which figures a report has, with their captions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from crystalgnn_core.reporting.parity import ParityData, parity_figure
from crystalgnn_core.reporting.plots import (
    column_target,
    history_figures,
    plane_axes,
    plane_figure,
)
from crystalgnn_core.reporting.recovery import recovery_figure
from crystalgnn_core.reporting.reliability import (
    ReliabilityData,
    reliability_caption,
    reliability_figure,
)
from crystalgnn_core.reporting.text import format_count, format_number, format_share
from crystalgnn_core.targets import TARGETS

if TYPE_CHECKING:
    import pandas as pd

    from crystalgnn_core.reporting.report import ScreenReport
    from crystalgnn_core.reporting.style import PlotSpec


@dataclass(frozen=True)
class Panel:
    """One figure on the page.

    Attributes:
        key: Identifier of the figure on the page.
        title: Heading.
        caption: What to see, in words; also read by assistive technology.
    """

    key: str
    title: str
    caption: str


@dataclass(frozen=True)
class Panels:
    """The figures of a page by section, and their specifications by key."""

    plane: list[Panel] = field(default_factory=list)
    quality: list[Panel] = field(default_factory=list)
    parity: list[Panel] = field(default_factory=list)
    history: list[Panel] = field(default_factory=list)
    specs: dict[str, PlotSpec] = field(default_factory=dict)


def draw_panels(report: ScreenReport) -> Panels:
    """Draw every figure that the report has data for."""
    panels = Panels()
    _add_plane(panels, report)
    _add_quality(panels, report)
    for data in report.parity:
        key = f"parity-{data.target}-{len(panels.parity)}"
        title = f"{TARGETS[data.target].title.capitalize()}, {data.split} split"
        panels.parity.append(Panel(key, title, _caption(data)))
        panels.specs[key] = _figure(data)
    if report.history is not None and len(report.history):
        for panel, spec in history_figures(report.history):
            key = f"history-{panel.key}"
            panels.history.append(Panel(key, panel.title[0].upper() + panel.title[1:], ""))
            panels.specs[key] = spec
    return panels


def _add_plane(panels: Panels, report: ScreenReport) -> None:
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
        key = f"plane-{index}" if index else "plane"
        title = f"{column_target(y).title} and {column_target(x).title}"
        panels.plane.append(Panel(key, title[0].upper() + title[1:], caption))
        panels.specs[key] = plane_figure(scatter, (x, y), report.criteria, report.n_top)


def _add_quality(panels: Panels, report: ScreenReport) -> None:
    curve = report.recovery
    if curve is not None:
        caption = (
            f"Of the {format_count(curve.n_best)} candidates that are best by their true "
            "values, the share met after screening the first part of this ranking."
        )
        panels.quality.append(Panel("recovery", "Recovery of the true best", caption))
        panels.specs["recovery"] = recovery_figure(curve)
    ranking = report.ranking
    for target in TARGETS.values():
        pair = (target.name, f"{target.name}_true")
        if _has_values(ranking, pair):
            ids = [str(name) for name in ranking["candidate_id"]]
            true, predicted = (
                ranking[name].to_numpy(dtype=float) for name in reversed(pair)
            )
            of_what = "ranked candidates"
            data: ParityData | ReliabilityData
            if target.is_class:
                data = ReliabilityData.of(target.name, of_what, true, predicted)
            else:
                data = ParityData.of(target.name, of_what, ids, true, predicted)
            key = f"truth-{target.name}"
            title = f"{target.title.capitalize()} of ranked candidates"
            panels.quality.append(Panel(key, title, _caption(data)))
            panels.specs[key] = _figure(data)


def _has_values(frame: pd.DataFrame, columns: tuple[str, ...]) -> bool:
    return all(name in frame.columns and frame[name].notna().any() for name in columns)


def _figure(data: ParityData | ReliabilityData) -> PlotSpec:
    if isinstance(data, ReliabilityData):
        return reliability_figure(data)
    return parity_figure(data)


def _caption(data: ParityData | ReliabilityData) -> str:
    if isinstance(data, ReliabilityData):
        return reliability_caption(data)
    target = TARGETS[data.target]
    error = target.with_unit(format_number(data.mae))
    errors = f"Mean absolute error {error} on {data.n_rows:,} rows"
    if data.baseline_mae is None or not data.baseline_mae > 0:
        return f"{errors}. Dashed: perfect agreement."
    gain = data.baseline_mae - data.mae
    word = "smaller" if gain >= 0 else "larger"
    baseline = target.with_unit(format_number(data.baseline_mae))
    return (
        f"{errors}, {format_share(abs(gain), data.baseline_mae)} {word} than that of a "
        f"model that sees the composition only ({baseline}). Dashed: perfect agreement."
    )
