"""Energy of ionic crystals: creation of ions, Coulomb, Born-Mayer and resonance.

E = sum_i creation_i + Ewald(charge factor * z)
    + 1/2 sum_ij B_ij exp((R_i + R_j - r_ij) / rho)
    - sum_cations sqrt(1/6 sum_anions K_ij^2 exp(2 (R_i + R_j - r_ij) / sigma))

Repulsion is that of Born and Mayer, Z. Phys. 75, 1 (1932). The last term gives the
resonance energy of Pauling, The Nature of the Chemical Bond (1960), section 3-6, with
K_ij proportional to z_cation (x_i - x_j)^2, the square root of the second-moment
approximation, Cleri and Rosato, Phys. Rev. B 48, 22 (1993), so that a crowded cation
gains little from one more neighbour. B_ij of unlike charges puts the minimum of rocksalt
at r = R_i + R_j; of like charges it is a constant. Creation energies count from the
elements, so the result is a formation energy; see `ions.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numba import njit

from crystalgnn_core.sources.synthetic.model.ewald import COULOMB_CONSTANT, coulomb_energy
from crystalgnn_core.sources.synthetic.model.ions import ION_TABLE, formal_charges
from crystalgnn_core.sources.synthetic.model.pairs import Pairs, find_pairs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from crystalgnn_core.records.crystal import Crystal

# bonds are partly covalent, so the charges are smaller than the formal ones
CHARGE_FACTOR = 0.4
REPULSION_LENGTH = 0.3  # rho, angstrom
RESONANCE_LENGTH = 1.2  # sigma, angstrom
RESONANCE_STRENGTH = 0.7  # eV
LIKE_PREFACTOR = 0.03  # eV
CUTOFF = 8.0  # angstrom
# of NaCl, for the distance of neighbours; Crandall, Exp. Math. 8, 367 (1999)
MADELUNG_ROCKSALT = 1.747565


def ionic_energy(crystal: Crystal) -> float:
    """Return the formation energy of one cell in eV, counted from the elements.

    Raises:
        RecordError: An element has no ion in the model, or the charges do not cancel.
    """
    charges = formal_charges(crystal.atomic_numbers)
    short_range = pair_energy(crystal.atomic_numbers, find_pairs(crystal, CUTOFF))
    creation = float(ION_TABLE.energy[crystal.atomic_numbers].sum())
    return creation + coulomb_energy(crystal, CHARGE_FACTOR * charges) + short_range


def pair_energy(
    atomic_numbers: NDArray[np.int16], pairs: Pairs, scale: float = 1.0
) -> float:
    """Return repulsion and resonance of one cell in eV with all pair distances scaled."""
    return float(_pair_kernel(pairs, _pair_parameters(atomic_numbers), scale))


class PairParameters(NamedTuple):
    """What the pairs of a crystal have in common, each of shape (n_atoms, n_atoms).

    Attributes:
        contact: R_i + R_j in angstrom.
        repulsion: B_ij in eV.
        resonance: K_ij in eV, zero unless i is a cation and j an anion.
    """

    contact: NDArray[np.float64]
    repulsion: NDArray[np.float64]
    resonance: NDArray[np.float64]


def _pair_parameters(atomic_numbers: NDArray[np.int16]) -> PairParameters:
    charge = ION_TABLE.charge[atomic_numbers]
    radius = ION_TABLE.radius[atomic_numbers]
    negativity = ION_TABLE.electronegativity[atomic_numbers]
    contact = np.add.outer(radius, radius)
    product = np.multiply.outer(charge, charge)
    contrast = np.subtract.outer(negativity, negativity)
    cation_charge = np.maximum.outer(charge, charge)
    is_bond = product < 0.0
    resonance = RESONANCE_STRENGTH * cation_charge * contrast**2
    pull = MADELUNG_ROCKSALT * COULOMB_CONSTANT * CHARGE_FACTOR**2 * -product / contact**2
    balance = REPULSION_LENGTH / 6.0 * (pull + resonance / RESONANCE_LENGTH)
    repulsion = np.where(is_bond, balance, LIKE_PREFACTOR)
    is_from_cation = is_bond & (charge[:, None] > 0.0)
    return PairParameters(contact, repulsion, np.where(is_from_cation, resonance, 0.0))


@njit(cache=True, nogil=True)
def _pair_kernel(pairs: Pairs, parameters: PairParameters, scale: float) -> float:
    """Sum over the pairs, each shifted so that it vanishes at the cutoff."""
    contact, repulsion, resonance = parameters
    total = 0.0
    moment = np.zeros(len(contact))
    for k in range(len(pairs.distance)):
        r = scale * pairs.distance[k]
        if r >= CUTOFF:
            continue
        i, j = pairs.first[k], pairs.second[k]
        here = np.exp((contact[i, j] - r) / REPULSION_LENGTH)
        edge = np.exp((contact[i, j] - CUTOFF) / REPULSION_LENGTH)
        total += 0.5 * repulsion[i, j] * (here - edge)
        if resonance[i, j] > 0.0:
            here = np.exp(2.0 * (contact[i, j] - r) / RESONANCE_LENGTH)
            edge = np.exp(2.0 * (contact[i, j] - CUTOFF) / RESONANCE_LENGTH)
            moment[i] += resonance[i, j] ** 2 / 6.0 * (here - edge)
    for i in range(len(moment)):
        total -= np.sqrt(moment[i])
    return total
