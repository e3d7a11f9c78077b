"""Ingest: from sources to the record table."""

from __future__ import annotations

import logging
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

from prefect import flow

from crystalgnn_core.base import FrozenModel
from crystalgnn_core.config import PipelineConfig
from crystalgnn_core.errors import CrystalGNNError
from crystalgnn_core.records.links.linking import linkable_sources
from crystalgnn_core.records.links.table import LinkReport
from crystalgnn_core.records.table.store import RecordStore
from crystalgnn_core.sources.ingest.reports import IngestReport
from tasks.artifacts import Progress
from tasks.records import (
    announce_verdict,
    commit_source,
    link_sources,
    list_source,
    read_source_part,
)

if TYPE_CHECKING:
    from crystalgnn_core.sources import AnySource
    from crystalgnn_core.sources.ingest.commit import IngestPlan
    from crystalgnn_core.sources.ingest.staging import PartState

logger = logging.getLogger(__name__)


class IngestSummary(FrozenModel):
    """What came of all sources: rows in = kept + rejected for each."""

    reports: tuple[IngestReport, ...]
    links: LinkReport | None = None

    @property
    def note(self) -> str:
        """One line on what was read and what was skipped."""
        parts = [_describe(report) for report in self.reports]
        if self.links is not None:
            parts.append(f"materials in several sources: {self.links.n_groups:,}")
        return "; ".join(parts) or "no sources"


@flow
def ingest(config: PipelineConfig) -> IngestSummary:
    """Bring every source of the configuration into the record table.

    1. List the parts of a source; an unchanged source is skipped.
    2. Read and validate each part, and each page that a part names, in a task of its own.
    3. Commit all parts of the source at once; rows in = kept + rejected.
    4. Judge the new version by the one before; publish the report and emit the event.
    5. If `linking.after_ingest` asks for it, link the rows that are one material.

    A source that fails does not keep the others from being read.

    Raises:
        IntegrityError: A record table is damaged.
        CrystalGNNError: A source failed: the first failure, after all sources had their
            turn.
    """
    RecordStore(config.store_path).require_intact()  # once, not for each source
    reports, failures = [], []
    for source in config.sources:
        try:
            reports.append(_ingest_one(config, source))
        except CrystalGNNError as error:
            if len(config.sources) > 1:  # the only failure is reported at the end
                logger.error("source %s failed: %s", source.name, error)
            failures.append(error)
    links = None
    if config.linking.after_ingest and len(linkable_sources(config.store_path)) > 1:
        links = link_sources(config.store_path, config.linking)
    summary = IngestSummary(reports=tuple(reports), links=links)
    if failures:
        if reports:
            logger.warning("the other sources were ingested: %s", summary.note)
        raise failures[0]
    return summary


def _ingest_one(config: PipelineConfig, source: AnySource) -> IngestReport:
    store = config.store_path
    plan = list_source(store, source)
    report = plan.report
    if report is None:
        states = _read_parts(source, plan)
        report = commit_source(store, source, plan, states, config.gate)
    announce_verdict(store, report)
    return report


def _read_parts(source: AnySource, plan: IngestPlan) -> list[PartState]:
    """Read all parts, also those that others name as the next; show the progress."""
    folder = Path(plan.folder)
    running = deque(read_source_part.submit(source, part, folder) for part in plan.parts)
    progress = Progress(f"ingest-{source.name}", plan.reading.n_expected)
    ended = []
    while running:
        future = running.popleft()
        future.wait()
        ended.append(future)
        if not future.state.is_completed():
            continue
        state = future.result()
        for part in state.following:
            running.append(read_source_part.submit(source, part, folder))
        progress.add(state.n_in, share=len(ended) / (len(ended) + len(running)))
    return [future.result() for future in ended]


def _describe(report: IngestReport) -> str:
    gate = report.gate
    alarm = f"; suspicious: {gate.reasons[0]}" if gate and gate.is_suspicious else ""
    if not report.was_read:
        return f"{report.source}: unchanged, {report.n_kept:,} records (skipped){alarm}"
    n_rejected = sum(report.rejected.values())
    counts = report.counts
    removed = f", {counts.n_removed:,} removed" if counts.n_removed else ""
    return (
        f"{report.source}: {report.n_in:,} rows = {report.n_kept:,} kept + "
        f"{n_rejected:,} rejected ({counts.n_new:,} new, {counts.n_changed:,} changed"
        f"{removed}){alarm}"
    )
