import numpy as np

from crystalgnn_core.records.crystal import Crystal, structure_from_crystal
from crystalgnn_core.sources.synthetic.model.pairs import find_pairs


def test_pairs_of_a_skewed_cell_agree_with_pymatgen():
    lattice = np.array([[3.0, 0.0, 0.0], [2.6, 2.9, 0.0], [-1.4, 1.3, 6.0]])
    frac_coords = np.array([[0.1, -0.3, 0.2], [1.7, 0.4, 0.9]])
    crystal = Crystal(np.array([3, 9], np.int16), lattice, frac_coords)
    first, second, _, distance = structure_from_crystal(crystal).get_neighbor_list(7.3)
    pairs = find_pairs(crystal, 7.3)
    found = sorted(zip(pairs.first, pairs.second, pairs.distance.round(9), strict=True))
    expected = sorted(zip(first, second, distance.round(9), strict=True))
    np.testing.assert_allclose(found, expected, atol=1e-8)


def test_one_atom_sees_its_twelve_images_in_fcc():
    lattice = 2.0 * (np.ones((3, 3)) - np.eye(3))
    pairs = find_pairs(Crystal(np.array([29], np.int16), lattice, np.zeros((1, 3))), 3.0)
    assert len(pairs.distance) == 12
