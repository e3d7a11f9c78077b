"""Check the structures of many crystals in one compiled pass.

Measured on the 28,000 relaxed structures of MP-20, WBM, AFLOW and perov-5: no two atoms are
closer than 0.61 times the sum of their covalent radii, or fill the cell to more than twice
their covalent volume; the closest two are never farther apart than 1.5 times that sum.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from crystalgnn_core.compiled import compiled
from crystalgnn_core.records.checks.pairs import are_apart, volume_and_heights
from crystalgnn_core.records.checks.radii import radii
from crystalgnn_core.records.crystal import lay_out

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from crystalgnn_core.records.checks.radii import Radii
    from crystalgnn_core.records.crystal import Crystal, FlatCrystals

MIN_DISTANCE = 0.5  # angstrom; the shortest bond, H2, is 0.74
MIN_BOND, MAX_BOND = 0.5, 2.0  # of the sum of two covalent radii
MIN_FILLING = 0.2  # volume of a cell over that of the covalent spheres of its atoms
MIN_VOLUME_PER_ATOM = 1.0  # cubic angstrom; diamond, the densest in atoms, has 5.7
# cubic angstrom: a cube of 10 for each atom, so that even its neighbours are out of reach
# of a graph; caesium, the most dilute in atoms, has 115
MAX_VOLUME_PER_ATOM = 1000.0
MAX_LATTICE_ENTRY = 1e4  # angstrom; beyond, rounding swamps the cell volume
UNUSUAL_BOND, UNUSUAL_FILLING = 0.6, 0.5  # below, flagged
# above, flagged; solid hydrogen and helium take 2.6 times the room
UNUSUAL_DISTANCE, UNUSUAL_ROOM = 1.6, 2.75
_MAX_ATOMS = 500  # beyond, a search for neighbours is faster than all pairs
_MAX_COORDINATE = 1e6  # beyond, subtraction may lose what makes an overlap
_SPHERE = 4.0 / 3.0 * math.pi
_O, _F = 8, 9
# F- to the charges for it; computed fluorides, such as Rb2NdF6 and KNiF6, have up to 1.4
UNUSUAL_FLUORINE = 1.5

# what is found; whether atoms of an undecided one overlap needs a search for neighbours
_INTACT, UNDECIDED, UNKNOWN_ELEMENT, NOT_FINITE, LONG, DENSE, DILUTE, OVERLAP, LOOSE = (
    range(9)
)
FLAGS = {
    "close_atoms": (
        f"two atoms are closer than {UNUSUAL_BOND} times the sum of their covalent radii; "
        "check the coordinates"
    ),
    "dense_cell": (
        f"the cell has less than {UNUSUAL_FILLING} times the volume of its atoms; check "
        "units unless it is under extreme pressure"
    ),
    "sparse_cell": (
        f"the cell has more than {UNUSUAL_ROOM} times the room that its atoms take, or no "
        f"distance below {UNUSUAL_DISTANCE} times the sum of covalent radii; unless it is "
        "a slab, molecule or framework, atoms are missing or the units are wrong"
    ),
    "impossible_charge": (
        "the cell has more oxygen than its other atoms bind at their highest oxidation "
        f"states, or {UNUSUAL_FLUORINE} times the fluorine; check whether atoms are missing"
    ),
}


class Finding(NamedTuple):
    """What a check found.

    Attributes:
        code: `UNDECIDED` or the first fault.
        value: Length, volume per atom or distance that is at fault, in angstrom.
        first: Atom at fault.
        second: The other atom of an overlap; the same one for its own image.
        limit: What the value should be at least, in its unit.
    """

    code: int
    value: float
    first: int = 0
    second: int = 0
    limit: float = 0.0


def find_faults(crystals: Sequence[Crystal]) -> list[Finding | None]:
    """Check elements, cells and distances of crystals with arrays of the right shapes.

    Returns:
        What was found in each, None for an intact one.
    """
    codes = np.empty((len(crystals), 2), dtype=np.int64)
    values = np.empty((len(crystals), 2))
    _check_all(lay_out(crystals), radii(), codes, values)
    found = zip(codes.tolist(), values.tolist(), strict=True)
    return [
        Finding(code, value, first=atom, limit=limit) if code != _INTACT else None
        for (code, atom), (value, limit) in found
    ]


def find_flags(crystals: FlatCrystals) -> list[tuple[str, ...]]:
    """Name by `FLAGS` what is unusual in crystals that passed the checks, but may be."""
    masks = np.zeros(len(crystals.starts) - 1, dtype=np.int64)
    _flag_all(crystals, radii(), masks)
    names = [
        tuple(name for bit, name in enumerate(FLAGS) if mask >> bit & 1)
        for mask in range(2 ** len(FLAGS))
    ]
    return [names[mask] for mask in masks.tolist()]


@compiled
def _check_all(
    crystals: FlatCrystals,
    table: Radii,
    codes: NDArray[np.int64],
    values: NDArray[np.float64],
) -> None:
    """Fill in code and atom, shape (n_crystals, 2); value and limit of the same shape."""
    for index in range(len(codes)):
        own = slice(crystals.starts[index], crystals.starts[index + 1])
        numbers, lattice = crystals.atomic_numbers[own], crystals.lattices[index]
        coords = crystals.frac_coords[own]
        code, atom, value = _check_arrays(numbers, lattice, coords)
        limit = 0.0
        if code == _INTACT:
            is_far = value > _MAX_COORDINATE or len(numbers) > _MAX_ATOMS
            bond = table.bond[numbers]
            code, value, limit = _check_distances(lattice, coords, bond, is_far)
            if code == LOOSE and table.is_noble[numbers].any():
                code = _INTACT
        codes[index, 0], codes[index, 1] = code, atom
        values[index, 0], values[index, 1] = value, limit


@compiled
def _check_arrays(
    numbers: NDArray[np.int16], lattice: NDArray[np.float64], coords: NDArray[np.float64]
) -> tuple[int, int, float]:
    for site, number in enumerate(numbers):
        if not 1 <= number <= 118:
            return UNKNOWN_ELEMENT, site, 0.0
    longest, farthest = _largest(lattice), _largest(coords)
    if not (longest < math.inf and farthest < math.inf):
        return NOT_FINITE, 0, 0.0
    return (LONG, 0, longest) if longest > MAX_LATTICE_ENTRY else (_INTACT, 0, farthest)


@compiled
def _is_thin(heights: NDArray[np.float64]) -> bool:
    """Return whether too many images of an atom lie near it to look at each."""
    return bool(min(heights[0], heights[1], heights[2]) < 2 * MIN_DISTANCE)


@compiled
def _check_distances(
    lattice: NDArray[np.float64],
    coords: NDArray[np.float64],
    bond: NDArray[np.float64],
    is_far: bool,
) -> tuple[int, float, float]:
    """Check volume and distances, the latter unless atoms are many or lie far outside."""
    volume, heights = volume_and_heights(lattice)
    volume /= len(bond)
    spheres = _SPHERE * _sum_of_cubes(bond) / len(bond)
    lowest = max(MIN_VOLUME_PER_ATOM, MIN_FILLING * spheres)
    if not lowest <= volume <= MAX_VOLUME_PER_ATOM:
        return (DENSE if volume < lowest else DILUTE), volume, lowest
    if is_far or _is_thin(heights):
        return UNDECIDED, 0.0, 0.0
    if not are_apart(lattice, heights, coords, MIN_BOND * bond, MIN_DISTANCE):
        return UNDECIDED, 0.0, 0.0
    # spheres that do not meet need more than their volume
    is_loose = volume > MAX_BOND**3 * spheres
    if is_loose and are_apart(lattice, heights, coords, MAX_BOND * bond, 0.0):
        return LOOSE, volume, 0.0
    return _INTACT, 0.0, 0.0


@compiled
def _flag_all(crystals: FlatCrystals, table: Radii, masks: NDArray[np.int64]) -> None:
    for index in range(len(masks)):
        own = slice(crystals.starts[index], crystals.starts[index + 1])
        numbers, coords = crystals.atomic_numbers[own], crystals.frac_coords[own]
        lattice = crystals.lattices[index]
        volume, heights = volume_and_heights(lattice)
        bond = table.bond[numbers]
        spheres = _SPHERE * _sum_of_cubes(bond)
        is_quick = len(numbers) <= _MAX_ATOMS and not _is_thin(heights)
        is_close = is_quick and not are_apart(
            lattice, heights, coords, UNUSUAL_BOND * bond, 0.0
        )
        is_dense = volume < UNUSUAL_FILLING * spheres
        is_sparse = volume > UNUSUAL_ROOM * _SPHERE * _sum_of_cubes(table.room[numbers])
        is_roomy = volume > UNUSUAL_DISTANCE**3 * spheres
        if is_quick and is_roomy and not table.is_noble[numbers].any():
            reach = UNUSUAL_DISTANCE * bond
            is_sparse |= are_apart(lattice, heights, coords, reach, 0.0)
        is_charged = _lacks_charge(numbers, table.charge)
        masks[index] = is_close + 2 * is_dense + 4 * is_sparse + 8 * is_charged


@compiled
def _lacks_charge(numbers: NDArray[np.int16], charge: NDArray[np.float64]) -> bool:
    """Return whether much F-, or ozonide (O3-), the oxygen that takes least, is left."""
    for_fluorine, for_oxygen, n_fluorine, n_oxygen = 0.0, 0.0, 0, 0
    for number in numbers:
        n_fluorine += number == _F
        n_oxygen += number == _O
        for_fluorine += charge[number] * (number != _F)
        for_oxygen += charge[number] * (number not in (_O, _F))
    is_compound = n_fluorine < len(numbers) and n_fluorine + n_oxygen < len(numbers)
    has_much_fluorine = n_fluorine > 0 and UNUSUAL_FLUORINE * for_fluorine <= n_fluorine
    return is_compound and (has_much_fluorine or for_oxygen < n_oxygen / 3)


@compiled
def _largest(array: NDArray[np.float64]) -> float:
    """Return the largest absolute value; infinity if one is no number."""
    largest = 0.0
    for value in array.flat:
        if not abs(value) <= largest:
            largest = abs(value) if abs(value) < math.inf else math.inf
    return largest


@compiled
def _sum_of_cubes(lengths: NDArray[np.float64]) -> float:
    total = 0.0
    for length in lengths:
        total += length * length * length
    return total
