"""Tasks that turn records into graph shards."""

from __future__ import annotations

from pathlib import Path

from prefect import task

from crystalgnn_core.base import FrozenModel
from crystalgnn_core.graphs.config import GraphConfig
from crystalgnn_core.graphs.shards import (
    STRUCTURE_COLUMNS,
    build_graph_shard,
    mark_superseded_graphs,
    plan_graph_shards,
)
from crystalgnn_core.records.table.store import RecordStore
from crystalgnn_core.screening.prescreening import Prescreened, only_kept
from crystalgnn_core.storage.shards import ShardJob, ShardState
from tasks.options import OPTIONS


class ShardPlan(FrozenModel):
    """Shards to make, and how many structures need no work."""

    jobs: tuple[ShardJob, ...]
    n_known: int


@task(**OPTIONS)
def plan_graphs(
    store: Path,
    graph: GraphConfig,
    sources: tuple[str, ...],
    shard_size: int,
    prescreened: Prescreened | None = None,
) -> ShardPlan:
    """List the graph shards that are missing, of all or of what a pre-screen kept."""
    structures = only_kept(RecordStore(store).scan(sources, STRUCTURE_COLUMNS), prescreened)
    jobs, n_known = plan_graph_shards(store, graph, structures, shard_size=shard_size)
    return ShardPlan(jobs=tuple(jobs), n_known=n_known)


@task(**OPTIONS, task_run_name="graphs-{job.name}")
def build_shard(job: ShardJob, graph: GraphConfig) -> ShardState:
    """Build one graph shard; the kernel releases the GIL, so threads scale."""
    return build_graph_shard(job, graph)


@task(**OPTIONS)
def mark_superseded(store: Path, graph: GraphConfig) -> int:
    """Make tombstones for the graphs of structures that no record has any more."""
    return mark_superseded_graphs(store, graph)
