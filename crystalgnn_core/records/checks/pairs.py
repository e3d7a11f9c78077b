"""Whether atoms of a cell come near each other, periodic images included (compiled)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from crystalgnn_core.compiled import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray


@compiled
def volume_and_heights(lattice: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    """Return the volume of a cell, and the distances of its opposite faces, shape (3,)."""
    volume, heights = 0.0, np.zeros(3)
    for axis in range(3):
        row, first, second = lattice[axis], lattice[axis - 2], lattice[axis - 1]
        x = first[1] * second[2] - first[2] * second[1]
        y = first[2] * second[0] - first[0] * second[2]
        z = first[0] * second[1] - first[1] * second[0]
        area = math.sqrt(x**2 + y**2 + z**2)
        volume = abs(row[0] * x + row[1] * y + row[2] * z)
        heights[axis] = volume / area if area > 0.0 else 0.0
    return volume, heights


@compiled
def are_apart(
    lattice: NDArray[np.float64],
    heights: NDArray[np.float64],
    coords: NDArray[np.float64],
    reach: NDArray[np.float64],
    minimum: float,
) -> bool:
    """Return whether no pair, images included, is closer than the sum of its reaches.

    Exact for every cell: an image whose offset along an axis, times the height of the cell
    there, is beyond the limit lies beyond it itself, so only few images are left.

    Args:
        lattice: Row vectors in angstrom, shape (3, 3).
        heights: Distances of opposite faces in angstrom, shape (3,).
        coords: Fractional coordinates, shape (n_atoms, 3).
        reach: Of each atom in angstrom, shape (n_atoms,).
        minimum: Smallest limit of a pair in angstrom.
    """
    offset, shortest = np.zeros(3), min(heights[0], heights[1], heights[2])
    longest = max(minimum, 2 * reach.max())
    for first in range(len(coords)):
        if longest > shortest:
            offset[:] = 0.0
            limit = max(minimum, 2 * reach[first])
            if _is_image_within(lattice, heights, offset, limit):
                return False
        for second in range(first):
            limit = max(minimum, reach[first] + reach[second])
            for axis in range(3):
                value = coords[first, axis] - coords[second, axis]
                offset[axis] = value - np.rint(value)
                if abs(offset[axis]) * heights[axis] >= limit:
                    break
            else:
                if _square(lattice, offset[0], offset[1], offset[2]) < limit * limit:
                    return False
                if 2 * limit > shortest and _is_image_within(
                    lattice, heights, offset, limit
                ):
                    return False
    return True


@compiled
def _is_image_within(
    lattice: NDArray[np.float64],
    heights: NDArray[np.float64],
    offset: NDArray[np.float64],
    limit: float,
) -> bool:
    """Return whether a vector is shorter than a limit once a lattice vector is added."""
    low, high = np.empty(3, np.int64), np.empty(3, np.int64)
    for axis in range(3):
        span = limit / heights[axis]
        low[axis] = math.ceil(-span - offset[axis])
        high[axis] = math.floor(span - offset[axis])
    for i in range(low[0], high[0] + 1):
        for j in range(low[1], high[1] + 1):
            for k in range(low[2], high[2] + 1):
                if i == 0 and j == 0 and k == 0:
                    continue
                square = _square(lattice, offset[0] + i, offset[1] + j, offset[2] + k)
                if square < limit * limit:
                    return True
    return False


@compiled
def _square(lattice: NDArray[np.float64], x: float, y: float, z: float) -> float:
    """Return the squared length of fractional coordinates."""
    square = 0.0
    for axis in range(3):
        square += (x * lattice[0, axis] + y * lattice[1, axis] + z * lattice[2, axis]) ** 2
    return square
