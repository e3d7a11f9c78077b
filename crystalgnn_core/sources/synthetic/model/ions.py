"""The ions of the model: one charge an element, a radius, a creation energy."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from pymatgen.core.periodic_table import Element

from crystalgnn_core.errors import RecordError
from crystalgnn_core.sources.synthetic.model.ion_energies import ION_ENERGIES

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Ion(NamedTuple):
    """An ion of the model.

    Attributes:
        symbol: Element symbol.
        charge: Formal charge in units of e.
        radius: Effective ionic radius for coordination number six in angstrom.
        has_open_shell: Whether the cation has a partly filled d shell.
    """

    symbol: str
    charge: int
    radius: float
    has_open_shell: bool = False


# Radii: Shannon, Acta Cryst. A32, 751 (1976), high spin; N(3-) is his value for four
# neighbours, P(3-) and As(3-) are from Pauling, The Nature of the Chemical Bond (1960).
IONS: tuple[Ion, ...] = (
    Ion("Li", 1, 0.76),
    Ion("Na", 1, 1.02),
    Ion("K", 1, 1.38),
    Ion("Rb", 1, 1.52),
    Ion("Cs", 1, 1.67),
    Ion("Cu", 1, 0.77),
    Ion("Ag", 1, 1.15),
    Ion("Tl", 1, 1.50),
    Ion("Be", 2, 0.45),
    Ion("Mg", 2, 0.72),
    Ion("Ca", 2, 1.00),
    Ion("Sr", 2, 1.18),
    Ion("Ba", 2, 1.35),
    Ion("Zn", 2, 0.74),
    Ion("Cd", 2, 0.95),
    Ion("Pb", 2, 1.19),
    Ion("Mn", 2, 0.83, has_open_shell=True),
    Ion("Fe", 2, 0.78, has_open_shell=True),
    Ion("Co", 2, 0.745, has_open_shell=True),
    Ion("Ni", 2, 0.69, has_open_shell=True),
    Ion("Al", 3, 0.535),
    Ion("Ga", 3, 0.62),
    Ion("In", 3, 0.80),
    Ion("Sc", 3, 0.745),
    Ion("Y", 3, 0.90),
    Ion("La", 3, 1.032),
    Ion("Bi", 3, 1.03),
    Ion("Cr", 3, 0.615, has_open_shell=True),
    Ion("Si", 4, 0.40),
    Ion("Ge", 4, 0.53),
    Ion("Sn", 4, 0.69),
    Ion("Ti", 4, 0.605),
    Ion("Zr", 4, 0.72),
    Ion("Hf", 4, 0.71),
    Ion("V", 5, 0.54),
    Ion("Nb", 5, 0.64),
    Ion("Ta", 5, 0.64),
    Ion("F", -1, 1.33),
    Ion("Cl", -1, 1.81),
    Ion("Br", -1, 1.96),
    Ion("I", -1, 2.20),
    Ion("O", -2, 1.40),
    Ion("S", -2, 1.84),
    Ion("Se", -2, 1.98),
    Ion("Te", -2, 2.21),
    Ion("N", -3, 1.46),
    Ion("P", -3, 2.12),
    Ion("As", -3, 2.22),
)
N_NUMBERS = 119


class IonTable(NamedTuple):
    """Columns by atomic number, NaN where the model has no ion.

    Attributes:
        charge: Formal charge in units of e.
        radius: In angstrom.
        electronegativity: On Pauling's scale.
        open_shell: 1 for a partly filled d shell, else 0.
        energy: Creation energy in eV, see `reference.py`.
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
        table.energy[element.Z] = ION_ENERGIES.get(ion.symbol, np.nan)
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
