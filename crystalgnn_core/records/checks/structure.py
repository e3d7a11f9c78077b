"""Check structures, and say what is wrong with one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crystalgnn_core.errors import RecordError, RejectReason
from crystalgnn_core.records.checks.fast import (
    DENSE,
    DILUTE,
    LONG,
    LOOSE,
    MAX_BOND,
    MAX_LATTICE_ENTRY,
    MAX_VOLUME_PER_ATOM,
    MIN_BOND,
    MIN_DISTANCE,
    NOT_FINITE,
    OVERLAP,
    UNDECIDED,
    UNKNOWN_ELEMENT,
    Finding,
    find_faults,
)
from crystalgnn_core.records.checks.overlap import find_overlap
from crystalgnn_core.records.checks.radii import radii
from crystalgnn_core.records.crystal import Crystal

if TYPE_CHECKING:
    from collections.abc import Sequence

_NUMBER = (
    "site {first} has atomic number {number}, expected 1 to 118; give every site an element"
)
_NAN = "lattice or coordinates hold NaN or infinity, expected numbers; fix the file"
_LONG = (
    "a lattice vector is {value:.3g} angstrom long, expected at most "
    f"{MAX_LATTICE_ENTRY:g}; check the units of the cell"
)
_VOLUME = (
    "the cell has {{value:.3g}} cubic angstrom per atom, expected at {} {}; check the "
    "lattice vectors and their units"
)
_DENSE = _VOLUME.format("least", "{limit:.2g} for these elements")
_DILUTE = (
    _VOLUME.format("most", f"{MAX_VOLUME_PER_ATOM:g}")
    + ", and leave out molecules in a box"
)
_LOOSE = (
    "no two atoms are within "
    f"{MAX_BOND} times the sum of their covalent radii, in a cell of {{value:.3g}} cubic "
    "angstrom per atom; check the units of the cell, and whether atoms are missing"
)
_OVERLAP = (
    "atom {first} is {value:.3f} angstrom from {whom}, expected at least {limit:.2g} for "
    "{pair}; remove the duplicate or correct the cell"
)
_FAULTS: dict[int, tuple[RejectReason, str]] = {
    UNKNOWN_ELEMENT: ("unknown_element", _NUMBER),
    NOT_FINITE: ("unreadable_structure", _NAN),
    LONG: ("degenerate_cell", _LONG),
    DENSE: ("degenerate_cell", _DENSE),
    DILUTE: ("degenerate_cell", _DILUTE),
    OVERLAP: ("overlapping_atoms", _OVERLAP),
    LOOSE: ("degenerate_cell", _LOOSE),
}


def checked_structures(crystals: Sequence[Crystal | None]) -> list[Crystal | RecordError]:
    """Check arrays, cells and distances, some hundred crystals at a time for speed.

    Returns:
        The crystals; in place of one at fault the error: `no_atoms`,
        `unreadable_structure`, `unknown_element`, `degenerate_cell` or
        `overlapping_atoms`.
    """
    checked = [_check_shapes(crystal) for crystal in crystals]
    found = iter(find_faults([kept for kept in checked if isinstance(kept, Crystal)]))
    return [
        _check_finding(kept, next(found)) if isinstance(kept, Crystal) else kept
        for kept in checked
    ]


def _check_shapes(crystal: Crystal | None) -> Crystal | RecordError:
    if crystal is None:
        text = "there is no structure; fix the source row"
        return RecordError("unreadable_structure", text)
    numbers, lattice, coords = crystal
    if numbers.size == 0:
        return RecordError("no_atoms", "the cell holds no atoms; give at least one site")
    if lattice.shape != (3, 3) or coords.shape != (len(numbers), 3):
        return RecordError(
            "unreadable_structure",
            f"{len(numbers)} atoms with lattice {lattice.shape} and coordinates "
            f"{coords.shape}, expected (3, 3) and ({len(numbers)}, 3); fix the source row",
        )
    return crystal


def _check_finding(crystal: Crystal, found: Finding | None) -> Crystal | RecordError:
    numbers = crystal.atomic_numbers
    if found is not None and found.code == UNDECIDED:
        found = find_overlap(crystal, MIN_DISTANCE, MIN_BOND * radii().bond[numbers])
    if found is None:
        return crystal
    reason, text = _FAULTS[found.code]
    is_image = found.first == found.second
    whom = "its own periodic image" if is_image else f"atom {found.second}"
    number = numbers[found.first]
    pair = _pair(number, numbers[found.second]) if found.code == OVERLAP else ""
    words = {"whom": whom, "number": number, "pair": pair}
    return RecordError(reason, text.format(**found._asdict(), **words))


def _pair(first: int, second: int) -> str:
    from pymatgen.core.periodic_table import Element

    return " and ".join(Element.from_Z(int(number)).symbol for number in (first, second))
