"""A crystal as three arrays: the form in which structures pass through the system."""

from __future__ import annotations

import hashlib
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from crystalgnn_core.errors import RecordError
from crystalgnn_core.parallel import without_warnings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from pymatgen.core.composition import Composition
    from pymatgen.core.periodic_table import Element
    from pymatgen.core.structure import Structure

OCCUPANCY_TOLERANCE = 1e-3  # shares are written in few digits


class Crystal(NamedTuple):
    """An ordered periodic structure of n_atoms atoms.

    Attributes:
        atomic_numbers: Shape (n_atoms,), int16.
        lattice: Row vectors in angstrom, shape (3, 3), float64.
        frac_coords: Fractional coordinates, shape (n_atoms, 3), float64.
    """

    atomic_numbers: NDArray[np.int16]
    lattice: NDArray[np.float64]
    frac_coords: NDArray[np.float64]


class FlatCrystals(NamedTuple):
    """Crystals laid end to end.

    Attributes:
        atomic_numbers: Shape (n_atoms,), int16.
        lattices: Row vectors in angstrom, shape (n_crystals, 3, 3), float64.
        frac_coords: As given, shape (n_atoms, 3), float64.
        starts: First atom of each crystal and the end, shape (n_crystals + 1,), int64.
    """

    atomic_numbers: NDArray[np.int16]
    lattices: NDArray[np.float64]
    frac_coords: NDArray[np.float64]
    starts: NDArray[np.int64]


def crystal_from_structure(structure: Structure) -> Crystal:
    """Convert a pymatgen structure.

    Oxidation states are dropped; deuterium and tritium become hydrogen.

    Raises:
        RecordError: `disordered_site` for partial or mixed occupancy, `unknown_element`
            for a species that is no element, `no_atoms` for an empty cell,
            `unreadable_structure` for one that is not periodic along all axes.
    """
    check_periodic(structure.lattice.pbc)
    if len(structure) == 0:
        raise RecordError("no_atoms", "the cell holds no atoms; give at least one site")
    numbers = np.empty(len(structure), dtype=np.int16)
    for index, site in enumerate(structure):
        numbers[index] = _atomic_number(index, site.species)
    return Crystal(
        numbers,
        np.array(structure.lattice.matrix, dtype=np.float64),
        np.array(structure.frac_coords, dtype=np.float64).reshape(-1, 3),
    )


def check_periodic(pbc: object) -> None:
    """Refuse a slab, a wire or a molecule in a box; None is a cell that says nothing of it.

    Anything else is three of true and false, or of 1 and 0.

    Raises:
        RecordError: `unreadable_structure`.
    """
    found = list(pbc) if isinstance(pbc, tuple) else pbc
    if found is None or found == [True] * 3:
        return
    expected = "a cell that is periodic along all axes"
    if not (isinstance(found, list) and len(found) == 3):
        expected = "true or false for each of three axes"
    raise RecordError(
        "unreadable_structure", f"pbc is {repr(found)[:40]}, expected {expected}"
    )


def structure_from_crystal(crystal: Crystal) -> Structure:
    """Convert to a pymatgen structure, coordinates as they are."""
    from pymatgen.core.lattice import Lattice
    from pymatgen.core.structure import Structure

    elements = _elements()
    species = [elements[number] for number in crystal.atomic_numbers.tolist()]
    return Structure(Lattice(crystal.lattice), species, crystal.frac_coords)


def lay_out(crystals: Sequence[Crystal]) -> FlatCrystals:
    """Lay crystals end to end."""
    sizes = [len(crystal.atomic_numbers) for crystal in crystals]
    none = Crystal(np.empty(0, np.int16), np.empty((0, 3)), np.empty((0, 3)))
    given = (none, *crystals)  # arrays of no crystals have their types and shapes, too
    return FlatCrystals(
        np.concatenate([crystal.atomic_numbers for crystal in given], dtype=np.int16),
        np.concatenate([crystal.lattice for crystal in given], dtype=np.float64).reshape(
            -1, 3, 3
        ),
        np.concatenate([crystal.frac_coords for crystal in given], dtype=np.float64),
        np.cumsum([0, *sizes], dtype=np.int64),
    )


def structure_digest(crystal: Crystal) -> str:
    """Return 32 hex digits that name this exact cell, atom order and coordinates."""
    return structure_digests(lay_out([crystal]))[0]


def structure_digests(crystals: FlatCrystals) -> list[str]:
    """Return for each crystal 32 hex digits that name its cell, atoms and coordinates."""
    numbers = _bytes_of(crystals.atomic_numbers.astype("<i2"))
    # adding 0.0 turns -0.0 into 0.0, which is the same place
    lattices = _bytes_of(crystals.lattices.astype("<f8") + 0.0)
    coords = _bytes_of(crystals.frac_coords.astype("<f8") + 0.0)
    digests = []
    for index, (first, last) in enumerate(pairwise(crystals.starts.tolist())):
        hasher = hashlib.blake2b(numbers[2 * first : 2 * last], digest_size=16)
        hasher.update(lattices[72 * index : 72 * index + 72])
        hasher.update(coords[24 * first : 24 * last])
        digests.append(hasher.hexdigest())
    return digests


def composition_of(crystal: Crystal) -> Composition:
    """Return the composition of the cell."""
    from pymatgen.core.composition import Composition

    elements = _elements()
    numbers, counts = np.unique(crystal.atomic_numbers, return_counts=True)
    pairs = zip(numbers.tolist(), counts.tolist(), strict=True)
    return Composition({elements[number]: count for number, count in pairs})


@cache
def _elements() -> dict[int, Element]:
    """Return pymatgen's elements by atomic number.

    It warns when it first looks up an electronegativity that does not exist (He, Ar),
    which naming a formula does, and remembers the answer: ask once, discard the warning.
    """
    from pymatgen.core.periodic_table import Element

    with without_warnings():
        for element in Element:
            _ = element.X
    return {number: Element.from_Z(number) for number in range(1, 119)}


def _bytes_of(array: NDArray[Any]) -> memoryview:
    return memoryview(array.tobytes())


def _atomic_number(index: int, species: Composition) -> int:
    if len(species) > 1:
        species = species.element_composition  # an element may have two valences
    if len(species) != 1 or abs(species.num_atoms - 1.0) > OCCUPANCY_TOLERANCE:
        raise RecordError(
            "disordered_site",
            f"site {index} is occupied by {species.formula or 'nothing'}; "
            "order the structure (one full species a site) first",
        )
    number = getattr(species.elements[0], "Z", 0)
    if not 1 <= number <= 118:
        raise RecordError(
            "unknown_element",
            f"site {index} holds {species.elements[0]}, which is no element",
        )
    return int(number)
