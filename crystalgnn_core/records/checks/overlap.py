"""Find atoms that are too close to each other, periodic images included."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from crystalgnn_core.records.checks.fast import OVERLAP, Finding

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from crystalgnn_core.records.crystal import Crystal


def find_overlap(
    crystal: Crystal, minimum: float, reach: NDArray[np.float64] | None = None
) -> Finding | None:
    """Find two atoms, periodic images included, closer than `minimum` angstrom.

    Exact for any cell with a finite inverse, also with one atom or very skewed.

    Args:
        crystal: The crystal.
        minimum: Smallest limit of a pair.
        reach: By atom, shape (n_atoms,); the sum of two is their limit where it is larger.

    Returns:
        The two atoms, equal for an atom and its own image, and their distance, of the
        closest pair where several overlap; None if no pair does.
    """
    lattice = crystal.lattice
    coords = crystal.frac_coords - np.floor(crystal.frac_coords)
    inverse = np.linalg.inv(lattice)
    heights = 1.0 / np.linalg.norm(inverse, axis=0)  # between opposite faces
    if reach is None:
        reach = np.zeros(len(coords))
    if heights.min() < 2 * max(minimum, 2 * reach.max()):
        from pymatgen.core.lattice import Lattice

        # in a skewed cell near images have large offsets; the reduced cell has small ones
        reduced = np.array(Lattice(lattice).get_lll_reduced_lattice().matrix)
        coords = coords @ lattice @ np.linalg.inv(reduced)
        lattice, coords = reduced, coords - np.floor(coords)
        shortest = float(np.linalg.norm(lattice, axis=1).min())
        if shortest < minimum:
            return Finding(OVERLAP, shortest, limit=minimum)
    return _closest_pair(coords, lattice, minimum, reach)


def _closest_pair(
    coords: NDArray[np.float64],
    lattice: NDArray[np.float64],
    minimum: float,
    reach: NDArray[np.float64],
) -> Finding | None:
    from pymatgen.optimization.neighbors import find_points_in_spheres

    positions = np.ascontiguousarray(coords @ lattice)
    first, second, image, distance = find_points_in_spheres(
        positions,
        positions,
        r=max(minimum, 2 * float(reach.max())),
        pbc=np.ones(3, dtype=np.int64),
        lattice=np.ascontiguousarray(lattice),
        tol=1e-8,
    )
    is_pair = (first != second) | (image != 0).any(axis=1)
    limit = np.maximum(minimum, reach[first] + reach[second])
    is_pair &= distance < limit
    if not is_pair.any():
        return None
    best = int(np.flatnonzero(is_pair)[distance[is_pair].argmin()])
    one, other = sorted((int(first[best]), int(second[best])))
    return Finding(OVERLAP, float(distance[best]), one, other, float(limit[best]))
