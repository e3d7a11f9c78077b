"""Say in one compiled pass which crystals would pass every check, as nearly all do.

What is not clearly sound goes through the checks that name the fault, so the margin here
leaves every verdict to them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeGuard

import numpy as np

from crystalgnn_core.compiled import compiled
from crystalgnn_core.records.crystal import lay_out

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from crystalgnn_core.records.crystal import Crystal, FlatCrystals

_MAX_ATOMS = 500  # beyond, a search for neighbours is faster than all pairs
_MAX_COORDINATE = 1e6  # beyond, subtraction may lose what makes an overlap
_MARGIN = 1e-6  # relative; far more than rounding, far less than any fault


def are_clearly_sound(
    crystals: Sequence[Crystal | None],
    *,
    distance: float,
    volume_per_atom: float,
    max_volume_per_atom: float,
    entry: float,
) -> list[bool]:
    """Tell which crystals have arrays, cell and distances right beyond any rounding.

    Args:
        crystals: Structures, possibly with arrays of wrong shape; None is not sound.
        distance: Smallest allowed distance of two atoms or images in angstrom.
        volume_per_atom: Smallest allowed volume in cubic angstrom.
        max_volume_per_atom: Largest allowed volume in cubic angstrom.
        entry: Largest allowed component of a lattice vector in angstrom.
    """
    well_formed = [crystal for crystal in crystals if _is_well_formed(crystal)]
    verdicts = np.empty(len(well_formed), dtype=np.bool_)
    limits = (
        distance * (1 + _MARGIN),
        volume_per_atom * (1 + _MARGIN),
        max_volume_per_atom * (1 - _MARGIN),
        entry,
    )
    _judge(lay_out(well_formed), limits, verdicts)
    verdict = iter(verdicts.tolist())
    return [_is_well_formed(crystal) and next(verdict) for crystal in crystals]


def _is_well_formed(crystal: Crystal | None) -> TypeGuard[Crystal]:
    if crystal is None:
        return False
    n_atoms = len(crystal.atomic_numbers)
    return (
        0 < n_atoms <= _MAX_ATOMS
        and crystal.lattice.shape == (3, 3)
        and crystal.frac_coords.shape == (n_atoms, 3)
    )


@compiled
def _judge(
    crystals: FlatCrystals,
    limits: tuple[float, float, float, float],
    verdicts: NDArray[np.bool_],
) -> None:
    for index in range(len(verdicts)):
        own = slice(crystals.starts[index], crystals.starts[index + 1])
        verdicts[index] = _is_sound(
            crystals.atomic_numbers[own],
            crystals.lattices[index],
            crystals.frac_coords[own],
            limits,
        )


@compiled
def _is_sound(
    numbers: NDArray[np.int16],
    lattice: NDArray[np.float64],
    coords: NDArray[np.float64],
    limits: tuple[float, float, float, float],
) -> bool:
    distance, volume_per_atom, max_volume_per_atom, entry = limits
    for number in numbers:
        if not 1 <= number <= 118:
            return False
    for value in lattice.flat:
        if not abs(value) <= entry:  # also false for NaN
            return False
    for value in coords.flat:
        if not abs(value) <= _MAX_COORDINATE:  # also false for NaN
            return False
    volume = _volume_of_tall(lattice, 2 * distance)
    if not volume > volume_per_atom * len(numbers):
        return False
    if not volume < max_volume_per_atom * len(numbers):
        return False
    return _are_apart(lattice, coords, distance)


@compiled
def _volume_of_tall(lattice: NDArray[np.float64], height: float) -> float:
    """Return the volume of a cell, or zero if two opposite faces are near."""
    normal = np.empty(3)
    volume = 0.0
    for axis in range(3):
        _cross(lattice[(axis + 1) % 3], lattice[(axis + 2) % 3], normal)
        length = math.sqrt(normal[0] ** 2 + normal[1] ** 2 + normal[2] ** 2)
        row = lattice[axis]
        volume = abs(row[0] * normal[0] + row[1] * normal[1] + row[2] * normal[2])
        if not volume > height * length:
            return 0.0
    return volume


@compiled
def _cross(
    first: NDArray[np.float64], second: NDArray[np.float64], result: NDArray[np.float64]
) -> None:
    result[0] = first[1] * second[2] - first[2] * second[1]
    result[1] = first[2] * second[0] - first[0] * second[2]
    result[2] = first[0] * second[1] - first[1] * second[0]


@compiled
def _are_apart(
    lattice: NDArray[np.float64], coords: NDArray[np.float64], distance: float
) -> bool:
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
            if not squared > distance * distance:
                return False
    return True
