"""A crystal as three arrays: the form in which structures pass through the system."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from pymatgen.core.composition import Composition
from pymatgen.core.lattice import Lattice
from pymatgen.core.periodic_table import Element
from pymatgen.core.structure import Structure

from crystalgnn_core.errors import RecordError

if TYPE_CHECKING:
    from numpy.typing import NDArray

OCCUPANCY_TOLERANCE = 1e-6


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


def crystal_from_structure(structure: Structure) -> Crystal:
    """Convert a pymatgen structure.

    Oxidation states are dropped; deuterium and tritium become hydrogen.

    Raises:
        RecordError: `disordered_site` for partial or mixed occupancy, `unknown_element`
            for a species that is no element, `no_atoms` for an empty cell.
    """
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


def structure_from_crystal(crystal: Crystal) -> Structure:
    """Convert to a pymatgen structure, coordinates as they are."""
    species = [Element.from_Z(int(number)) for number in crystal.atomic_numbers]
    return Structure(Lattice(crystal.lattice), species, crystal.frac_coords)


def structure_digest(crystal: Crystal) -> str:
    """Return 32 hex digits that name this exact cell, atom order and coordinates."""
    hasher = hashlib.blake2b(digest_size=16)
    hasher.update(np.ascontiguousarray(crystal.atomic_numbers, dtype="<i2").tobytes())
    # adding 0.0 turns -0.0 into 0.0, which is the same place
    hasher.update((np.ascontiguousarray(crystal.lattice, dtype="<f8") + 0.0).tobytes())
    hasher.update((np.ascontiguousarray(crystal.frac_coords, dtype="<f8") + 0.0).tobytes())
    return hasher.hexdigest()


def composition_of(crystal: Crystal) -> Composition:
    """Return the composition of the cell."""
    numbers, counts = np.unique(crystal.atomic_numbers, return_counts=True)
    pairs = zip(numbers.tolist(), counts.tolist(), strict=True)
    return Composition({Element.from_Z(number): count for number, count in pairs})


def _atomic_number(index: int, species: Composition) -> int:
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
