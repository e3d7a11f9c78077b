"""Places in a cell that are close to each other, all images considered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from crystalgnn_core.errors import RecordError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from crystalgnn_core.records.crystal import Crystal

GRID = 1_000_000  # images equal on it are one without a look at distances
_MAX_PAIRS = 4_000_000
_MAX_EQUAL = 200  # a tree cannot divide them
_MIN_HEIGHT = 0.1  # angstrom
_SAME_PLACE = 0.01  # angstrom


def close_pairs(
    places: NDArray[np.float64], lattice: NDArray[np.float64], distance: float
) -> NDArray[np.int64]:
    """Find places closer than a distance, in angstrom, that is small against the cell.

    Returns:
        Their indices, shape (n_pairs, 2).

    Raises:
        RecordError: The cell is too thin, or there are too many.
    """
    from scipy.spatial import cKDTree

    height = float((1.0 / np.linalg.norm(np.linalg.inv(lattice), axis=0)).min())
    if height < _MIN_HEIGHT:
        raise RecordError(
            "degenerate_cell",
            f"the cell is {height:.3g} angstrom thick, expected at least {_MIN_HEIGHT}; "
            "check its lengths and angles",
        )
    wrapped = places % 1.0
    wrapped[wrapped >= 1.0] = 0.0
    tree = cKDTree(wrapped, boxsize=1.0)
    radius = min(distance / height, 0.49)
    _, n_equal = np.unique(np.rint(wrapped * GRID), axis=0, return_counts=True)
    if (
        n_equal.max() > _MAX_EQUAL
        or tree.count_neighbors(tree, radius, p=np.inf) > len(places) + _MAX_PAIRS
    ):
        raise RecordError(
            "overlapping_atoms",
            "very many sites lie on each other; check their coordinates",
        )
    pairs = tree.query_pairs(radius, p=np.inf, output_type="ndarray")
    offsets = wrapped[pairs[:, 0]] - wrapped[pairs[:, 1]]
    offsets -= np.rint(offsets)
    return pairs[np.linalg.norm(offsets @ lattice, axis=1) < distance]


def are_same(first: Crystal, second: Crystal) -> bool:
    """Return whether two crystals in one cell have the same atoms, in any order."""
    if len(first.atomic_numbers) != len(second.atomic_numbers):
        return False
    places = np.concatenate([first.frac_coords, second.frac_coords])
    pairs = close_pairs(places, first.lattice, _SAME_PLACE)
    pairs = np.sort(pairs[(pairs >= len(first.atomic_numbers)).sum(axis=1) == 1], axis=1)
    pairs[:, 1] -= len(first.atomic_numbers)
    is_alike = first.atomic_numbers[pairs[:, 0]] == second.atomic_numbers[pairs[:, 1]]
    return all(
        len(set(column)) == len(first.atomic_numbers)
        for column in pairs[is_alike].T.tolist()
    )
