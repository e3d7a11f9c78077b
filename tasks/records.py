"""Tasks that move sources into the record table."""

from __future__ import annotations

from pathlib import Path

from prefect import task

from crystalgnn_core.parallel import run_in_process
from crystalgnn_core.sources import AnySource
from crystalgnn_core.sources.base import SourcePart
from crystalgnn_core.sources.ingest import (
    IngestPlan,
    commit_ingest,
    plan_ingest,
    read_part,
)
from crystalgnn_core.sources.reports import IngestReport
from crystalgnn_core.sources.staging import PartState
from tasks.options import OPTIONS


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
    store: Path, source: AnySource, plan: IngestPlan, states: list[PartState]
) -> IngestReport:
    """Commit all parts of a source to the record table."""
    return commit_ingest(store, source, plan, states)
