"""The neighbour search in cells of 20 to 5,000 atoms: image by image, in bins, pymatgen.

Run `python -m tests.benchmarks.large_cells` from the root of the checkout. One core,
rattled supercells of MP-20 structures; medians of several passes.
"""

import os
import statistics
import time
from collections.abc import Callable

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy is imported

import numpy as np

from crystalgnn_core.graphs import neighbors
from crystalgnn_core.graphs.config import GraphConfig
from crystalgnn_core.graphs.crystals import CrystalBatch
from crystalgnn_core.records.crystal import Crystal, structure_from_crystal
from deployments.tables import show_line, show_rows
from tests.benchmarks.structures import MP20, nearest_by_arrays, read_mp20, repeated

STRATEGIES = {
    "12 nearest within 8 Å": GraphConfig(),
    "all within 5 Å": GraphConfig(strategy="radius", cutoff=5.0),
}
SIZES = (20, 40, 60, 80, 120, 250, 500, 1000, 5000)
N_ATOMS, N_PASSES = 10_000, 5  # of each size
NEVER = 10**9


def run() -> None:
    """Print a table for each strategy."""
    if not MP20.is_file():
        show_line("skipped: MP-20 is not in ../shared/data")
        return
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
    crystals = read_mp20(2000)
    for title, config in STRATEGIES.items():
        show_rows(
            f"{title}: µs an atom, medians of {N_PASSES}",
            ("#atoms", "#images", "#bins", "#as built", "#pymatgen", "#ratio"),
            [row(crystals, size, config) for size in SIZES],
        )


def row(crystals: list[Crystal], size: int, config: GraphConfig) -> tuple[str, ...]:
    """Measure cells of about one size."""
    cells = [
        supercell(crystal, size, seed)
        for seed, crystal in enumerate(crystals[: max(N_ATOMS // size, 2)])
    ]
    default = neighbors.BINS_FROM
    times = []
    for bins_from in (NEVER, 0, default):
        neighbors.BINS_FROM = bins_from
        times.append(microseconds(lambda: search(cells, config), cells))
    by_peer = microseconds(lambda: by_pymatgen(cells, config), cells)
    mean = sum(len(cell.atomic_numbers) for cell in cells) / len(cells)
    return (
        f"{mean:.0f}",
        *(f"{time:.2f}" for time in times),
        f"{by_peer:.1f}",
        f"{by_peer / times[-1]:.1f}",
    )


def search(cells: list[Crystal], config: GraphConfig) -> None:
    """Find the neighbours as we do."""
    neighbors.find_neighbors(CrystalBatch.from_crystals(cells), config)


def by_pymatgen(cells: list[Crystal], config: GraphConfig) -> None:
    """Find the neighbours with pymatgen's arrays."""
    for cell in cells:
        if config.strategy == "radius":
            structure_from_crystal(cell).get_neighbor_list(config.cutoff)
        else:
            nearest_by_arrays(cell, config.n_neighbors, config.cutoff)


def microseconds(work: Callable[[], None], cells: list[Crystal]) -> float:
    """Return the time an atom takes: the median of several passes, after a first one."""
    work()
    passes = []
    for _ in range(N_PASSES):
        start = time.perf_counter()
        work()
        passes.append(time.perf_counter() - start)
    n_atoms = sum(len(cell.atomic_numbers) for cell in cells)
    return 1e6 * statistics.median(passes) / n_atoms


def supercell(crystal: Crystal, n_atoms: int, seed: int) -> Crystal:
    """Repeat a cell along its shortest vector until it is large enough, and rattle it."""
    cell = crystal
    while len(cell.atomic_numbers) < n_atoms:
        shortest = int(np.linalg.norm(cell.lattice, axis=1).argmin())
        cell = repeated(cell, shortest, 2)
    shift = np.random.default_rng(seed).normal(0, 0.05, (len(cell.atomic_numbers), 3))
    coords = cell.frac_coords + shift @ np.linalg.inv(cell.lattice)
    return Crystal(cell.atomic_numbers, cell.lattice, coords)


if __name__ == "__main__":
    run()
