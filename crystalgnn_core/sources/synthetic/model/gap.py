"""A made-up band gap that grows with ionicity and with short bonds.

gap = min(max(0, sqrt(homopolar^2 + ionic^2) - 3 eV - 2 eV * open), 12 eV)

with homopolar = 39.74 eV d^-2.48 (d in angstrom) after Van Vechten, Phys. Rev. 182, 891
(1969), ionic = 3 eV times the difference of Pauling's electronegativities, and open the
share of cations with a partly filled d shell. d, the difference and the share are means
over all pairs of cation and anion, weighted with the bond valence exp((R_i + R_j - r) /
0.37 A) of Brown and Altermatt, Acta Cryst. B41, 244 (1985), so the rule is smooth in the
structure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from crystalgnn_core.sources.synthetic.model.ions import ION_TABLE, formal_charges
from crystalgnn_core.sources.synthetic.model.pairs import find_pairs

if TYPE_CHECKING:
    from crystalgnn_core.records.crystal import Crystal

CUTOFF = 8.0  # angstrom
VALENCE_SOFTNESS = 0.37  # angstrom
LARGEST_GAP = 12.0


def ionic_band_gap(crystal: Crystal) -> float:
    """Return the gap of an ionic crystal in eV, from 0 to 12.

    Raises:
        RecordError: An element has no ion in the model, or the charges do not cancel.
    """
    numbers = crystal.atomic_numbers
    charges = formal_charges(numbers)
    pairs = find_pairs(crystal, CUTOFF)
    is_bond = (charges[pairs.first] > 0.0) & (charges[pairs.second] < 0.0)
    cation, anion = numbers[pairs.first[is_bond]], numbers[pairs.second[is_bond]]
    distance = pairs.distance[is_bond]
    contact = ION_TABLE.radius[cation] + ION_TABLE.radius[anion]
    valence = np.exp((contact - distance) / VALENCE_SOFTNESS)
    contrast = ION_TABLE.electronegativity[anion] - ION_TABLE.electronegativity[cation]
    length = float(np.average(distance, weights=valence))
    ionic = 3.0 * float(np.average(contrast, weights=valence))
    open_share = float(np.average(ION_TABLE.open_shell[cation], weights=valence))
    homopolar = 39.74 * length**-2.48
    gap = float(np.hypot(homopolar, ionic)) - 3.0 - 2.0 * open_share
    return min(max(gap, 0.0), LARGEST_GAP)
