"""Stores that benchmarks train on, filled by core alone."""

from pathlib import Path

from crystalgnn_core.graphs.config import GraphConfig
from crystalgnn_core.graphs.shards import (
    STRUCTURE_COLUMNS,
    build_graph_shard,
    plan_graph_shards,
)
from crystalgnn_core.records.table.store import RecordStore

SHARD_SIZE = 1000


def build_graphs(store: Path, source: str, config: GraphConfig) -> None:
    """Build the graphs of a source that are missing."""
    structures = RecordStore(store).scan([source], STRUCTURE_COLUMNS)
    jobs, _ = plan_graph_shards(store, config, structures, shard_size=SHARD_SIZE)
    for job in jobs:
        build_graph_shard(job, config)
