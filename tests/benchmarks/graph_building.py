"""Records to written graph shards, and the neighbour search alone, against peers.

Run `python -m tests.benchmarks.graph_building` from the root of the checkout. One core
unless said otherwise, the same MP-20 structures for all sides (fewer for the slow ones),
12 nearest within 8 angstrom; medians of several passes.
"""

import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy is imported

import pyarrow as pa

from crystalgnn_core.graphs.config import GraphConfig
from crystalgnn_core.graphs.crystals import CrystalBatch
from crystalgnn_core.graphs.neighbors import find_neighbors
from crystalgnn_core.graphs.shards import (
    STRUCTURE_COLUMNS,
    build_graph_shard,
    plan_graph_shards,
)
from crystalgnn_core.records.checks.validation import validate
from crystalgnn_core.records.crystal import Crystal, structure_from_crystal
from crystalgnn_core.records.schema import RawRecord
from crystalgnn_core.records.table.store import RecordStore
from deployments.tables import show_line, show_rows
from tests.benchmarks.peers import PeerError, peer_python, run_peer
from tests.benchmarks.structures import (
    MP20,
    nearest_by_arrays,
    read_mp20,
    repeated,
    write_structures,
)

CONFIG = GraphConfig()
K, CUTOFF = CONFIG.n_neighbors, CONFIG.cutoff
N_STRUCTURES, N_PEER, SHARD_SIZE, N_PASSES = 14_000, 300, 3500, 5
LARGE = 40  # atoms

Row = tuple[str, int, float]  # who, cores, structures a second


def run() -> None:
    """Measure everything and print two tables."""
    if not MP20.is_file():
        show_line("skipped: MP-20 is not in ../shared/data")
        return
    pa.set_io_thread_count(1)
    crystals = read_mp20(N_STRUCTURES)
    cores = sorted(os.sched_getaffinity(0))
    rows = [
        ("crystalgnn: records to written shards", n, to_shards(crystals, cores[:n]))
        for n in (1, 2)
        if n <= len(cores)
    ]
    os.sched_setaffinity(0, cores[:1])
    pa.set_cpu_count(1)
    few = crystals[:N_PEER]
    rows.append(("crystalgnn: search alone", 1, speed(search, crystals)))
    rows.append(("pymatgen: get_neighbor_list, 12 nearest", 1, speed(by_arrays, few)))
    rows.append(("pymatgen: get_all_neighbors, sorted", 1, speed(by_objects, few)))
    rows += alignn_rows(few)
    show(f"MP-20, {K} nearest within {CUTOFF:g} Å", rows)
    fitting = [crystal for crystal in crystals if LARGE % len(crystal.atomic_numbers) == 0]
    large = [repeated(c, 0, LARGE // len(c.atomic_numbers)) for c in fitting[:1000]]
    nearest = "pymatgen: get_neighbor_list, 12 nearest"
    show(
        f"Cells of {LARGE} atoms",
        [
            ("crystalgnn: search alone", 1, speed(search, large)),
            (nearest, 1, speed(by_arrays, large[:N_PEER])),
        ],
    )


def show(title: str, rows: Sequence[Row]) -> None:
    """Print rates, and how many times faster the first row of one core is."""
    ours = next(rate for _, n_cores, rate in rows if n_cores == 1)
    show_rows(
        f"{title}; structures/s, medians of {N_PASSES}",
        ("who", "#cores", "#structures/s", "#first row is faster by"),
        [
            (who, n_cores, f"{rate:,.0f}", f"{ours / rate:.1f}")
            for who, n_cores, rate in rows
        ],
    )


def speed(work: Callable[[list[Crystal]], object], crystals: list[Crystal]) -> float:
    """Return structures a second: the median of several passes, after one to warm up."""
    work(crystals[:50])
    return len(crystals) / statistics.median(seconds(work, crystals))


def seconds(
    work: Callable[[list[Crystal]], object], crystals: list[Crystal]
) -> list[float]:
    """Return what each pass over the structures took."""
    found = []
    for _ in range(N_PASSES):
        start = time.perf_counter()
        work(crystals)
        found.append(time.perf_counter() - start)
    return found


def to_shards(crystals: list[Crystal], cores: list[int]) -> float:
    """Return structures a second from the record table to shards on disk."""
    os.sched_setaffinity(0, cores)
    pa.set_cpu_count(len(cores))
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder)
        RecordStore(store).replace_records("mp20", lambda _: [records_of(crystals)])
        build(store, len(cores))
        found = []
        for _ in range(N_PASSES):
            shutil.rmtree(store / "graphs")
            start = time.perf_counter()
            n_built = build(store, len(cores))
            found.append(time.perf_counter() - start)
    return n_built / statistics.median(found)


def build(store: Path, n_threads: int) -> int:
    """Build all shards as the flow does; return the number of graphs."""
    structures = RecordStore(store).scan(["mp20"], STRUCTURE_COLUMNS)
    jobs, _ = plan_graph_shards(store, CONFIG, structures, shard_size=SHARD_SIZE)
    with ThreadPoolExecutor(n_threads) as pool:
        states = pool.map(lambda job: build_graph_shard(job, CONFIG), jobs)
        return sum(state.entry.n_rows for state in states)


def records_of(crystals: list[Crystal]) -> pa.Table:
    """Validate crystals as an ingest does."""
    raws = [
        RawRecord(material_id=str(index), crystal=crystal)
        for index, crystal in enumerate(crystals)
    ]
    return validate(raws, source="mp20", targets=(), require_labels="none").records


def search(crystals: list[Crystal]) -> None:
    """Find the neighbours as we do."""
    find_neighbors(CrystalBatch.from_crystals(crystals), CONFIG)


def by_arrays(crystals: list[Crystal]) -> None:
    """Find the neighbours with pymatgen's arrays."""
    for crystal in crystals:
        nearest_by_arrays(crystal, K, CUTOFF)


def by_objects(crystals: list[Crystal]) -> None:
    """Find the neighbours as the CGCNN code does."""
    for crystal in crystals:
        lists = structure_from_crystal(crystal).get_all_neighbors(CUTOFF)
        _ = [sorted(row, key=lambda found: found.nn_distance)[:K] for row in lists]


def alignn_rows(crystals: list[Crystal]) -> list[Row]:
    """Measure alignn's own builder in its environment; no rows when there is none."""
    script = Path(__file__).with_name("graph_building_alignn.py")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "structures.npz"
        write_structures(path, crystals)
        try:
            python = peer_python("alignn", "alignn==2026.8.11", "torch")
            found = run_peer(python, script, path, N_PASSES)
        except PeerError as error:
            show_line(f"skipped: {error}")
            return []
    return [
        (f"alignn 2026.8.11: graph{ending}", 1, len(crystals) / statistics.median(passes))
        for ending in ("", " with line graph")
        for passes in (found[f"seconds{ending}"],)
    ]


if __name__ == "__main__":
    run()
