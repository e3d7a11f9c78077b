import numpy as np
import pytest

from crystalgnn_core.records.crystal import structure_digest
from crystalgnn_core.sources.synthetic.model.pairs import find_pairs
from crystalgnn_core.sources.synthetic.model.specimens import make_specimen


@pytest.fixture(scope="module")
def specimens():
    return [make_specimen(0, 0, index) for index in range(400)]


def test_cells_are_small_and_atoms_apart(specimens):
    for specimen in specimens:
        crystal = specimen.crystal
        assert 1 <= len(crystal.atomic_numbers) <= 14
        assert find_pairs(crystal, 6.0).distance.min() > 0.9
        assert abs(np.linalg.det(crystal.lattice)) > 5.0 * len(crystal.atomic_numbers)
        assert crystal.frac_coords.min() >= 0.0
        assert crystal.frac_coords.max() < 1.0


def test_no_crystal_occurs_twice_within_or_across_batches(specimens):
    crystals = [specimen.crystal for specimen in specimens]
    crystals += [make_specimen(0, 1, index).crystal for index in range(200)]
    assert len({structure_digest(crystal) for crystal in crystals}) == len(crystals)


def test_all_treatments_and_many_elements_occur(specimens):
    assert {s.treatment for s in specimens} == {"relaxed", "strained", "displaced"}
    elements = {int(z) for s in specimens for z in s.crystal.atomic_numbers}
    assert len(elements) >= 45
    assert len({s.prototype for s in specimens}) >= 30
