"""The ions of the model: one charge an element, a radius, a creation energy.

The creation energy of an ion is what it costs in this model to make it from its element.
One number per ion is fitted so that relaxed reference crystals have, as nearly as that
allows, a formation energy after Pauling, The Nature of the Chemical Bond (1960), sect. 3-6,

    E = -0.8 eV * sum over bonds (x_anion - x_cation)^2 + 1.13 eV * n_O + 2.40 eV * n_N

in which a cation of charge z has z bonds, and the terms for O and N stand for the strength
of the bonds in O2 and N2. The factor 0.8 lowers the known overestimate for fluorides.
The tests compute the energies again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from pymatgen.core.periodic_table import Element

from crystalgnn_core.errors import RecordError
from crystalgnn_core.records.elements import N_NUMBERS

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Ion(NamedTuple):
    """An ion of the model.

    Attributes:
        symbol: Element symbol.
        charge: Formal charge in units of e.
        radius: Effective ionic radius for coordination number six in angstrom.
        has_open_shell: Whether the cation has a partly filled d shell.
        energy: Creation energy in eV.
    """

    symbol: str
    charge: int
    radius: float
    has_open_shell: bool = False
    energy: float = 0.0


# Radii: Shannon, Acta Cryst. A32, 751 (1976), high spin; N(3-) is his value for four
# neighbours, P(3-) and As(3-) are from Pauling, The Nature of the Chemical Bond (1960).
# charge, then `element radius energy` of each ion; a star marks an open shell
_TABLE = (
    (1, "Li 0.76 -1.775; Na 1.02 -1.998; K 1.38 -2.348; Rb 1.52 -2.432; Cs 1.67 -2.558"),
    (1, "Cu 0.77 -1.09; Ag 1.15 -1.299; Tl 1.50 -1.669"),
    (2, "Be 0.45 -0.689; Mg 0.72 -1.294; Ca 1.00 -2.165; Sr 1.18 -2.506; Ba 1.35 -2.851"),
    (2, "Zn 0.74 -0.857; Cd 0.95 -1.062; Pb 1.19 -0.824; Mn* 0.83 -1.085"),
    (2, "Fe* 0.78 -0.706; Co* 0.745 -0.618; Ni* 0.69 -0.529"),
    (3, "Al 0.535 0.975; Ga 0.62 1.047; In 0.80 0.525; Sc 0.745 -0.014; Y 0.90 -0.746"),
    (3, "La 1.032 -1.405; Bi 1.03 0.168; Cr* 0.615 0.852"),
    (4, "Si 0.40 4.615; Ge 0.53 4.332; Sn 0.69 3.671; Ti 0.605 3.255; Zr 0.72 2.293"),
    (4, "Hf 0.71 2.255"),
    (5, "V 0.54 8.302; Nb 0.64 7.715; Ta 0.64 7.423"),
    (-1, "F 1.33 1.407; Cl 1.81 1.705; Br 1.96 1.74; I 2.20 1.772"),
    (-2, "O 1.40 7.059; S 1.84 5.763; Se 1.98 5.431; Te 2.21 5.283"),
    (-3, "N 1.46 14.056; P 2.12 10.441; As 2.22 10.12"),
)
IONS: tuple[Ion, ...] = tuple(
    Ion(name.rstrip("*"), charge, float(radius), name.endswith("*"), float(energy))
    for charge, ions in _TABLE
    for name, radius, energy in map(str.split, ions.split("; "))
)


class IonTable(NamedTuple):
    """Columns by atomic number, NaN where the model has no ion.

    Attributes:
        charge: Formal charge in units of e.
        radius: In angstrom.
        electronegativity: On Pauling's scale.
        open_shell: 1 for a partly filled d shell, else 0.
        energy: Creation energy in eV.
    """

    charge: NDArray[np.float64]
    radius: NDArray[np.float64]
    electronegativity: NDArray[np.float64]
    open_shell: NDArray[np.float64]
    energy: NDArray[np.float64]


def _ion_table() -> IonTable:
    table = IonTable(*(np.full(N_NUMBERS, np.nan) for _ in range(5)))
    for ion in IONS:
        element = Element(ion.symbol)
        table.charge[element.Z] = ion.charge
        table.radius[element.Z] = ion.radius
        table.electronegativity[element.Z] = element.X
        table.open_shell[element.Z] = float(ion.has_open_shell)
        table.energy[element.Z] = ion.energy
    return table


ION_TABLE = _ion_table()


def formal_charges(atomic_numbers: NDArray[np.int16]) -> NDArray[np.float64]:
    """Return the formal charge of each atom in units of e, shape (n_atoms,).

    Raises:
        RecordError: An element has no ion in the model, or the charges do not cancel.
    """
    charges = ION_TABLE.charge[atomic_numbers]
    if np.isnan(charges).any():
        unknown = sorted({int(n) for n in atomic_numbers[np.isnan(charges)]})
        symbols = ", ".join(Element.from_Z(number).symbol for number in unknown)
        raise RecordError(
            "unseen_element",
            f"the synthetic model has no ion of {symbols}; use the elements of `IONS`",
        )
    if charges.sum() != 0.0:
        raise RecordError(
            "missing_label",
            f"the formal charges of the cell add up to {charges.sum():+.0f}, not zero; the "
            "synthetic model labels only charge-balanced ionic crystals and EMT metals",
        )
    return charges
