"""Check the structures of many crystals in one compiled pass."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from crystalgnn_core.compiled import compiled
from crystalgnn_core.records.crystal import lay_out

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from crystalgnn_core.records.crystal import Crystal, FlatCrystals

MIN_DISTANCE = 0.5  # angstrom; the shortest bond, H2, is 0.74
MIN_VOLUME_PER_ATOM = 1.0  # cubic angstrom; diamond, the densest in atoms, has 5.7
# cubic angstrom: a cube of 10 for each atom, so that even its neighbours are out of reach
# of a graph; caesium, the most dilute in atoms, has 115
MAX_VOLUME_PER_ATOM = 1000.0
MAX_LATTICE_ENTRY = 1e4  # angstrom; beyond, rounding swamps the cell volume
_MAX_ATOMS = 500  # beyond, a search for neighbours is faster than all pairs
_MAX_COORDINATE = 1e6  # beyond, subtraction may lose what makes an overlap

# what is found; whether atoms of an undecided one overlap needs a search for neighbours
_INTACT, UNDECIDED, UNKNOWN_ELEMENT, NOT_FINITE, LONG, DENSE, DILUTE, OVERLAP = range(8)


class Finding(NamedTuple):
    """What a check found.

    Attributes:
        code: `UNDECIDED` or the first fault.
        value: Length, volume per atom or distance that is at fault, in angstrom.
        first: Atom at fault.
        second: The other atom of an overlap; the same one for its own image.
    """

    code: int
    value: float
    first: int = 0
    second: int = 0


def find_faults(crystals: Sequence[Crystal]) -> list[Finding | None]:
    """Check elements, cells and distances of crystals with arrays of the right shapes.

    Returns:
        What was found in each, None for an intact one.
    """
    codes, atoms = np.empty((2, len(crystals)), dtype=np.int64)
    values = np.empty(len(crystals))
    _check_all(lay_out(crystals), codes, values, atoms)
    found = zip(codes.tolist(), values.tolist(), atoms.tolist(), strict=True)
    return [Finding(*each) if each[0] != _INTACT else None for each in found]


@compiled
def _check_all(
    crystals: FlatCrystals,
    codes: NDArray[np.int64],
    values: NDArray[np.float64],
    atoms: NDArray[np.int64],
) -> None:
    for index in range(len(codes)):
        own = slice(crystals.starts[index], crystals.starts[index + 1])
        codes[index], values[index], atoms[index] = _check(
            crystals.atomic_numbers[own],
            crystals.lattices[index],
            crystals.frac_coords[own],
        )


@compiled
def _check(
    numbers: NDArray[np.int16], lattice: NDArray[np.float64], coords: NDArray[np.float64]
) -> tuple[int, float, int]:
    for site, number in enumerate(numbers):
        if not 1 <= number <= 118:
            return UNKNOWN_ELEMENT, 0.0, site
    longest, farthest = _largest(lattice), _largest(coords)
    if not (longest < math.inf and farthest < math.inf):
        return NOT_FINITE, 0.0, 0
    if longest > MAX_LATTICE_ENTRY:
        return LONG, longest, 0
    volume, height = _volume_and_height(lattice)
    volume /= len(numbers)
    if not MIN_VOLUME_PER_ATOM <= volume <= MAX_VOLUME_PER_ATOM:
        return DENSE if volume < MIN_VOLUME_PER_ATOM else DILUTE, volume, 0
    is_plain = height >= 2 * MIN_DISTANCE and farthest <= _MAX_COORDINATE
    if is_plain and len(numbers) <= _MAX_ATOMS and _are_apart(lattice, coords):
        return _INTACT, 0.0, 0
    return UNDECIDED, 0.0, 0


@compiled
def _largest(array: NDArray[np.float64]) -> float:
    """Return the largest absolute value; infinity if one is no number."""
    largest = 0.0
    for value in array.flat:
        if not abs(value) <= largest:
            largest = abs(value) if abs(value) < math.inf else math.inf
    return largest


@compiled
def _volume_and_height(lattice: NDArray[np.float64]) -> tuple[float, float]:
    """Return the volume of a cell, and the smallest distance of two opposite faces."""
    volume, height = 0.0, math.inf
    for axis in range(3):
        row, first, second = lattice[axis], lattice[axis - 2], lattice[axis - 1]
        x = first[1] * second[2] - first[2] * second[1]
        y = first[2] * second[0] - first[0] * second[2]
        z = first[0] * second[1] - first[1] * second[0]
        area = math.sqrt(x**2 + y**2 + z**2)
        volume = abs(row[0] * x + row[1] * y + row[2] * z)
        height = min(height, volume / area if area > 0.0 else 0.0)
    return volume, height


@compiled
def _are_apart(lattice: NDArray[np.float64], coords: NDArray[np.float64]) -> bool:
    """Compare all pairs of a cell whose heights are at least twice the distance.

    There the offset of a pair that overlaps is below one half along each axis, so rounding
    finds its image, and no atom overlaps its own image.
    """
    offset = np.empty(3)
    for first in range(len(coords)):
        for second in range(first):
            for axis in range(3):
                value = coords[first, axis] - coords[second, axis]
                offset[axis] = value - np.rint(value)
            squared = 0.0
            for axis in range(3):
                squared += (
                    offset[0] * lattice[0, axis]
                    + offset[1] * lattice[1, axis]
                    + offset[2] * lattice[2, axis]
                ) ** 2
            if not squared >= MIN_DISTANCE * MIN_DISTANCE:
                return False
    return True
