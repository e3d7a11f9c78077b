"""Edges against pymatgen's for every MP-20 and WBM structure and every strategy.

Run `python -m tests.benchmarks.neighbor_equality [N]` from the root of the checkout (N
structures of each set; all by default, some minutes). Exit code 1 if any structure differs.
Neighbours whose distance is within 1e-6 angstrom of where a selection ends may fall on
either side in the two programs; they are counted and left out.
"""

import sys
from collections import Counter
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crystalgnn_core.graphs.config import GraphConfig
from crystalgnn_core.graphs.crystals import CrystalBatch
from crystalgnn_core.graphs.neighbors import OK, NeighborList, find_neighbors
from crystalgnn_core.records.crystal import Crystal, structure_from_crystal
from crystalgnn_core.sources.formats.cif.reader import crystal_from_cif
from deployments.tables import show_line, show_rows
from tests.paths import DATA

FILES = ("mp20.parquet", "wbm_candidates.parquet")
SLACK = 1e-6  # angstrom
BATCH = 500
CONFIGS = {
    "radius 5 Å": GraphConfig(strategy="radius", cutoff=5.0),
    "knn 12, 8 Å": GraphConfig(strategy="knn"),
    "knn_shell 12, 8 Å": GraphConfig(),
    "knn_shell 12, 8 Å, symmetric": GraphConfig(symmetric=True),
}


class Edges(NamedTuple):
    """Edges of one crystal: (centre, neighbour, image) (n, 5) and distances (n,)."""

    ends: NDArray[np.int64]
    distance: NDArray[np.float64]


def ours(found: NeighborList, crystals: CrystalBatch, index: int) -> Edges:
    """Cut the edges of one crystal out of a batch; distances from its coordinates."""
    atoms = slice(*crystals.offsets[index : index + 2])
    ends = np.concatenate([[0], np.cumsum(found.degree, dtype=np.int64)])
    edges = slice(ends[atoms.start], ends[atoms.stop])
    degree = found.degree[atoms]
    center = np.repeat(np.arange(len(degree)), degree)
    neighbor = found.neighbor[edges].astype(np.int64)
    image = found.cell_offset[edges].astype(np.int64)
    fracs = crystals.frac_coords[atoms]
    vector = (fracs[neighbor] - fracs[center] + image) @ crystals.lattices[index]
    columns = np.column_stack((center, neighbor, image))
    return Edges(columns, np.linalg.norm(vector, axis=1))


def pymatgen_edges(crystals: CrystalBatch, index: int, radius: float) -> Edges:
    """Return all neighbours within a radius as pymatgen finds them."""
    atoms = slice(*crystals.offsets[index : index + 2])
    numbers, fracs = crystals.atomic_numbers[atoms], crystals.frac_coords[atoms]
    structure = structure_from_crystal(Crystal(numbers, crystals.lattices[index], fracs))
    centers, others, images, distances = structure.get_neighbor_list(radius)
    return Edges(np.column_stack((centers, others, images)).astype(np.int64), distances)


def limits(
    found: Edges, n_atoms: int, config: GraphConfig, cutoff: float
) -> NDArray[np.float64]:
    """Return the distance up to which each centre keeps its neighbours."""
    if config.strategy == "radius":
        return np.full(n_atoms, cutoff)
    order = np.lexsort((found.distance, found.ends[:, 0]))
    starts = np.searchsorted(found.ends[order, 0], np.arange(n_atoms))
    kth = found.distance[order][starts + config.n_neighbors - 1]
    return kth + (config.shell_tolerance if config.strategy == "knn_shell" else 0.0)


def as_set(edges: Edges, keep: NDArray[np.bool_], *, symmetric: bool) -> set[bytes]:
    """Return the kept edges, and their reverses where asked for."""
    ends = edges.ends[keep]
    if symmetric:
        ends = np.concatenate([ends, np.column_stack((ends[:, [1, 0]], -ends[:, 2:]))])
    return {row.tobytes() for row in ends}


