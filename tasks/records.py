"""Tasks that move sources into the record table."""

from __future__ import annotations

from pathlib import Path

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.events import emit_event

from crystalgnn_core.parallel import close_pool, run_in_process
from crystalgnn_core.records.gate.acceptance import require_trusted
from crystalgnn_core.records.gate.log import Ledger
from crystalgnn_core.records.gate.markdown import describe_report
from crystalgnn_core.records.gate.report import GateConfig, GateReport
from crystalgnn_core.sources import AnySource
from crystalgnn_core.sources.base import SourcePart
from crystalgnn_core.sources.ingest.commit import IngestPlan, commit_ingest
from crystalgnn_core.sources.ingest.reports import IngestReport
from crystalgnn_core.sources.ingest.run import plan_ingest, read_part
from crystalgnn_core.sources.ingest.staging import PartState
from tasks.artifacts import artifact_key
from tasks.options import OPTIONS

MANY_PARTS = 10  # of a source whose commit needs memory, and takes longer than new workers
UPDATED = "crystalgnn.records.updated"


@task(**OPTIONS, task_run_name="list-{source.name}")
def list_source(store: Path, source: AnySource) -> IngestPlan:
    """List the parts of a source, or find that nothing changed."""
    return plan_ingest(store, source)


@task(**OPTIONS, task_run_name="read-{source.name}-{part.index}")
def read_source_part(source: AnySource, part: SourcePart, folder: Path) -> PartState:
    """Read and validate one part in a worker process, as parsing holds the GIL."""
    return run_in_process(read_part, source, part, folder)


@task(**OPTIONS, task_run_name="commit-{source.name}")
def commit_source(
    store: Path,
    source: AnySource,
    plan: IngestPlan,
    states: list[PartState],
    gate: GateConfig,
) -> IngestReport:
    """Commit all parts of a source to the record table, and judge the new version.

    Idle workers, which hold 0.2 GB each, make room for the commit of a large source.
    """
    if len(states) >= MANY_PARTS:
        close_pool()
    return commit_ingest(store, source, plan, states, gate)


@task(**OPTIONS, task_run_name="announce-{report.source}")
def announce_verdict(store: Path, report: IngestReport) -> None:
    """Publish the verdict on a source; emit the event of new rows, if not done before.

    The event follows the commit and the verdict. When a run ends in between, the next one
    emits it.
    """
    if report.gate is not None:
        key = f"gate-{artifact_key(report.source)}"
        create_markdown_artifact(describe_report(report.gate), key=key)
    ledger = Ledger(store, report.source)
    last = ledger.history().last
    if last is None or last.is_announced:
        return
    if last.report.n_touched:
        emit_event(
            UPDATED,
            resource={
                "prefect.resource.id": f"crystalgnn.records.{report.source}",
                "crystalgnn.store": str(store),
            },
            payload=event_payload(last.report),
        )
    ledger.mark_announced()


def event_payload(report: GateReport) -> dict[str, str | int | None]:
    """Return what the event of new rows tells: names, versions, verdict and counts."""
    return {
        "source": report.source,
        "version_before": report.version_before,
        "version": report.version,
        "verdict": report.verdict,
        "n_new": report.n_new,
        "n_changed": report.n_changed,
        "n_removed": report.n_removed,
    }


@task(**OPTIONS)
def require_trusted_sources(
    store: Path, sources: tuple[str, ...], gate: GateConfig
) -> None:
    """Stop when the newest version of a source is suspicious and was not accepted."""
    require_trusted(store, sources, gate)
