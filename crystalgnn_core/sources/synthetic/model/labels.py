"""The two labels of a crystal in the model, a function of the crystal alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from crystalgnn_core.sources.synthetic.model.emt import (
    ELEMENT_ENERGIES,
    emt_energy,
    is_metallic,
)
from crystalgnn_core.sources.synthetic.model.gap import ionic_band_gap
from crystalgnn_core.sources.synthetic.model.ionic import ionic_energy

if TYPE_CHECKING:
    from crystalgnn_core.records.crystal import Crystal

# raise the number with any change that moves a structure or a label
MODEL_VERSION = "synthetic-1"
LABEL_SCHEME = MODEL_VERSION


class SyntheticLabels(NamedTuple):
    """Labels of one crystal.

    Attributes:
        formation_energy_per_atom: In eV/atom, counted from the elements of the model.
        band_gap: In eV, zero for a metal.
    """

    formation_energy_per_atom: float
    band_gap: float


def compute_labels(crystal: Crystal) -> SyntheticLabels:
    """Compute the labels of a crystal of EMT metals or of charge-balanced ions.

    Raises:
        RecordError: The model does not cover the elements, or the charges do not cancel.
    """
    n_atoms = len(crystal.atomic_numbers)
    if is_metallic(crystal.atomic_numbers):
        elements = sum(ELEMENT_ENERGIES[int(z)] for z in crystal.atomic_numbers)
        return SyntheticLabels((emt_energy(crystal) - elements) / n_atoms, 0.0)
    return SyntheticLabels(ionic_energy(crystal) / n_atoms, ionic_band_gap(crystal))
