"""Symmetry of a structure: what must agree before two structures are compared."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from crystalgnn_core.parallel import without_warnings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crystalgnn_core.records.crystal import Crystal

os.environ.setdefault("SPGLIB_WARNING", "OFF")  # which its C code prints
# mirror images have equal energies, but other space groups
_ENANTIOMORPHS = {
    78: 76, 95: 91, 96: 92, 145: 144, 153: 151, 154: 152,
    170: 169, 172: 171, 179: 178, 181: 180, 213: 212,
}  # fmt: skip


class Fingerprint(NamedTuple):
    """Symmetry of a structure at one tolerance.

    Attributes:
        space_group_number: 1 to 230.
        n_primitive: Atoms in the primitive cell.
    """

    space_group_number: int
    n_primitive: int

    @property
    def key(self) -> tuple[int, int]:
        """Equal for structures that can be the same, mirror images included."""
        number = self.space_group_number
        return _ENANTIOMORPHS.get(number, number), self.n_primitive


def take_fingerprints(
    crystals: Sequence[Crystal], symprecs: Sequence[float]
) -> list[tuple[Fingerprint, ...]]:
    """Find the symmetry of structures, one fingerprint per tolerance in angstrom.

    A structure whose symmetry cannot be found counts as one without any.
    """
    with without_warnings():  # spglib on how its errors will change
        return [
            tuple(_fingerprint(crystal, symprec) for symprec in symprecs)
            for crystal in crystals
        ]


def primitive_cell(crystal: Crystal, symprec: float) -> Crystal:
    """Return the primitive cell, sites where they are; the cell itself if none is found.

    The tolerance `symprec` is in angstrom.
    """
    import spglib

    from crystalgnn_core.records.crystal import Crystal

    with without_warnings():
        try:
            found = spglib.standardize_cell(
                _cell(crystal), to_primitive=True, no_idealize=True, symprec=symprec
            )
        except spglib.SpglibError:
            found = None
    if found is None:
        return crystal
    lattice, coords, numbers = found
    return Crystal(np.asarray(numbers, np.int16), np.array(lattice), np.array(coords))


def _fingerprint(crystal: Crystal, symprec: float) -> Fingerprint:
    import spglib

    try:
        dataset = spglib.get_symmetry_dataset(_cell(crystal), symprec=symprec)
    except spglib.SpglibError:
        dataset = None
    if dataset is None:
        return Fingerprint(1, len(crystal.atomic_numbers))
    n_primitive = len(set(dataset.mapping_to_primitive.tolist()))
    return Fingerprint(int(dataset.number), n_primitive)


def _cell(crystal: Crystal) -> Any:  # noqa: ANN401  spglib's stubs know no arrays
    return crystal.lattice, crystal.frac_coords, crystal.atomic_numbers
