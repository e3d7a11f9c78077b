"""Find atoms that are too close to each other, periodic images included."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from crystalgnn_core.records.crystal import Crystal

_DENSE_PAIR_LIMIT = 64  # atoms; up to here the pair matrix is 3 times faster than a search


def find_overlap(crystal: Crystal, minimum: float) -> tuple[int, int, float] | None:
    """Find two atoms, periodic images included, that are closer than a distance.

    Exact for any cell with a finite inverse, also with one atom or very skewed.

    Args:
        crystal: The structure.
        minimum: Smallest allowed distance in angstrom.

    Returns:
        Two atom indices (equal for an atom and its own image) and their distance in
        angstrom, the closest pair where several overlap; None if no pair does.
    """
    lattice = crystal.lattice
    coords = crystal.frac_coords - np.floor(crystal.frac_coords)
    inverse = np.linalg.inv(lattice)
    heights = 1.0 / np.linalg.norm(inverse, axis=0)  # between opposite faces
    if heights.min() < 2 * minimum:
        from pymatgen.core.lattice import Lattice

        # in a skewed cell near images have large offsets; the reduced cell has small ones
        reduced = np.array(Lattice(lattice).get_lll_reduced_lattice().matrix)
        coords = coords @ lattice @ np.linalg.inv(reduced)
        lattice, coords = reduced, coords - np.floor(coords)
        shortest = float(np.linalg.norm(lattice, axis=1).min())
        if shortest < minimum:
            return 0, 0, shortest
    elif len(coords) <= _DENSE_PAIR_LIMIT:
        return _closest_in_matrix(coords, lattice, minimum)
    return _closest_pair(coords, lattice, minimum)


def _closest_in_matrix(
    coords: NDArray[np.float64], lattice: NDArray[np.float64], minimum: float
) -> tuple[int, int, float] | None:
    """Search all pairs of a cell whose heights are at least twice the minimum.

    There the offset of a pair that overlaps is below one half along each axis, so rounding
    finds its image, and no atom overlaps its own image.
    """
    offset = coords[:, None] - coords[None]
    vector = (offset - np.rint(offset)) @ lattice
    squared = np.einsum("ijk,ijk->ij", vector, vector)
    np.fill_diagonal(squared, np.inf)
    first, second = divmod(int(squared.argmin()), len(coords))
    distance = math.sqrt(squared[first, second])
    return (first, second, distance) if distance < minimum else None


def _closest_pair(
    coords: NDArray[np.float64], lattice: NDArray[np.float64], minimum: float
) -> tuple[int, int, float] | None:
    from pymatgen.optimization.neighbors import find_points_in_spheres

    positions = np.ascontiguousarray(coords @ lattice)
    first, second, image, distance = find_points_in_spheres(
        positions,
        positions,
        r=minimum,
        pbc=np.ones(3, dtype=np.int64),
        lattice=np.ascontiguousarray(lattice),
        tol=1e-8,
    )
    is_pair = (first != second) | (image != 0).any(axis=1)
    is_pair &= distance < minimum
    if not is_pair.any():
        return None
    best = int(np.flatnonzero(is_pair)[distance[is_pair].argmin()])
    return int(first[best]), int(second[best]), float(distance[best])
