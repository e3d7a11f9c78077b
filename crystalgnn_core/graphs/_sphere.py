"""What the two ways to search a sphere around an atom share."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from crystalgnn_core.compiled import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

KNN, KNN_SHELL, RADIUS = 0, 1, 2
ROUND_OFF = 1e-9  # angstrom; distances that differ by less are equal


class SearchRule(NamedTuple):
    """Which neighbours an atom keeps, and how they are searched.

    Attributes:
        strategy: One of the three constants above.
        k: Neighbours that an atom has at least.
        slack: Width of a shell in angstrom.
        keeps_few: Whether an atom with fewer neighbours than k is served.
        bins_from: Atoms of a cell from which on they are sorted into bins.
    """

    strategy: int
    k: int
    slack: float
    keeps_few: bool
    bins_from: int


class NeighborBuffer(NamedTuple):
    """Neighbours of one atom in no order: buffers that are used again for the next.

    Attributes:
        distance2: Squared distance in angstrom^2, shape (size,).
        other: Index of the atom, shape (size,).
        image: Its cell, shape (size, 3).
    """

    distance2: NDArray[np.float64]
    other: NDArray[np.int64]
    image: NDArray[np.int64]


@compiled
def make_buffers(size: int) -> NeighborBuffer:
    """Return buffers for so many neighbours."""
    return NeighborBuffer(
        np.empty(size), np.empty(size, dtype=np.int64), np.empty((size, 3), dtype=np.int64)
    )


@compiled
def grow(found: NeighborBuffer) -> NeighborBuffer:
    """Return buffers of twice the size with the same content."""
    size = len(found.other)
    larger = make_buffers(2 * size)
    larger.distance2[:size] = found.distance2
    larger.other[:size] = found.other
    larger.image[:size] = found.image
    return larger


# names in machine code that an older version left on disk: numba reads it to see its age
Found, Rule = NeighborBuffer, SearchRule
