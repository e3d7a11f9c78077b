"""Record, build and stream a million graphs: time a structure and memory must stay flat.

The structures are MP-20's with strained cells and permuted elements. They go the way of
any source: validated and staged part by part, committed to the record table, read from
there, built into shards, and streamed once in batches. Each size runs in a process of its
own, whose peak resident memory counts all imports:

    python -m tests.benchmarks.million [N ...]     (default 50000 1000000)
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from crystalgnn_core.graphs.config import GraphConfig
from crystalgnn_core.graphs.shards import (
    STRUCTURE_COLUMNS,
    build_graph_shard,
    graph_folder,
    plan_graph_shards,
)
from crystalgnn_core.graphs.streaming import GraphStream
from crystalgnn_core.records.crystal import Crystal
from crystalgnn_core.records.labels import LabelRequirement
from crystalgnn_core.records.schema import RawRecord
from crystalgnn_core.records.table.store import RecordStore
from crystalgnn_core.sources.base import SourceConfig, SourcePart
from crystalgnn_core.sources.formats.cif.reader import crystal_from_cif
from crystalgnn_core.sources.ingest.run import ingest_source
from crystalgnn_core.storage.shards import ShardEntry
from deployments.tables import show_line, show_rows
from tests.paths import DATA

MP20 = DATA / "mp20.parquet"
N_SEEDS = 3000  # crystals that are read; the rest are variants of them
SHARD_SIZE = 5000
STRAIN = 0.03
N_ELEMENTS = 83


class VariantSource(SourceConfig):
    """Strained and relabelled copies of MP-20's crystals, without labels.

    Attributes:
        n: How many.
    """

    name: str = "variants"
    require_labels: LabelRequirement = "none"
    part_size: int = SHARD_SIZE
    n: int

    def parts(self) -> list[SourcePart]:
        """Cut the structures into parts, each with random numbers of its own."""
        return [
            SourcePart(index=index, digest=f"{self.n}-{index}", payload={"first": first})
            for index, first in enumerate(range(0, self.n, self.part_size))
        ]

    def read(self, part: SourcePart) -> Iterator[RawRecord]:
        """Make the structures of a part."""
        rng = np.random.default_rng(part.index)
        first = part.payload["first"]
        seeds = read_seeds()
        for number in range(first, min(first + self.part_size, self.n)):
            numbers, lattice, coords = seeds[rng.integers(len(seeds))]
            strain = np.eye(3) + rng.uniform(-STRAIN, STRAIN, (3, 3))
            relabelled = rng.permutation(N_ELEMENTS)[numbers % N_ELEMENTS] + 1
            crystal = Crystal(relabelled.astype(np.int16), lattice @ strain, coords)
            yield RawRecord(f"v{number:07d}", crystal)

    def target_names(self) -> tuple[str, ...]:
        """Name no target."""
        return ()


@cache
def read_seeds() -> list[Crystal]:
    """Read the crystals that the others are variants of."""
    texts = pq.read_table(MP20, columns=["cif"]).slice(0, N_SEEDS)["cif"].to_pylist()
    return [crystal_from_cif(text) for text in texts]


def record(store: Path, source: VariantSource) -> int:
    """Bring the structures into the record table as an ingest does; count them."""
    return ingest_source(store, source).n_kept


def build(store: Path, config: GraphConfig) -> list[ShardEntry]:
    """Build all shards as the flow does, one after the other."""
    structures = RecordStore(store).scan(["variants"], STRUCTURE_COLUMNS)
    jobs, _ = plan_graph_shards(store, config, structures, shard_size=SHARD_SIZE)
    return [build_graph_shard(job, config).entry for job in jobs]


def measure(n: int, store: Path) -> dict[str, float]:
    """Take n structures all the way; return seconds of each stage, counts and memory."""
    config = GraphConfig()
    read_seeds()
    cpu = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    started = time.perf_counter()
    n_kept = record(store, VariantSource(n=n))
    recorded = time.perf_counter()
    entries = build(store, config)
    built = time.perf_counter()
    stream = GraphStream(graph_folder(store, config))
    n_streamed = sum(len(chosen) for chosen, _ in stream.batches(256, seed=0))
    streamed = time.perf_counter()
    n_built = sum(entry.n_rows for entry in entries)
    n_refused = sum(len(entry.refusals) for entry in entries)
    if n_built + n_refused != n_kept or n_streamed != n_built:
        raise SystemExit(
            f"{n_kept} recorded, {n_built} built, {n_refused} refused, {n_streamed} read"
        )
    return {
        "n": n,
        "rejected": n - n_kept + n_refused,
        "record": recorded - started,
        "build": built - recorded,
        "stream": streamed - built,
        "cpu": sum(resource.getrusage(resource.RUSAGE_SELF)[:2]) - cpu,
        "bytes": sum(entry.n_bytes for entry in entries) / n_built,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
    }


def in_new_process(n: int) -> dict[str, float]:
    """Measure one size in a process and a store of its own."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-m", "tests.benchmarks.million", "--measure", str(n), folder],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def run(sizes: list[int]) -> None:
    """Measure all sizes and print them side by side."""
    if not MP20.is_file():
        show_line("skipped: MP-20 is not in ../shared/data")
        return
    rows = []
    for found in map(in_new_process, sizes):
        n = found["n"]
        stages = [found[stage] / n * 1e6 for stage in ("record", "build", "stream")]
        rows.append(
            (
                f"{n:,.0f}",
                f"{found['rejected']:,.0f}",
                *(f"{stage:.1f}" for stage in stages),
                f"{sum(stages):.1f}",
                f"{found['cpu'] / n * 1e6:.1f}",
                f"{found['bytes']:.0f}",
                f"{found['peak']:.2f}",
            )
        )
    columns = (
        "#structures",
        "#rejected",
        "#make and record (us)",
        "#plan and build (us)",
        "#stream (us)",
        "#all (us)",
        "#CPU (us)",
        "#bytes a graph",
        "#peak GB",
    )
    show_rows("Time per structure and peak memory, one process", columns, rows)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(measure(int(sys.argv[2]), Path(sys.argv[3]))))  # noqa: T201
    else:
        run([int(text) for text in sys.argv[1:]] or [50_000, 1_000_000])
