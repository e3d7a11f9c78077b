"""Neighbours at the edge of a shell: just inside, exactly there, just outside.

An atom has four neighbours at 2 angstrom. Whether a fifth belongs to their shell must not
depend on how the crystal is written down.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crystalgnn_core.graphs import neighbors as module
from crystalgnn_core.graphs.config import GraphConfig
from crystalgnn_core.graphs.crystals import CrystalBatch
from crystalgnn_core.graphs.neighbors import OK, find_neighbors
from crystalgnn_core.records.crystal import Crystal

NEAR, TOLERANCE = 2.0, 0.01
TETRAHEDRON = (
    NEAR / np.sqrt(3) * np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
)
CELLS = ([[1, 0, 0], [0, 1, 0], [0, 0, 1]], [[1, 2, 0], [0, 1, -1], [0, 0, 1]])
# how far the fifth neighbour is past the edge in angstrom, and whether it is in the shell;
# distances that differ by less than 1e-9 are equal
PLACES = ((-1e-4, True), (-1e-8, True), (0.0, True), (1e-8, False), (1e-4, False))


def written_down(points, seed):
    """Return a cell of 40 angstrom around some points, and where the first of them is.

    Rotation, translation, cell vectors and order of the atoms depend on the seed.
    """
    rng = np.random.default_rng(seed)
    rotation = np.linalg.qr(rng.normal(size=(3, 3))).Q
    lattice = np.array(CELLS[seed % 2]) @ (40.0 * rotation)
    coords = (np.array(points) + rng.uniform(-50, 50, 3)) @ rotation
    order = rng.permutation(len(points))
    fracs = (coords @ np.linalg.inv(lattice))[order]
    crystal = Crystal(np.full(len(points), 6, np.int16), lattice, fracs)
    return crystal, int(order.tolist().index(0))


def degree_of_first(points, seed, **settings):
    crystal, first = written_down(points, seed)
    config = GraphConfig(too_few="keep", **settings)
    found = find_neighbors(CrystalBatch.from_crystals([crystal]), config)
    assert found.status.tolist() == [OK]
    return int(found.degree[first])


def cluster(*further):
    """Return an atom, its four neighbours, and others along z at some distances."""
    return [[0, 0, 0], *TETRAHEDRON.tolist(), *([0, 0, z] for z in further)]


@pytest.fixture(params=[0, 10**9], ids=["bins", "images"])
def way(request, monkeypatch):
    """Search in bins or image by image."""
    monkeypatch.setattr(module, "BINS_FROM", request.param)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(("past", "is_inside"), PLACES)
@given(seed=st.integers(0, 10**6))
def test_fifth_neighbour_at_the_edge_of_the_shell_of_the_fourth(past, is_inside, seed):
    points = cluster(NEAR + TOLERANCE + past)
    assert degree_of_first(points, seed, n_neighbors=4) == 4 + is_inside
    # four equal distances are one shell, whichever of them is the k-th
    assert degree_of_first(points, seed, n_neighbors=1) == 4 + is_inside
    assert degree_of_first(points, seed, n_neighbors=4, strategy="knn") == 4


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(("past", "is_inside"), PLACES)
@given(seed=st.integers(0, 10**6))
def test_fifth_neighbour_at_the_cutoff(past, is_inside, seed):
    points = cluster(3.0 + past)
    settings = {"cutoff": 3.0, "n_neighbors": 5}
    for strategy in ("radius", "knn", "knn_shell"):
        degree = degree_of_first(points, seed, strategy=strategy, **settings)
        assert degree == 4 + is_inside, strategy


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(("past", "is_inside"), PLACES)
@given(seed=st.integers(0, 10**6))
def test_shell_of_a_neighbour_at_the_cutoff_reaches_past_it(past, is_inside, seed):
    points = cluster(NEAR + TOLERANCE + past)
    degree = degree_of_first(points, seed, n_neighbors=4, cutoff=NEAR)
    assert degree == 4 + is_inside


@given(seed=st.integers(0, 10**6))
def test_shell_is_measured_from_the_kth_and_not_from_its_last(seed):
    points = cluster(NEAR + 0.8 * TOLERANCE, -NEAR - 1.6 * TOLERANCE)
    assert degree_of_first(points, seed, n_neighbors=4) == 5
    assert degree_of_first(points, seed, n_neighbors=5) == 6


@given(seed=st.integers(0, 10**6))
def test_a_wider_tolerance_is_followed(seed):
    points = cluster(NEAR + 0.2 - 1e-8, -NEAR - 0.2 - 1e-8)
    settings = {"n_neighbors": 4, "shell_tolerance": 0.2}
    assert degree_of_first(points, seed, **settings) == 5
    # the sixth atom is too far to be selected, but selects the first one itself
    assert degree_of_first(points, seed, symmetric=True, **settings) == 6


@pytest.mark.parametrize("shell_tolerance", [0.0, 1e-12])
@given(seed=st.integers(0, 10**6))
def test_without_a_tolerance_equal_distances_are_still_one_shell(shell_tolerance, seed):
    settings = {"n_neighbors": 2, "shell_tolerance": shell_tolerance}
    assert degree_of_first(cluster(NEAR + 1e-8), seed, **settings) == 4
