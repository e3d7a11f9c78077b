"""The row vectors of a cell from its lengths and angles."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_RADIAN = math.pi / 180.0
_MIN_THICKNESS = 0.02  # angstrom; pymatgen refuses cells below half of it
_MIN_FLATNESS = 1e-6  # square of the volume of a cell with edges of length one


class _AngleTerms(NamedTuple):
    cos_alpha: float
    cos_beta: float
    sin_alpha: float
    sin_beta: float
    cos_gamma_star: float
    sin_gamma_star: float
    flatness: float  # volume of the cell with edges of length one


def lattice_from_parameters(cell: Sequence[float]) -> NDArray[np.float64] | None:
    """Build the lattice as pymatgen's `Lattice.from_parameters` does, to the last bit.

    Args:
        cell: Three lengths in angstrom, three angles in degrees.

    Returns:
        Row vectors in angstrom, shape (3, 3), or None for a cell that is thin or none.
    """
    a, b, c, *angles = cell
    terms = _angle_terms(*angles)
    # opposite faces are further apart than the product
    if terms is None or min(a, b, c) * terms.flatness <= _MIN_THICKNESS:
        return None
    y = b * terms.sin_alpha
    rows = (
        *(a * terms.sin_beta, 0.0, a * terms.cos_beta),
        *(-y * terms.cos_gamma_star, y * terms.sin_gamma_star, b * terms.cos_alpha),
        *(0.0, 0.0, c),
    )
    return np.array(rows).reshape(3, 3)


@lru_cache(maxsize=10_000)
def _angle_terms(alpha: float, beta: float, gamma: float) -> _AngleTerms | None:
    """Prepare what the angles of a cell, in degrees, contribute to its vectors."""
    if not all(0.0 < angle < 180.0 for angle in (alpha, beta, gamma)):
        return None
    radians = np.array((alpha, beta, gamma)) * _RADIAN
    cosines: list[float] = np.cos(radians).tolist()
    sines: list[float] = np.sin(radians).tolist()
    x, y, z = cosines
    squared = 1.0 - x * x - y * y - z * z + 2.0 * x * y * z
    if squared < _MIN_FLATNESS:
        return None
    cosine = (x * y - z) / (sines[0] * sines[1])
    gamma_star = np.arccos(min(max(cosine, -1.0), 1.0))
    return _AngleTerms(
        *(x, y, sines[0], sines[1]),
        float(np.cos(gamma_star)),
        float(np.sin(gamma_star)),
        math.sqrt(squared),
    )
