"""Build and stream a million graphs: time per structure and peak memory must stay flat.

The structures are MP-20's with strained cells and permuted elements. Each size runs in a
process of its own, whose peak resident memory counts all imports:

    python tests/benchmarks/million.py [N ...]     (default 50000 1000000)
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from crystalgnn_core.graphs.config import GraphConfig
from crystalgnn_core.graphs.crystals import CrystalBatch
from crystalgnn_core.graphs.shards import (
    build_graph_shard,
    graph_folder,
    plan_graph_shards,
)
from crystalgnn_core.graphs.streaming import GraphStream
from crystalgnn_core.records.crystal import Crystal, structure_digest
from crystalgnn_core.sources.cif import crystal_from_cif
from deployments.tables import show_line, show_rows

MP20 = Path(__file__).parents[3] / "shared" / "data" / "mp20.parquet"
N_SEEDS = 3000  # crystals that are read; the rest are variants of them
SHARD_SIZE = 5000
STRAIN = 0.03
N_ELEMENTS = 83


def variants(seeds: CrystalBatch, n: int) -> Iterator[pa.Table]:
    """Yield n strained and relabelled copies of the seeds, a shard's worth at a time."""
    rng = np.random.default_rng(0)
    starts = seeds.offsets
    for first in range(0, n, SHARD_SIZE):
        crystals = []
        for seed in rng.integers(len(seeds), size=min(SHARD_SIZE, n - first)):
            atoms = slice(starts[seed], starts[seed + 1])
            strain = np.eye(3) + rng.uniform(-STRAIN, STRAIN, (3, 3))
            relabelled = rng.permutation(N_ELEMENTS)[
                seeds.atomic_numbers[atoms] % N_ELEMENTS
            ]
            crystals.append(
                Crystal(
                    (relabelled + 1).astype(np.int16),
                    seeds.lattices[seed] @ strain,
                    seeds.frac_coords[atoms],
                )
            )
        yield as_table(crystals)


def as_table(crystals: list[Crystal]) -> pa.Table:
    """Lay crystals out as rows of the record table."""
    return pa.table(
        {
            "structure_digest": [structure_digest(crystal) for crystal in crystals],
            "atomic_numbers": [crystal.atomic_numbers for crystal in crystals],
            "lattice": [crystal.lattice.ravel() for crystal in crystals],
            "frac_coords": [crystal.frac_coords.ravel() for crystal in crystals],
        }
    )


def measure(n: int, store: Path) -> dict[str, float]:
    """Build and stream n graphs; return seconds of each stage, counts and memory."""
    texts = pq.read_table(MP20, columns=["cif"]).slice(0, N_SEEDS)["cif"].to_pylist()
    seeds = CrystalBatch.from_crystals([crystal_from_cif(text) for text in texts])
    config = GraphConfig()
    cpu = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    started = time.perf_counter()
    jobs, _ = plan_graph_shards(store, config, variants(seeds, n), shard_size=SHARD_SIZE)
    planned = time.perf_counter()
    entries = [build_graph_shard(job, config).entry for job in jobs]
    built = time.perf_counter()
    stream = GraphStream(graph_folder(store, config))
    n_streamed = sum(len(chosen) for chosen, _ in stream.batches(256, seed=0))
    streamed = time.perf_counter()
    n_built = sum(entry.n_rows for entry in entries)
    n_refused = sum(len(entry.refusals) for entry in entries)
    if n_built + n_refused != n or n_streamed != n_built:
        raise SystemExit(
            f"{n} made, {n_built} built, {n_refused} refused, {n_streamed} read"
        )
    return {
        "n": n,
        "refused": n_refused,
        "make": planned - started,
        "build": built - planned,
        "stream": streamed - built,
        "cpu": sum(resource.getrusage(resource.RUSAGE_SELF)[:2]) - cpu,
        "bytes": sum(entry.n_bytes for entry in entries) / n_built,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
    }


def in_new_process(n: int) -> dict[str, float]:
    """Measure one size in a process and a store of its own."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, __file__, "--measure", str(n), folder],
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
        stages = [found[stage] / n * 1e6 for stage in ("make", "build", "stream")]
        rows.append(
            (
                f"{n:,.0f}",
                f"{found['refused']:,.0f}",
                *(f"{stage:.1f}" for stage in stages),
                f"{sum(stages):.1f}",
                f"{found['cpu'] / n * 1e6:.1f}",
                f"{found['bytes']:.0f}",
                f"{found['peak']:.2f}",
            )
        )
    columns = (
        "#structures",
        "#refused",
        "#make and park (us)",
        "#build (us)",
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
