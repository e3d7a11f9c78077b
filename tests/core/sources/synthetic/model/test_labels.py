import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from crystalgnn_core.records.crystal import (
    Crystal,
    crystal_from_structure,
    structure_from_crystal,
)
from crystalgnn_core.sources.synthetic.model.labels import compute_labels
from crystalgnn_core.sources.synthetic.model.specimens import make_specimen

INDICES = st.integers(0, 300)
SEEDS = st.integers(0, 2**31)
# float64; the Ewald sums and the cutoffs are converged to about 1e-8 eV
TOLERANCE = 1e-6


def assert_same_labels(changed, crystal):
    assert compute_labels(changed) == pytest.approx(compute_labels(crystal), abs=TOLERANCE)


@settings(max_examples=25, deadline=None)
@given(index=INDICES, seed=SEEDS)
def test_labels_ignore_rotation_translation_order_and_lattice_shifts(index, seed):
    crystal = make_specimen(3, 0, index).crystal
    generator = np.random.default_rng(seed)
    rotation = Rotation.random(rng=generator).as_matrix()
    order = generator.permutation(len(crystal.atomic_numbers))
    shifts = generator.integers(-2, 3, crystal.frac_coords.shape) + generator.random(3)
    changed = Crystal(
        crystal.atomic_numbers[order],
        crystal.lattice @ rotation.T,
        (crystal.frac_coords + shifts)[order],
    )
    assert_same_labels(changed, crystal)


@settings(max_examples=15, deadline=None)
@given(index=INDICES, direction=st.integers(0, 2), skew=st.integers(-1, 1))
def test_labels_ignore_the_choice_of_supercell(index, direction, skew):
    crystal = make_specimen(3, 0, index).crystal
    scaling = np.eye(3, dtype=int)
    scaling[direction, direction] = 2
    scaling[direction, (direction + 1) % 3] = skew
    supercell = structure_from_crystal(crystal).make_supercell(scaling)
    assert_same_labels(crystal_from_structure(supercell), crystal)


@pytest.mark.parametrize("index", range(0, 40, 5))
def test_labels_change_smoothly_with_strain(index):
    crystal = make_specimen(3, 0, index).crystal
    shear = np.array([[0.01, 0.02, 0.0], [0.02, -0.01, 0.0], [0.0, 0.0, 0.03]])
    curve = np.array(
        [
            compute_labels(
                Crystal(
                    crystal.atomic_numbers,
                    crystal.lattice @ (np.eye(3) + x * shear),
                    crystal.frac_coords,
                )
            ).formation_energy_per_atom
            for x in np.linspace(0.0, 1.0, 11)
        ]
    )
    assert np.ptp(curve) > 1e-4
    # a kink would show up as a third difference as large as the curve itself
    assert np.abs(np.diff(curve, 3)).max() < 0.02 * np.ptp(curve) + 1e-5
