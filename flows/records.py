"""Ingest: from sources to the record table."""

from __future__ import annotations

from pathlib import Path

from prefect import flow

from crystalgnn_core.base import FrozenModel
from crystalgnn_core.config import PipelineConfig
from crystalgnn_core.sources.ingest import IngestReport
from flows.stages import gather
from tasks.records import commit_source, list_source, read_source_part


class IngestSummary(FrozenModel):
    """What came of all sources: rows in = kept + rejected for each."""

    reports: tuple[IngestReport, ...]

    @property
    def rejected(self) -> dict[str, int]:
        """Reject reason to count over all sources."""
        total: dict[str, int] = {}
        for report in self.reports:
            for reason, count in report.rejected.items():
                total[reason] = total.get(reason, 0) + count
        return total

    @property
    def note(self) -> str:
        """One line on what was read and what was skipped."""
        return "; ".join(_describe(report) for report in self.reports) or "no sources"


@flow
def ingest(config: PipelineConfig) -> IngestSummary:
    """Bring every source of the configuration into the record table.

    1. List the parts of a source; an unchanged source is skipped.
    2. Read and validate each part in a task of its own.
    3. Commit all parts of the source at once; rows in = kept + rejected.
    """
    store = config.store_path
    reports = []
    for source in config.sources:
        plan = list_source(store, source)
        if plan.report is not None:
            reports.append(plan.report)
            continue
        states = gather(
            [
                read_source_part.submit(source, part, Path(plan.folder))
                for part in plan.parts
            ]
        )
        reports.append(commit_source(store, source, plan, states))
    return IngestSummary(reports=tuple(reports))


def _describe(report: IngestReport) -> str:
    if not report.was_read:
        return f"{report.source}: unchanged, {report.n_kept:,} records (skipped)"
    n_rejected = sum(report.rejected.values())
    counts = report.counts
    removed = f", {counts.n_removed:,} removed" if counts.n_removed else ""
    return (
        f"{report.source}: {report.n_in:,} rows = {report.n_kept:,} kept + "
        f"{n_rejected:,} rejected ({counts.n_new:,} new, {counts.n_changed:,} changed"
        f"{removed})"
    )
