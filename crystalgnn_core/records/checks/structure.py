"""The checks that name what is wrong with a structure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from crystalgnn_core.errors import RecordError
from crystalgnn_core.records.checks.overlap import find_overlap

if TYPE_CHECKING:
    from crystalgnn_core.records.crystal import Crystal

MIN_DISTANCE = 0.5  # angstrom; the shortest bond, H2, is 0.74
MIN_VOLUME_PER_ATOM = 1.0  # cubic angstrom; diamond, the densest in atoms, has 5.7
# cubic angstrom: a cube of 10 for each atom, so that even its neighbours are out of reach
# of a graph; caesium, the most dilute in atoms, has 115
MAX_VOLUME_PER_ATOM = 1000.0
MAX_LATTICE_ENTRY = 1e4  # angstrom; beyond, rounding swamps the cell volume


def check_structure(crystal: Crystal) -> None:
    """Check arrays, cell and distances.

    Raises:
        RecordError: `no_atoms`, `unreadable_structure`, `unknown_element`,
            `degenerate_cell` or `overlapping_atoms`.
    """
    _check_arrays(crystal)
    _check_cell(crystal)
    overlap = find_overlap(crystal, MIN_DISTANCE)
    if overlap is not None:
        first, second, distance = overlap
        whom = f"atom {second}" if first != second else "its own periodic image"
        raise RecordError(
            "overlapping_atoms",
            f"atom {first} is {distance:.3f} angstrom from {whom}, expected at least "
            f"{MIN_DISTANCE}; remove the duplicate or correct the cell",
        )


def _check_arrays(crystal: Crystal) -> None:
    numbers, lattice, coords = crystal
    if numbers.size == 0:
        raise RecordError("no_atoms", "the cell holds no atoms; give at least one site")
    if lattice.shape != (3, 3) or coords.shape != (len(numbers), 3):
        raise RecordError(
            "unreadable_structure",
            f"{len(numbers)} atoms with lattice {lattice.shape} and coordinates "
            f"{coords.shape}, expected (3, 3) and ({len(numbers)}, 3); mend the source row",
        )
    if numbers.min() < 1 or numbers.max() > 118:
        bad = int(np.flatnonzero((numbers < 1) | (numbers > 118))[0])
        raise RecordError(
            "unknown_element",
            f"site {bad} has atomic number {numbers[bad]}, expected 1 to 118; "
            "give every site an element",
        )
    if not (np.isfinite(lattice).all() and np.isfinite(coords).all()):
        raise RecordError(
            "unreadable_structure",
            "lattice or coordinates hold NaN or infinity, expected numbers; mend the file",
        )


def _check_cell(crystal: Crystal) -> None:
    longest = float(np.abs(crystal.lattice).max())
    if longest > MAX_LATTICE_ENTRY:
        raise RecordError(
            "degenerate_cell",
            f"a lattice vector is {longest:.3g} angstrom long, expected at most "
            f"{MAX_LATTICE_ENTRY:g}; check the units of the cell",
        )
    volume = abs(float(np.linalg.det(crystal.lattice))) / len(crystal.atomic_numbers)
    if volume < MIN_VOLUME_PER_ATOM:
        raise RecordError(
            "degenerate_cell",
            f"the cell has {volume:.3g} cubic angstrom an atom, expected at least "
            f"{MIN_VOLUME_PER_ATOM:g}; check the lattice vectors and their units",
        )
    if volume > MAX_VOLUME_PER_ATOM:
        raise RecordError(
            "degenerate_cell",
            f"the cell has {volume:.3g} cubic angstrom an atom, expected at most "
            f"{MAX_VOLUME_PER_ATOM:g}; check the lattice vectors and their units, "
            "and leave out molecules in a box",
        )
