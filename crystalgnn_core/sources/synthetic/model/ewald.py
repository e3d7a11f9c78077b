"""Coulomb energy of a periodic set of point charges, by Ewald's method.

Ewald, Ann. Phys. 369, 253 (1921).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from crystalgnn_core.sources.synthetic.model.pairs import Pairs, find_pairs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from crystalgnn_core.records.crystal import Crystal

# e^2 / (4 pi epsilon_0) in eV angstrom, CODATA 2018
COULOMB_CONSTANT = 14.399645
# both sums stop where a Gaussian falls below exp(-ACCURACY^2), about 1e-10
ACCURACY = 4.8


def coulomb_energy(crystal: Crystal, charges: NDArray[np.float64]) -> float:
    """Return the Coulomb energy of one cell in eV.

    Args:
        crystal: The structure.
        charges: Charge of each atom in units of e, shape (n_atoms,), summing to zero.
    """
    volume = abs(float(np.linalg.det(crystal.lattice)))
    # balances the work of the two sums, Perram et al., Mol. Phys. 65, 875 (1988)
    splitting = math.sqrt(math.pi) * (len(charges) / volume**2) ** (1.0 / 6.0)
    pairs = find_pairs(crystal, ACCURACY / splitting)
    near = _real_sum(pairs, charges, splitting)
    far = _reciprocal_sum(crystal.lattice, crystal.frac_coords, charges, splitting)
    own = splitting / math.sqrt(math.pi) * float(np.sum(charges**2))
    return COULOMB_CONSTANT * (near + far - own)


@njit(cache=True, nogil=True)
def _real_sum(pairs: Pairs, charges: NDArray[np.float64], splitting: float) -> float:
    total = 0.0
    for k in range(len(pairs.distance)):
        screened = math.erfc(splitting * pairs.distance[k]) / pairs.distance[k]
        total += charges[pairs.first[k]] * charges[pairs.second[k]] * screened
    return 0.5 * total


@njit(cache=True, nogil=True)
def _reciprocal_sum(
    lattice: NDArray[np.float64],
    frac: NDArray[np.float64],
    charges: NDArray[np.float64],
    splitting: float,
) -> float:
    reciprocal = 2.0 * np.pi * np.linalg.inv(lattice).T
    longest = 2.0 * splitting * ACCURACY
    limits = np.empty(3, np.int64)
    for k in range(3):
        length = np.sqrt(np.sum(lattice[k] ** 2))
        limits[k] = int(longest * length / (2.0 * np.pi)) + 1
    total = 0.0
    # half of reciprocal space; the other half contributes the same
    for h in range(limits[0] + 1):
        for k in range(-limits[1] if h > 0 else 0, limits[1] + 1):
            for m in range(-limits[2] if h > 0 or k > 0 else 1, limits[2] + 1):
                wave = h * reciprocal[0] + k * reciprocal[1] + m * reciprocal[2]
                square = wave[0] ** 2 + wave[1] ** 2 + wave[2] ** 2
                if square > longest * longest:
                    continue
                real, imaginary = 0.0, 0.0
                for i in range(len(charges)):
                    phase = h * frac[i, 0] + k * frac[i, 1] + m * frac[i, 2]
                    real += charges[i] * np.cos(2.0 * np.pi * phase)
                    imaginary += charges[i] * np.sin(2.0 * np.pi * phase)
                weight = np.exp(-square / (4.0 * splitting**2)) / square
                total += weight * (real**2 + imaginary**2)
    return 4.0 * np.pi / abs(np.linalg.det(lattice)) * total
