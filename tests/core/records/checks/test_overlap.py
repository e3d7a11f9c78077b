from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from pymatgen.core.lattice import Lattice

from crystalgnn_core.records.checks.overlap import find_overlap
from crystalgnn_core.records.crystal import Crystal


def carbon(lattice, *coords):
    numbers = np.full(len(coords), 6, dtype=np.int16)
    return Crystal(numbers, np.array(lattice, dtype=float), np.array(coords, dtype=float))


def brute_force_distance(structure, reach=6):
    """Shortest distance over all images, on the reduced cell where a few images suffice."""
    reduced = np.array(Lattice(structure.lattice).get_niggli_reduced_lattice().matrix)
    coords = structure.frac_coords @ structure.lattice @ np.linalg.inv(reduced)
    coords -= np.floor(coords)
    span = range(-reach, reach + 1)
    images = np.array(list(itertools.product(span, span, span)), dtype=float)
    offsets = (coords[:, None, None] - coords[None, :, None]) + images
    distances = np.linalg.norm(offsets @ reduced, axis=-1)
    return distances[distances > 1e-12].min()


@pytest.mark.parametrize("seed", range(12))
def test_overlap_agrees_with_brute_force_in_random_skewed_cells(seed):
    random = np.random.default_rng(seed)
    lattice = np.diag(random.uniform(0.6, 4.0, 3)) + random.normal(0, 0.1, (3, 3))
    shear = np.eye(3)
    shear[1, 0], shear[2, 0], shear[2, 1] = random.integers(-20, 20, 3)
    structure = carbon(shear @ lattice, *random.uniform(-3, 3, (4, 3)))
    expected = brute_force_distance(structure)
    overlap = find_overlap(structure, expected * 1.001)
    assert overlap is not None
    assert overlap[2] == pytest.approx(expected, rel=1e-9)
    assert find_overlap(structure, expected * 0.999) is None


def test_overlap_is_found_in_a_large_cell():
    grid = np.array(list(itertools.product(range(5), repeat=3))) / 5
    structure = carbon(np.eye(3) * 12, *grid, [0.01, 0.01, 0.01])
    overlap = find_overlap(structure, 0.5)
    assert overlap is not None
    first, second, distance = overlap
    assert {first, second} == {0, 125}
    assert distance == pytest.approx(0.12 * math.sqrt(3))
