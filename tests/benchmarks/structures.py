"""Structures that both sides of a benchmark read."""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crystalgnn_core.graphs.crystals import CrystalBatch
from crystalgnn_core.records.crystal import Crystal, structure_from_crystal
from crystalgnn_core.sources.formats.cif.reader import crystal_from_cif
from tests.paths import DATA

MP20 = DATA / "mp20.parquet"


def read_mp20(n_structures: int, *, seed: int = 0) -> list[Crystal]:
    """Return randomly chosen structures of MP-20 (Materials Project, at most 20 atoms)."""
    texts = pd.read_parquet(MP20, columns=["cif"])["cif"]
    chosen = np.random.default_rng(seed).choice(len(texts), n_structures, replace=False)
    return [crystal_from_cif(texts.iloc[int(row)]) for row in chosen]


def write_structures(path: Path, crystals: list[Crystal]) -> None:
    """Write the fields of a `CrystalBatch` as plain numpy arrays."""
    np.savez(path, **CrystalBatch.from_crystals(crystals)._asdict())


def repeated(crystal: Crystal, axis: int, n: int) -> Crystal:
    """Repeat a cell n times along one of its vectors."""
    step, scale = np.eye(3)[axis], np.ones(3)
    scale[axis] = n
    coords = [(crystal.frac_coords + index * step) / scale for index in range(n)]
    return Crystal(
        np.tile(crystal.atomic_numbers, n),
        crystal.lattice * scale[:, None],
        np.concatenate(coords),
    )


def nearest_by_arrays(
    crystal: Crystal, n_neighbors: int, cutoff: float
) -> tuple[NDArray[np.generic], ...]:
    """Find the nearest neighbours with pymatgen's arrays, selected with numpy."""
    structure = structure_from_crystal(crystal)
    center, other, image, distance = structure.get_neighbor_list(cutoff)
    order = np.lexsort((distance, center))
    starts = np.searchsorted(center[order], np.arange(len(structure)))
    rank = np.arange(len(order)) - np.repeat(starts, np.diff([*starts, len(order)]))
    chosen = order[rank < n_neighbors]
    return center[chosen], other[chosen], image[chosen], distance[chosen]
