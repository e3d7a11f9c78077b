"""The same crystal as another calculation would write it down."""

import numpy as np
from scipy.spatial.transform import Rotation

from crystalgnn_core.records.checks.validation import validate
from crystalgnn_core.records.crystal import (
    Crystal,
    crystal_from_structure,
    structure_from_crystal,
)
from crystalgnn_core.records.schema import RawRecord
from crystalgnn_core.records.table.store import RecordStore
from crystalgnn_core.sources.textbook.source import textbook_structure
from tests.core.worlds import in_memory


def textbook(name):
    return crystal_from_structure(textbook_structure(name))


def disguise(crystal, seed, *, scale=1.0, noise=0.0):
    """Turn, shift, double and shear the cell, mix its atoms; scale lengths, move sites.

    Args:
        crystal: The crystal.
        seed: Of all random choices.
        scale: Factor of all lengths.
        noise: Standard deviation of displacements, angstrom.
    """
    rng = np.random.default_rng(seed)
    cell = np.eye(3, dtype=int)
    cell[rng.integers(3)] *= 2
    one, other = rng.choice(3, 2, replace=False)
    cell[one] += cell[other]
    structure = structure_from_crystal(crystal).make_supercell(cell, in_place=False)
    turn = Rotation.random(random_state=rng).as_matrix()
    moved = structure.cart_coords + rng.normal(0, noise, (len(structure), 3))
    coords = moved @ np.linalg.inv(structure.lattice.matrix) + rng.random(3)
    order = rng.permutation(len(structure))
    return Crystal(
        np.array(structure.atomic_numbers, dtype=np.int16)[order],
        structure.lattice.matrix @ turn * scale,
        coords[order] % 1,
    )


def store_crystals(store, source, crystals, version=None):
    """Make the rows of a source these structures, in the order of the mapping."""
    raws = [
        RawRecord(name, crystal, source_version=version)
        for name, crystal in crystals.items()
    ]
    checked = validate(raws, source=source, targets=(), require_labels="none")
    assert not checked.rejects
    RecordStore(store).replace_records(source, in_memory(checked.records))
