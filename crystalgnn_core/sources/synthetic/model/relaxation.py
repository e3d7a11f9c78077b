"""Isotropic relaxation: the scale of a cell at which its model energy is lowest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize_scalar

from crystalgnn_core.records.crystal import Crystal
from crystalgnn_core.sources.synthetic.model import emt, ionic
from crystalgnn_core.sources.synthetic.model.ewald import coulomb_energy
from crystalgnn_core.sources.synthetic.model.ions import ION_TABLE, formal_charges
from crystalgnn_core.sources.synthetic.model.pairs import find_pairs

if TYPE_CHECKING:
    from collections.abc import Callable

SMALLEST_SCALE, LARGEST_SCALE = 0.8, 1.4
SCALE_TOLERANCE = 1e-6


def relax_isotropically(crystal: Crystal) -> Crystal:
    """Scale a cell, whatever its size at first, to the minimum of its model energy."""
    crystal = scale_cell(crystal, _contact_scale(crystal))
    result = minimize_scalar(
        _energy_of_scale(crystal),
        bounds=(SMALLEST_SCALE, LARGEST_SCALE),
        method="bounded",
        options={"xatol": SCALE_TOLERANCE},
    )
    return scale_cell(crystal, float(result.x))


def scale_cell(crystal: Crystal, scale: float) -> Crystal:
    """Scale all lengths of a crystal."""
    return Crystal(crystal.atomic_numbers, crystal.lattice * scale, crystal.frac_coords)


def _energy_of_scale(crystal: Crystal) -> Callable[[float], float]:
    """Return the model energy in eV as a function of the scale, up to a constant."""
    numbers = crystal.atomic_numbers
    if emt.is_metallic(numbers):
        metal_pairs = find_pairs(crystal, emt.CUTOFF / SMALLEST_SCALE)
        return lambda scale: emt.emt_pair_energy(numbers, metal_pairs, scale)
    charges = ionic.CHARGE_FACTOR * formal_charges(numbers)
    coulomb = coulomb_energy(crystal, charges)
    pairs = find_pairs(crystal, ionic.CUTOFF / SMALLEST_SCALE)
    # the Coulomb energy of a scaled cell is known exactly
    return lambda scale: coulomb / scale + ionic.pair_energy(numbers, pairs, scale)


def _contact_scale(crystal: Crystal) -> float:
    """Return the scale that brings the closest bonded atoms into contact."""
    numbers = crystal.atomic_numbers
    # four times the mean spacing of atoms surely holds the first neighbours
    spacing = (abs(np.linalg.det(crystal.lattice)) / len(numbers)) ** (1.0 / 3.0)
    pairs = find_pairs(crystal, 4.0 * float(spacing))
    if emt.is_metallic(numbers):
        radius = 0.5 * emt.BETA * emt.PARAMETER_TABLE[numbers, 1]
        is_bond = np.ones(len(pairs.distance), bool)
    else:
        charge, radius = ION_TABLE.charge[numbers], ION_TABLE.radius[numbers]
        is_bond = charge[pairs.first] * charge[pairs.second] < 0.0
    ratio = (radius[pairs.first] + radius[pairs.second]) / pairs.distance
    return float(ratio[is_bond].max())
