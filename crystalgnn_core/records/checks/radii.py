"""Radii and charges of the elements by which structures are judged."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_N_ELEMENTS = 118
_ALKALI_METALS, _NOBLE_GASES = (3, 11, 19, 37, 55, 87), (2, 10, 18, 36, 54, 86, 118)
_NON_METALS = (1, 5, 6, 7, 8, 9, 14, 15, 16, 17, 32, 33, 34, 35, 52, 53, 85)
# sodium at 1 TPa has bonds of 0.48 times the sum of its radii, other metals above 0.6
_ALKALI_SHARE = 0.9
_UNKNOWN_BOND = 1.7  # angstrom, beyond curium (1.69)
_UNKNOWN_ROOM = 2.5  # angstrom, astatine and radon, of which there is no table
_LAST_ACTINIDE, _HIGHEST_CHARGE = 103, 9  # of heavier elements little is known
_METAL_ROOM = 1.15  # of a covalent radius


class Radii(NamedTuple):
    """Radii in angstrom, and other properties, by atomic number, shape (119,).

    Attributes:
        bond: Covalent radii, Cordero et al., Dalton Trans. 2832 (2008); those of alkali
            metals, which are compressed most, reduced by a tenth.
        room: How much room an atom takes in a crystal: the van der Waals radius of a
            non-metal, Alvarez, Dalton Trans. 42, 8617 (2013); of a metal 1.15 covalent
            ones.
        is_noble: Whether an element forms crystals without bonds.
        charge: Highest oxidation state, of all that pymatgen lists.
    """

    bond: NDArray[np.float64]
    room: NDArray[np.float64]
    is_noble: NDArray[np.bool_]
    charge: NDArray[np.float64]


@cache
def radii() -> Radii:
    """Return the radii, from the tables of ASE, and charges."""
    from ase.data import covalent_radii
    from ase.data.vdw_alvarez import vdw_radii
    from pymatgen.core.periodic_table import Element

    bond = np.full(_N_ELEMENTS + 1, _UNKNOWN_BOND)
    bond[1:97] = covalent_radii[1:97]
    room = _METAL_ROOM * bond
    for number in (*_NON_METALS, *_NOBLE_GASES):
        known = vdw_radii[number] if number < len(vdw_radii) else np.nan
        room[number] = known if np.isfinite(known) else _UNKNOWN_ROOM
    bond[list(_ALKALI_METALS)] *= _ALKALI_SHARE
    charge = np.zeros(_N_ELEMENTS + 1)
    for element in map(Element.from_Z, range(1, _N_ELEMENTS + 1)):
        states = (
            *element.oxidation_states,
            *element.icsd_oxidation_states,
            *element.common_oxidation_states,
        )
        is_known = states or element.Z <= _LAST_ACTINIDE
        charge[element.Z] = max((0, *states)) if is_known else _HIGHEST_CHARGE
    is_noble = np.isin(np.arange(_N_ELEMENTS + 1), _NOBLE_GASES)
    return Radii(bond, room, is_noble, charge)