def verdict(
    mine: Edges, theirs: Edges, limit: NDArray[np.float64], config: GraphConfig
) -> str:
    """Compare one crystal; `equal`, `equal but for the limit`, or what differs."""
    pairs = zip((mine, theirs), (limit[e.ends[:, 0]] for e in (mine, theirs)), strict=True)
    inner, outer = [], []
    for edges, reach in pairs:
        inner.append(edges.distance < reach - SLACK)
        outer.append(edges.distance <= reach + SLACK)
    if len(mine.ends) != len(np.unique(mine.ends, axis=0)):
        return "an edge occurs twice"
    if config.strategy == "knn":
        if (np.bincount(mine.ends[:, 0]) != config.n_neighbors).any():
            return "not exactly k"
        got = as_set(mine, inner[0], symmetric=False)
        same = got == as_set(theirs, inner[1], symmetric=False) and outer[0].all()
        return "equal" if same else "other edges"
    symmetric = config.symmetric
    everything = {row.tobytes() for row in mine.ends}
    at_least = as_set(theirs, inner[1], symmetric=symmetric)
    at_most = as_set(theirs, outer[1], symmetric=symmetric)
    if not at_least <= everything <= at_most:
        return "other edges"
    return "equal" if at_least == at_most else "equal but for the limit"


def compare_batch(crystals: CrystalBatch, counts: dict[str, Counter[str]]) -> float:
    """Compare a batch for every strategy; return the largest difference of distances."""
    found = {name: find_neighbors(crystals, config) for name, config in CONFIGS.items()}
    worst = 0.0
    for index in range(len(crystals)):
        n_atoms = int(crystals.offsets[index + 1] - crystals.offsets[index])
        for name, config in CONFIGS.items():
            if found[name].status[index] != OK:
                counts[name]["refused"] += 1
                continue
            cutoff = float(found[name].cutoff[index])
            theirs = pymatgen_edges(crystals, index, cutoff + 0.1)
            mine = ours(found[name], crystals, index)
            limit = limits(theirs, n_atoms, config, cutoff)
            counts[name][verdict(mine, theirs, limit, config)] += 1
            if config.strategy == "radius" and len(mine.distance):
                within = theirs.distance[theirs.distance <= cutoff + SLACK]
                if len(within) == len(mine.distance):
                    gap = np.abs(np.sort(within) - np.sort(mine.distance)).max()
                    worst = max(worst, float(gap))
    return worst


def run(n_structures: int | None) -> bool:
    """Compare both sets; print a table; tell whether nothing differs."""
    counts: dict[str, Counter[str]] = {name: Counter() for name in CONFIGS}
    worst, n_seen = 0.0, 0
    for file in FILES:
        if not (DATA / file).is_file():
            show_line(f"skipped: {file} is not in ../shared/data")
            return True
        texts = pd.read_parquet(DATA / file, columns=["cif"])["cif"][:n_structures]
        for start in range(0, len(texts), BATCH):
            chosen = [crystal_from_cif(text) for text in texts[start : start + BATCH]]
            worst = max(worst, compare_batch(CrystalBatch.from_crystals(chosen), counts))
            n_seen += len(chosen)
    columns = ("strategy", "#equal", "#equal but for the limit", "#refused", "#different")
    rows = []
    for name, count in counts.items():
        fine = (count["equal"], count["equal but for the limit"], count["refused"])
        rows.append((name, *(f"{n:,}" for n in fine), f"{n_seen - sum(fine):,}"))
    show_rows(f"Edges against pymatgen, {n_seen:,} structures", columns, rows)
    show_line(f"largest difference of a distance within 5 angstrom: {worst:.1e} angstrom")
    return all(row[-1] == "0" for row in rows)


if __name__ == "__main__":
    sys.exit(0 if run(int(sys.argv[1]) if sys.argv[1:] else None) else 1)
