"""The row vectors of cells from their lengths and angles."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_RADIAN = math.pi / 180.0
_MIN_THICKNESS = 0.02  # angstrom; pymatgen refuses cells below half of it
_MIN_FLATNESS = 1e-6  # square of the volume of a cell with edges of length one


def lattices_from_parameters(
    cells: NDArray[np.float64],
) -> list[NDArray[np.float64] | None]:
    """Build lattices as pymatgen's `Lattice.from_parameters` does, to the last bit.

    Args:
        cells: Three lengths in angstrom, three angles in degrees, shape (n_cells, 6).

    Returns:
        For each cell its row vectors in angstrom, shape (3, 3), or None if it is thin or
        no cell at all.
    """
    edges, angles = cells[:, :3], cells[:, 3:]
    is_cell: NDArray[np.bool_] = np.all((angles > 0.0) & (angles < 180.0), axis=1)
    radians = np.where(is_cell[:, np.newaxis], angles, 90.0).T.copy() * _RADIAN
    x, y, z = np.cos(radians)
    sin_alpha, sin_beta, _ = np.sin(radians)
    squared = 1.0 - x * x - y * y - z * z + 2.0 * x * y * z
    is_cell &= squared >= _MIN_FLATNESS
    gamma_star = np.arccos(np.clip((x * y - z) / (sin_alpha * sin_beta), -1.0, 1.0))
    # opposite faces are further apart than the product
    thickness = edges.min(axis=1) * np.sqrt(np.maximum(squared, 0.0))
    is_cell &= thickness > _MIN_THICKNESS
    a, b, c = edges.T
    lattices = np.zeros((len(cells), 3, 3))
    lattices[:, 0, 0], lattices[:, 0, 2] = a * sin_beta, a * y
    height = b * sin_alpha
    lattices[:, 1, 0] = -height * np.cos(gamma_star)
    lattices[:, 1, 1] = height * np.sin(gamma_star)
    lattices[:, 1, 2] = b * x
    lattices[:, 2, 2] = c
    pairs = zip(lattices, is_cell.tolist(), strict=True)
    return [lattice if is_sure else None for lattice, is_sure in pairs]
