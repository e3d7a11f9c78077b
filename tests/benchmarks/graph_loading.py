"""Batches from shards, and bytes on disk, against PyG's and alignn's ways.

Run `python -m tests.benchmarks.graph_loading` from the root of the checkout. One core, the
same MP-20 graphs (12 nearest with whole shells within 8 angstrom), batches of 256 in random
order; medians of several passes. PyG batches `Data` objects that are in memory already.
"""

import os
import pickle
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported

import numpy as np
import pyarrow as pa
import torch
from torch_geometric.data import Batch, Data, InMemoryDataset

from crystalgnn_core.graphs.batches import GraphDataset
from crystalgnn_core.graphs.build import build_graph
from crystalgnn_core.graphs.config import GraphConfig
from crystalgnn_core.graphs.crystals import CrystalBatch
from crystalgnn_core.graphs.mapped import map_graphs
from crystalgnn_core.graphs.neighbors import find_neighbors
from crystalgnn_core.graphs.shards import graph_table
from crystalgnn_core.graphs.streaming import GraphStream
from crystalgnn_core.records.crystal import Crystal
from crystalgnn_core.storage.shards import ShardSet
from deployments.tables import show_line, show_rows
from tests.benchmarks.peers import PeerError, peer_python, run_peer
from tests.benchmarks.structures import MP20, read_mp20, write_structures

BATCH_SIZE, N_PASSES = 256, 7
N_STRUCTURES, SHARD_SIZE = 12_000, 4000
N_OBJECTS, N_PEER = 2560, 300


def run() -> None:
    """Measure rates and sizes, and print both."""
    if not MP20.is_file():
        show_line("skipped: MP-20 is not in ../shared/data")
        return
    torch.set_num_threads(1)
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
    crystals = read_mp20(N_STRUCTURES)
    objects = [build_graph(crystal, GraphConfig()) for crystal in crystals[:N_OBJECTS]]
    with tempfile.TemporaryDirectory() as folder:
        shards = write_shards(Path(folder) / "graphs", crystals)
        show_rates(shards, objects)
        show_sizes(shards, objects, crystals[:N_PEER], Path(folder))


def write_shards(folder: Path, crystals: list[Crystal]) -> ShardSet:
    """Write the graphs as the flow does."""
    shards = ShardSet(folder)
    for start in range(0, len(crystals), SHARD_SIZE):
        batch = CrystalBatch.from_crystals(crystals[start : start + SHARD_SIZE])
        keys = [f"{index:032x}" for index in range(start, start + len(batch))]
        found = find_neighbors(batch, GraphConfig())
        table = graph_table(keys, batch, found, GraphConfig())
        shards.manifest.write(shards.name_of(keys), table, ())
    return shards


def show_rates(shards: ShardSet, objects: list[Data]) -> None:
    """Print graphs a second of each way to make batches."""
    names = ("structure_digest", "atomic_numbers", "lattice", "frac_coords", "degree")
    table = shards.read_all([*names, "neighbor", "cell_offset"])
    dataset = GraphDataset.from_table(table)
    mapped = map_graphs(shards.folder, dataset.digests)
    stream = GraphStream(shards.folder, buffer_size=2 * SHARD_SIZE)
    rates = {
        "crystalgnn: data set in memory": rate(shuffled(dataset), len(dataset)),
        "crystalgnn: mapped from disk": rate(shuffled(mapped), len(mapped)),
        "crystalgnn: streamed from disk": rate(
            lambda: stream.batches(BATCH_SIZE, seed=0), len(dataset)
        ),
        "PyG: Batch.from_data_list": rate(from_data_list(objects), len(objects)),
    }
    ours = rates["crystalgnn: data set in memory"]
    show_rows(
        f"Batches of {BATCH_SIZE} MP-20 graphs, vectors included, one core",
        ("who", "#graphs/s", "#first row is faster by"),
        [(who, f"{found:,.0f}", f"{ours / found:.1f}") for who, found in rates.items()],
    )


def rate(make: Callable[[], Iterator[object]], n_graphs: int) -> float:
    """Return graphs a second: the median of several passes, after one to warm up."""
    found = []
    for _ in range(N_PASSES + 1):
        start = time.perf_counter()
        for _ in make():
            pass
        found.append(time.perf_counter() - start)
    return n_graphs / statistics.median(found[1:])


def shuffled(dataset: GraphDataset) -> Callable[[], Iterator[object]]:
    """Make batches of a columnar data set in random order."""
    rng = np.random.default_rng(0)
    return lambda: dataset.batches(BATCH_SIZE, order=rng.permutation(len(dataset)))


def from_data_list(objects: list[Data]) -> Callable[[], Iterator[object]]:
    """Make batches as PyG's loader does."""
    rng = np.random.default_rng(0)

    def batches() -> Iterator[object]:
        order = rng.permutation(len(objects))
        for start in range(0, len(order), BATCH_SIZE):
            chosen = [objects[index] for index in order[start : start + BATCH_SIZE]]
            yield Batch.from_data_list(chosen)

    return batches


def show_sizes(
    shards: ShardSet, objects: list[Data], few: list[Crystal], folder: Path
) -> None:
    """Print bytes a graph of each way to store graphs."""
    entries = shards.sound_entries()
    ours = sum(e.n_bytes for e in entries) / sum(e.n_rows for e in entries)
    InMemoryDataset.save(objects, str(folder / "pyg.pt"))
    one_by_one = statistics.mean(len(pickle.dumps(graph)) for graph in objects)
    sizes = {
        "crystalgnn: Parquet shards": ours,
        "PyG: InMemoryDataset": (folder / "pyg.pt").stat().st_size / len(objects),
        "PyG: a pickle a graph": one_by_one,
    }
    write_structures(folder / "few.npz", few)
    script = Path(__file__).with_name("graph_building_alignn.py")
    try:
        python = peer_python("alignn", "alignn==2026.8.11", "torch")
        found = run_peer(python, script, folder / "few.npz", 1)
        sizes["alignn 2026.8.11: a pickle in LMDB, 12 nearest"] = found["bytes"]
        sizes["alignn 2026.8.11: the same with line graph"] = found["bytes with line graph"]
    except PeerError as error:
        show_line(f"skipped: {error}")
    show_rows(
        "Bytes a graph on disk, MP-20",
        ("who", "#bytes", "#times the first row"),
        [(who, f"{size:,.0f}", f"{size / ours:.1f}") for who, size in sizes.items()],
    )


if __name__ == "__main__":
    run()
