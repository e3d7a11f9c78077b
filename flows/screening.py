"""Screen candidates, and screen again what changed."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from prefect import flow

from crystalgnn_core.base import FrozenModel
from crystalgnn_core.config import PipelineConfig
from crystalgnn_core.graphs.config import GraphConfig
from crystalgnn_core.learning.cards import read_card
from crystalgnn_core.learning.registry import Registry
from crystalgnn_core.reporting.report import StageNote
from crystalgnn_core.reporting.screen import ReportState
from crystalgnn_core.screening.result import ScreenResult
from flows.graphs import build_graphs
from flows.readiness import check_screening
from flows.records import ingest
from flows.stages import Stopwatch, gather, with_runner
from tasks.artifacts import publish_summary
from tasks.screening import (
    plan_predictions,
    predict_candidates,
    prescreen_candidates,
    rank,
    write_screen_report,
)

if TYPE_CHECKING:
    from pathlib import Path

    from crystalgnn_core.screening.prescreening import Prescreened

logger = logging.getLogger(__name__)


class ScreenSummary(FrozenModel):
    """What a screen did: in = scored + rejected + duplicates + prescreened.

    Attributes:
        result: Reference to the screen.
        report: Reference to its page.
        n_predicted: Structures predicted in this run, once per model; without those of a
            pre-screen's models.
        n_reused: Structures whose predictions were there already, counted likewise.
    """

    result: ScreenResult
    report: ReportState
    n_predicted: int
    n_reused: int

    @property
    def note(self) -> str:
        """One line on what was scored and what was reused."""
        result = self.result
        if not result.was_ranked:
            news = "the page is written again, " if self.report.was_written else ""
            return (
                f"{result.screen_id}: {news or 'nothing changed, '}"
                f"{result.account} (skipped)"
            )
        return (
            f"{result.account}; {self.n_predicted:,} predicted now, "
            f"{self.n_reused:,} reused"
        )


@flow
def screen(
    config: PipelineConfig, models: tuple[str, ...] = (), notes: tuple[StageNote, ...] = ()
) -> ScreenSummary:
    """Predict, rank and report the candidates.

    1. Find the models: those given, those configured, or the champion. Together they must
       predict what the criteria judge; candidates and device must be there.
    2. If a pre-screen is configured, let its fast models choose the candidates that go on.
    3. Build the graphs that are missing, with each model's graph settings.
    4. Predict what has no prediction yet, one task per shard.
    5. Rank all candidates.
    6. Write the report; `notes` on earlier stages appear in it.
    """
    store, screening, watch = config.store_path, config.screening, Stopwatch()
    check_screening(config, models)
    find = Registry(store).resolve
    folders = tuple(map(find, models or screening.models or ("champion",)))
    _name_unused_graph(config, folders)
    prescreened = None
    if screening.prescreen is not None:
        fast = tuple(map(find, screening.prescreen.models))
        _predict(config, fast)
        prescreened = prescreen_candidates(store, screening, fast)
        watch.note("prescreen", prescreened.note)
    n_predicted, n_reused = _predict(config, folders, prescreened)
    watch.note("predict", f"{n_predicted:,} structures predicted, {n_reused:,} reused")
    result = rank(store, screening, folders, prescreened)
    watch.note("rank", f"{result.n_scored:,} candidates ranked")
    report = write_screen_report(store, screening, result, (*notes, *watch.notes))
    return ScreenSummary(
        result=result, report=report, n_predicted=n_predicted, n_reused=n_reused
    )


def _name_unused_graph(config: PipelineConfig, folders: tuple[Path, ...]) -> None:
    """Warn where graph settings are given that no model of the screen was trained with."""
    known = [read_card(folder).graph for folder in folders]
    if config.graph not in (*known, config.model.default_graph(), GraphConfig()):
        logger.warning(
            "the settings in `graph` do not apply to a screen: each model predicts from "
            "graphs as it was trained on; train with these settings to use them"
        )


def _predict(
    config: PipelineConfig,
    folders: tuple[Path, ...],
    prescreened: Prescreened | None = None,
) -> tuple[int, int]:
    """Build and predict what models owe; count the structures, new and reused."""
    store, screening = config.store_path, config.screening
    n_predicted = n_reused = 0
    for folder in folders:
        graph = read_card(folder).graph
        with_runner(build_graphs, config.execution)(
            config, sources=screening.sources, graph=graph, prescreened=prescreened
        )
        plan = plan_predictions(
            store, folder, screening.sources, config.execution.shard_size, prescreened
        )
        states = gather(
            [predict_candidates.submit(job, store, folder, screening) for job in plan.jobs]
        )
        n_predicted += sum(state.entry.n_rows for state in states)
        n_reused += plan.n_known
    return n_predicted, n_reused


@flow
def rescreen(config: PipelineConfig) -> ScreenSummary:
    """Screen again after databases or the champion changed; score only what changed.

    1. Check that candidates, models and device are there.
    2. Ingest all sources; unchanged ones are skipped.
    3. Screen: structures that the model has predicted before keep their predictions.
    """
    check_screening(config)
    watch = Stopwatch()
    ingested = with_runner(ingest, config.execution)(config)
    watch.note("ingest", ingested.note)
    summary = with_runner(screen, config.execution)(config, notes=tuple(watch.notes))
    watch.note("screen", summary.note)
    publish_summary("rescreen", tuple(watch.notes), describe_screen(summary))
    return summary


def describe_screen(summary: ScreenSummary) -> str:
    """Put a screen into a few lines of markdown."""
    result = summary.result
    lines = [f"**{result.screen_id}**", "", summary.note]
    if result.changes is not None:
        lines += ["", f"{describe_changes(result)}."]
    if result.rejected:
        counts = (f"{reason} {count:,}" for reason, count in result.rejected.items())
        lines += ["", f"Rejected: {', '.join(counts)}."]
    return "\n".join([*lines, "", f"Report: `{summary.report.page.path}`"])


def describe_changes(result: ScreenResult) -> str:
    """Compare the candidates with those of the screen before; empty for the first."""
    changes = result.changes
    if changes is None:
        return ""
    return (
        f"since {result.previous}: {changes.n_new:,} new, {changes.n_changed:,} changed, "
        f"{changes.n_removed:,} removed, {changes.n_unchanged:,} unchanged"
    )
