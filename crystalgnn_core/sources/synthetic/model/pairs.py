"""All pairs of atoms within a cutoff, periodic images included."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from crystalgnn_core.records.crystal import Crystal


class Pairs(NamedTuple):
    """Directed pairs: every pair is listed from both of its ends.

    Attributes:
        first: Atom index, shape (n_pairs,), int64.
        second: Atom index, shape (n_pairs,), int64.
        distance: In angstrom, shape (n_pairs,), float64.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    distance: NDArray[np.float64]


def find_pairs(crystal: Crystal, cutoff: float) -> Pairs:
    """List the pairs of a crystal that are closer than cutoff (angstrom)."""
    images = image_range(crystal.lattice, cutoff)
    geometry = (crystal.lattice, crystal.frac_coords, cutoff, images)
    n_pairs = _scan(*geometry, _empty_pairs(0))
    found = _empty_pairs(n_pairs)
    _scan(*geometry, found)
    return found


def image_range(lattice: NDArray[np.float64], cutoff: float) -> NDArray[np.int64]:
    """Return how many cells to look at along each axis, shape (3,)."""
    spacings = 1.0 / np.linalg.norm(np.linalg.inv(lattice), axis=0)
    # half a cell more, because differences are wrapped to [-0.5, 0.5]
    return np.ceil(cutoff / spacings + 0.5).astype(np.int64)


def _empty_pairs(n_pairs: int) -> Pairs:
    integers = np.empty((2, n_pairs), np.int64)
    return Pairs(integers[0], integers[1], np.empty(n_pairs))


@njit(cache=True, nogil=True)
def _scan(
    lattice: NDArray[np.float64],
    frac: NDArray[np.float64],
    cutoff: float,
    images: NDArray[np.int64],
    found: Pairs,
) -> int:
    """Count the pairs, and write them down where the arrays are not empty."""
    count = 0
    for i in range(len(frac)):
        for j in range(len(frac)):
            difference = frac[j] - frac[i]
            shift = difference - np.rint(difference)
            for na in range(-images[0], images[0] + 1):
                for nb in range(-images[1], images[1] + 1):
                    for nc in range(-images[2], images[2] + 1):
                        length = _length(
                            lattice, shift[0] + na, shift[1] + nb, shift[2] + nc
                        )
                        is_self = i == j and na == 0 and nb == 0 and nc == 0
                        if length >= cutoff or is_self:
                            continue
                        if len(found.distance):
                            found.first[count] = i
                            found.second[count] = j
                            found.distance[count] = length
                        count += 1
    return count


@njit(cache=True, nogil=True)
def _length(lattice: NDArray[np.float64], a: float, b: float, c: float) -> float:
    x = a * lattice[0, 0] + b * lattice[1, 0] + c * lattice[2, 0]
    y = a * lattice[0, 1] + b * lattice[1, 1] + c * lattice[2, 1]
    z = a * lattice[0, 2] + b * lattice[1, 2] + c * lattice[2, 2]
    return np.sqrt(x * x + y * y + z * z)
