"""Stores that benchmarks train on, filled by core alone."""

from pathlib import Path

from crystalgnn_core.graphs.config import GraphConfig
from crystalgnn_core.graphs.shards import (
    STRUCTURE_COLUMNS,
    build_graph_shard,
    plan_graph_shards,
)
from crystalgnn_core.records.store import RecordStore
from crystalgnn_core.sources.files import FilesSource
from crystalgnn_core.sources.ingest import commit_ingest, plan_ingest, read_part

SHARD_SIZE = 1000


def fill_store(store: Path, source: FilesSource) -> None:
    """Ingest a source."""
    plan = plan_ingest(store, source)
    parts = [read_part(source, part, Path(plan.folder)) for part in plan.parts]
    commit_ingest(store, source, plan, parts)


def build_graphs(store: Path, source: str, config: GraphConfig) -> None:
    """Build the graphs of a source that are missing."""
    structures = RecordStore(store).scan([source], STRUCTURE_COLUMNS)
    jobs, _ = plan_graph_shards(store, config, structures, shard_size=SHARD_SIZE)
    for job in jobs:
        build_graph_shard(job, config)
