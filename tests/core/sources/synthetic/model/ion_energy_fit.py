"""The fit that gives the creation energies of the ions, `ions.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pymatgen.core.periodic_table import Element

from crystalgnn_core.sources.synthetic.model.decorations import PROTOTYPES, decorations
from crystalgnn_core.sources.synthetic.model.ewald import coulomb_energy
from crystalgnn_core.sources.synthetic.model.ionic import (
    CHARGE_FACTOR,
    CUTOFF,
    pair_energy,
)
from crystalgnn_core.sources.synthetic.model.ions import ION_TABLE, IONS, formal_charges
from crystalgnn_core.sources.synthetic.model.pairs import find_pairs
from crystalgnn_core.sources.synthetic.model.relaxation import relax_isotropically
from crystalgnn_core.sources.synthetic.model.specimens import dress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from crystalgnn_core.records.crystal import Crystal

BOND_FACTOR = 0.8
MOLECULE_ENERGIES = {8: 1.13, 7: 2.40}  # eV an atom of O and N
REFERENCE_PROTOTYPES = (
    "rocksalt",
    "rutile",
    "antifluorite",
    "rhenium_trioxide",
    "anti_bismuth_trifluoride",
    "corundum",
)
# ions of charge 5 form none of these with the anions of the model
PENTAVALENT_PROTOTYPE, PENTAVALENT_PARTNER = "perovskite", 19


def fit_ion_energies() -> dict[str, float]:
    """Compute the energies in `ions.py`: element symbol to creation energy in eV."""
    columns = {int(z): column for column, z in enumerate(_numbers_of_ions())}
    rows, energies = [], []
    for crystal in _reference_crystals():
        numbers = crystal.atomic_numbers
        row = np.zeros(len(columns))
        np.add.at(row, [columns[int(z)] for z in numbers], 1.0 / len(numbers))
        rows.append(row)
        energies.append(
            (_pauling_energy(numbers) - _lattice_energy(crystal)) / len(numbers)
        )
    # adding a multiple of its charge to every ion changes no crystal, so lstsq takes the
    # shortest of many solutions
    solution = np.linalg.lstsq(np.array(rows), np.array(energies))[0]
    return {ion.symbol: round(float(e), 3) for ion, e in zip(IONS, solution, strict=True)}


def _numbers_of_ions() -> NDArray[np.int64]:
    known = np.flatnonzero(~np.isnan(ION_TABLE.charge))
    by_symbol = {Element.from_Z(int(z)).symbol: int(z) for z in known}
    return np.array([by_symbol[ion.symbol] for ion in IONS])


def _reference_crystals() -> Iterator[Crystal]:
    """Yield the reference crystals, with the middle of every free range."""
    for name in (*REFERENCE_PROTOTYPES, PENTAVALENT_PROTOTYPE):
        for choice in decorations(name):
            elements = dict(choice)
            is_extra = name == PENTAVALENT_PROTOTYPE
            charges = ION_TABLE.charge[list(elements.values())]
            if is_extra and not (
                5.0 in charges and PENTAVALENT_PARTNER in elements.values()
            ):
                continue
            yield relax_isotropically(dress(PROTOTYPES[name], elements, np.full(3, 0.5)))


def _lattice_energy(crystal: Crystal) -> float:
    """Return the energy of one cell in eV, counted from its separate ions."""
    charges = CHARGE_FACTOR * formal_charges(crystal.atomic_numbers)
    pairs = find_pairs(crystal, CUTOFF)
    return coulomb_energy(crystal, charges) + pair_energy(crystal.atomic_numbers, pairs)


def _pauling_energy(numbers: NDArray[np.int16]) -> float:
    """Return the formation energy of one cell in eV after Pauling; see the file's head."""
    charge, negativity = ION_TABLE.charge[numbers], ION_TABLE.electronegativity[numbers]
    is_cation = charge > 0.0
    energy = sum(MOLECULE_ENERGIES.get(int(z), 0.0) for z in numbers)
    # the bonds of a cation are shared among the anions in proportion to their charges
    shares = -charge[~is_cation] / charge[is_cation].sum()
    contrast = np.subtract.outer(negativity[is_cation], negativity[~is_cation]) ** 2
    return float(energy - BOND_FACTOR * charge[is_cation] @ contrast @ shares)
