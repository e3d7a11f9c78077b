"""Energy of metals in the effective-medium theory, with the parameters of ASE.

Jacobsen, Stoltze and Norskov, Surf. Sci. 366, 394 (1996). Equal to ase.calculators.emt.EMT,
but compiled, because relaxing thousands of cells with the calculator takes minutes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from ase.calculators.emt import parameters
from ase.units import Bohr
from numba import njit

from crystalgnn_core.sources.synthetic.model.pairs import Pairs, find_pairs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from crystalgnn_core.records.crystal import Crystal

# the parameter table of ASE also has H, C, N and O, which are "just for fun"
EMT_METALS = {13: "Al", 28: "Ni", 29: "Cu", 46: "Pd", 47: "Ag", 78: "Pt", 79: "Au"}
# energy of fcc at its own lattice constant in eV/atom; a test compares them with a
# minimisation by ASE
ELEMENT_ENERGIES: dict[int, float] = {
    13: -0.004882684533,
    28: -0.013306892310,
    29: -0.007036492052,
    46: -0.000269925335,
    47: -0.000366862539,
    78: -0.000149527060,
    79: -0.000135141250,
}
# Wigner-Seitz radius to nearest-neighbour distance in fcc, rounded as in ASE
BETA = 1.809
LARGEST_RADIUS = max(row[1] for row in parameters.values()) * Bohr
MIDPOINT = BETA * LARGEST_RADIUS * 0.5 * (math.sqrt(3.0) + 2.0)
SLOPE = math.log(1e4 - 1.0) / (BETA * LARGEST_RADIUS * 2.0 - MIDPOINT)
CUTOFF = MIDPOINT + 0.5


def is_metallic(atomic_numbers: NDArray[np.int16]) -> bool:
    """Say whether all atoms are metals of the effective-medium theory."""
    return bool(np.isin(atomic_numbers, list(EMT_METALS)).all())


def emt_energy(crystal: Crystal) -> float:
    """Return the energy of one cell in eV, about zero for an element in fcc, as in ASE."""
    return emt_pair_energy(crystal.atomic_numbers, find_pairs(crystal, CUTOFF))


def emt_pair_energy(
    atomic_numbers: NDArray[np.int16], pairs: Pairs, scale: float = 1.0
) -> float:
    """Return the energy of one cell in eV with all pair distances scaled."""
    table = PARAMETER_TABLE[atomic_numbers]
    return float(_energy_kernel(pairs, table, scale, (MIDPOINT, SLOPE, CUTOFF)))


def _parameter_table() -> NDArray[np.float64]:
    """Return E0, s0, V0, eta2, kappa, lambda, n0, gamma1, gamma2 by atomic number."""
    table = np.full((max(EMT_METALS) + 1, 9), np.nan)
    counts = np.array([12.0, 6.0, 24.0])  # fcc shells
    for number, symbol in EMT_METALS.items():
        e0, s0, v0, eta2, kappa, decay, n0 = parameters[symbol]
        radius = s0 * Bohr
        shells = BETA * radius * np.sqrt([1.0, 2.0, 3.0])
        weights = counts / 12.0 / (1.0 + np.exp(SLOPE * (shells - MIDPOINT)))
        beyond = shells - BETA * radius
        gamma1 = weights @ np.exp(-eta2 / Bohr * beyond)
        gamma2 = weights @ np.exp(-kappa / Bohr / BETA * beyond)
        tail = [v0, eta2 / Bohr, kappa / Bohr, decay / Bohr, n0 / Bohr**3, gamma1, gamma2]
        table[number] = [e0, radius, *tail]
    return table


@njit(cache=True, nogil=True)
def _energy_kernel(
    pairs: Pairs,
    table: NDArray[np.float64],
    scale: float,
    smoothing: tuple[float, float, float],
) -> float:
    midpoint, slope, cutoff = smoothing
    energy = 0.0
    density = np.zeros(len(table))
    for k in range(len(pairs.distance)):
        r = scale * pairs.distance[k]
        if r >= cutoff:
            continue
        own, other = table[pairs.first[k]], table[pairs.second[k]]
        weight = 1.0 / (1.0 + np.exp(slope * (r - midpoint)))
        chi = other[6] / own[6]
        density[pairs.first[k]] += np.exp(-other[3] * (r - BETA * other[1])) * chi * weight
        felt = -0.5 * own[2] / own[8] * np.exp(-other[4] * (r / BETA - other[1])) * chi
        given = -0.5 * other[2] / other[8] * np.exp(-own[4] * (r / BETA - own[1])) / chi
        energy += 0.5 * (felt + given) * weight
    for i in range(len(table)):
        e0, v0, eta2 = table[i, 0], table[i, 2], table[i, 3]
        kappa, decay = table[i, 4], table[i, 5]
        change = -np.log(density[i] / (12.0 * table[i, 7])) / (BETA * eta2)
        energy += e0 * (1.0 + decay * change) * np.exp(-decay * change)
        energy += 6.0 * v0 * np.exp(-kappa * change) - e0
    return energy


PARAMETER_TABLE = _parameter_table()
