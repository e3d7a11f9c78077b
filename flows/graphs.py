"""Build graphs: from records to Parquet shards."""

from __future__ import annotations

from prefect import flow

from crystalgnn_core.base import FrozenModel
from crystalgnn_core.config import PipelineConfig
from crystalgnn_core.graphs.config import GraphConfig
from crystalgnn_core.screening.prescreening import Prescreened
from flows.stages import gather
from tasks.graphs import build_shard, mark_superseded, plan_graphs


class BuildSummary(FrozenModel):
    """What was built: structures = already there + graphs built + refused now."""

    n_known: int
    n_shards: int
    n_graphs: int
    refused: dict[str, int]
    n_superseded: int = 0

    @property
    def note(self) -> str:
        """One line on what was built and what was reused."""
        superseded = f", {self.n_superseded:,} superseded" if self.n_superseded else ""
        if not self.n_shards:
            return f"{self.n_known:,} structures are built already (skipped){superseded}"
        n_refused = sum(self.refused.values())
        return (
            f"{self.n_graphs:,} graphs in {self.n_shards} shards, {n_refused:,} refused, "
            f"{self.n_known:,} structures reused{superseded}"
        )


@flow
def build_graphs(
    config: PipelineConfig,
    sources: tuple[str, ...] = (),
    graph: GraphConfig | None = None,
    prescreened: Prescreened | None = None,
) -> BuildSummary:
    """Build the graphs of some sources, all training and candidate sources by default.

    After a pre-screen, only those of the structures that it kept; candidates that wait for
    a pre-screen are not built by default.

    1. List the shards that are missing; structures with a graph are skipped.
    2. Build each shard in a task of its own.
    3. Make tombstones for graphs of structures that no record has any more.
    """
    settings = graph or config.graph
    candidates = config.screening.sources
    waiting = config.training.sources and config.screening.prescreen is not None
    chosen = sources or tuple(
        dict.fromkeys([*config.training.sources, *(() if waiting else candidates)])
    )
    plan = plan_graphs(
        config.store_path, settings, chosen, config.execution.shard_size, prescreened
    )
    states = gather([build_shard.submit(job, settings) for job in plan.jobs])
    n_superseded = mark_superseded(config.store_path, settings)
    refused: dict[str, int] = {}
    for state in states:
        for refusal in state.entry.refusals:
            refused[refusal.reason] = refused.get(refusal.reason, 0) + 1
    return BuildSummary(
        n_known=plan.n_known,
        n_shards=len(states),
        n_graphs=sum(state.entry.n_rows for state in states),
        refused=refused,
        n_superseded=n_superseded,
    )
