"""Neighbour lists against pymatgen, theory and each other."""

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from crystalgnn_core.graphs import neighbors as module
from crystalgnn_core.graphs.config import GraphConfig
from crystalgnn_core.graphs.crystals import CrystalBatch
from crystalgnn_core.graphs.neighbors import (
    ISOLATED,
    OK,
    TOO_FEW,
    TOO_LARGE,
    TOO_SKEWED,
    find_neighbors,
)
from crystalgnn_core.records.crystal import Crystal, structure_from_crystal
from tests.core.graphs.cells import crystals

EXAMPLES = settings(max_examples=25, deadline=None)


def edge_lists(crystal, config):
    """Return (neighbour, image relative to the given coordinates, distance) by centre."""
    found = find_neighbors(CrystalBatch.from_crystals([crystal]), config)
    shift = np.floor(crystal.frac_coords)
    lists, at = [], 0
    for center, degree in enumerate(found.degree):
        other = found.neighbor[at : at + degree]
        image = found.cell_offset[at : at + degree] - shift[other] + shift[center]
        vector = crystal.frac_coords[other] + image - crystal.frac_coords[center]
        distance = np.linalg.norm(vector @ crystal.lattice, axis=1)
        rows = zip(
            other.tolist(), map(tuple, image.astype(int).tolist()), distance, strict=True
        )
        lists.append(list(rows))
        at += degree
    return found, lists


def reference(crystal, radius):
    """All neighbours by pymatgen, nearest first, as `edge_lists` gives them."""
    structure = structure_from_crystal(crystal)
    centers, others, images, distances = structure.get_neighbor_list(radius)
    lists: list[list[tuple[int, tuple[int, ...], float]]] = [
        [] for _ in range(len(structure))
    ]
    for center, other, image, distance in zip(
        centers, others, images, distances, strict=True
    ):
        lists[center].append((int(other), tuple(image.astype(int).tolist()), distance))
    return [sorted(rows, key=lambda row: row[2]) for rows in lists]


def ends(rows):
    return {row[:2] for row in rows}


@EXAMPLES
@given(crystals())
def test_radius_neighbours_are_those_of_pymatgen(crystal):
    _, lists = edge_lists(
        crystal, GraphConfig(strategy="radius", cutoff=5.0, too_few="keep")
    )
    for rows, expected in zip(lists, reference(crystal, 5.0), strict=True):
        assert len(rows) == len(ends(rows))
        assert ends(rows) == ends(expected)
        assert [row[2] for row in rows] == pytest.approx([row[2] for row in expected])


@EXAMPLES
@given(crystals(), st.integers(1, 20))
def test_knn_keeps_exactly_the_nearest(crystal, k):
    found, lists = edge_lists(crystal, GraphConfig(strategy="knn", n_neighbors=k))
    assert found.status[0] == OK
    for rows, expected in zip(lists, reference(crystal, 13.0), strict=True):
        assert len(rows) == k
        assert [row[2] for row in rows] == pytest.approx([row[2] for row in expected[:k]])


@EXAMPLES
@given(crystals(), st.integers(1, 20))
def test_knn_shell_keeps_all_within_the_tolerance_of_the_kth(crystal, k):
    _, lists = edge_lists(crystal, GraphConfig(n_neighbors=k, shell_tolerance=0.05))
    for rows, expected in zip(lists, reference(crystal, 13.0), strict=True):
        limit = expected[k - 1][2] + 0.05
        at_the_limit = any(abs(row[2] - limit) < 1e-6 for row in expected)
        assume(not at_the_limit)
        assert ends(rows) == ends(row for row in expected if row[2] <= limit)


@EXAMPLES
@given(crystals(), st.integers(1, 14))
def test_knn_cgcnn_takes_the_first_of_each_list_of_pymatgen(crystal, k):
    wrapped = crystal._replace(
        frac_coords=CrystalBatch.from_crystals([crystal]).frac_coords
    )
    config = GraphConfig(strategy="knn_cgcnn", n_neighbors=k, max_cutoff=18.0)
    found, lists = edge_lists(wrapped, config)
    every = structure_from_crystal(wrapped).get_all_neighbors(found.cutoff[0])
    for rows, near in zip(lists, every, strict=True):
        first = sorted(near, key=lambda row: row.nn_distance)[:k]  # as in the CGCNN code
        assert [row[:2] for row in rows] == [(n.index, tuple(n.image)) for n in first]


@EXAMPLES
@given(
    st.lists(crystals(sizes=(1, 2, 5, 13, 60, 150)), min_size=1, max_size=3),
    st.sampled_from(["knn", "knn_shell", "radius"]),
    st.integers(1, 30),
    st.floats(2, 9),
    st.sampled_from(["enlarge", "keep", "reject"]),
)
def test_bins_change_no_bit(cells, strategy, k, cutoff, too_few):
    config = GraphConfig(strategy=strategy, n_neighbors=k, cutoff=cutoff, too_few=too_few)
    batch = CrystalBatch.from_crystals(cells)
    results = []
    for bins_from in (0, 10**9):
        with patch.object(module, "BINS_FROM", bins_from):
            results.append(find_neighbors(batch, config))
    for first, second in zip(*results, strict=True):
        assert np.array_equal(first, second)


@pytest.mark.parametrize("strategy", ["knn", "knn_shell", "radius"])
@pytest.mark.parametrize(
    "lattice",
    [
        np.diag([20.0, 20.0, 20.0]),
        np.diag([90.0, 9.0, 10.0]),
        np.array([[20.0, 0, 0], [15.0, 14.0, 0], [-9.0, 11.0, 28.0]]),
        np.array([[20.0, 0, 0], [85.0, 20.0, 0], [-66.0, 110.0, 20.0]]),
    ],
    ids=["cube", "rod", "skewed", "very skewed"],
)
def test_large_cells_have_the_neighbours_of_pymatgen(lattice, strategy):
    generator = np.random.default_rng(7)
    n_atoms = 600
    coords = generator.uniform(-1, 2, (n_atoms, 3))
    coords[:, 2] = coords[:, 2] ** 2  # dense below, thin above
    crystal = Crystal(np.full(n_atoms, 6, np.int16), lattice, coords)
    config = GraphConfig(strategy=strategy, cutoff=5.0, too_few="keep")
    _, lists = edge_lists(crystal, config)
    for rows, near in zip(lists, reference(crystal, 5.02), strict=True):
        limit = 5.0
        if strategy != "radius" and len(near) >= 12 and near[11][2] <= 5.0:
            limit = near[11][2] + (0.01 if strategy == "knn_shell" else 0.0)
        assert ends(rows) == ends(row for row in near if row[2] <= limit + 1e-9)
        assert [row[2] for row in rows] == pytest.approx(
            [row[2] for row in near[: len(rows)]]
        )


@EXAMPLES
@given(crystals())
def test_edges_exist_in_both_directions_within_a_radius(crystal):
    _, lists = edge_lists(
        crystal, GraphConfig(strategy="radius", cutoff=6.0, too_few="keep")
    )
    forward = {(c, o, image) for c, rows in enumerate(lists) for o, image, _ in rows}
    backward = {(o, c, tuple(-i for i in image)) for c, o, image in forward}
    assert forward == backward


def diamond(a=3.567):
    return Crystal(
        np.array([6, 6], np.int16),
        a / 2 * np.array([[0.0, 1, 1], [1, 0, 1], [1, 1, 0]]),
        np.array([[0.0, 0, 0], [0.25, 0.25, 0.25]]),
    )


def test_diamond_has_four_neighbours_at_one_bond_length():
    # a sqrt(3) / 4 with a = 3.567 angstrom (CRC Handbook)
    _, lists = edge_lists(diamond(), GraphConfig(n_neighbors=4))
    for rows in lists:
        assert [row[2] for row in rows] == pytest.approx([1.5446] * 4, abs=1e-4)


def test_shell_holds_all_twelve_second_neighbours_of_diamond():
    _, lists = edge_lists(diamond(), GraphConfig(n_neighbors=5))
    assert [len(rows) for rows in lists] == [16, 16]


def test_zero_tolerance_still_finds_k_neighbours():
    config = GraphConfig(shell_tolerance=0.0, too_few="reject")
    generator = np.random.default_rng(3)
    batch = CrystalBatch.from_crystals(
        [
            Crystal(np.full(4, 6, np.int16), np.eye(3) * 5, generator.random((4, 3)))
            for _ in range(200)
        ]
    )
    assert (find_neighbors(batch, config).status == OK).all()


def test_tie_is_broken_by_index_then_image():
    cubic = Crystal(np.array([84], np.int16), np.eye(3) * 3.0, np.zeros((1, 3)))
    _, lists = edge_lists(cubic, GraphConfig(strategy="knn", n_neighbors=4))
    expected = [(-1, 0, 0), (0, -1, 0), (0, 0, -1), (0, 0, 1)]
    assert [row[1] for row in lists[0]] == expected


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.3337, 0.77])
def test_shell_exactly_at_the_cutoff_is_kept_whole(shift):
    lattice = np.eye(3) * 4.1
    crystal = Crystal(np.array([84], np.int16), lattice, np.full((1, 3), shift))
    rotation = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3))).Q
    turned = crystal._replace(lattice=lattice @ rotation)
    for cell in (crystal, turned):
        found, _ = edge_lists(cell, GraphConfig(strategy="radius", cutoff=4.1))
        assert found.degree.tolist() == [6]


def test_kth_neighbour_just_beyond_the_cutoff_enlarges_it():
    cubic = Crystal(np.array([84], np.int16), np.eye(3) * 4.005, np.zeros((1, 3)))
    found, lists = edge_lists(cubic, GraphConfig(cutoff=4.0, n_neighbors=6))
    assert found.cutoff[0] == 6.0
    assert len(lists[0]) == 6


def sparse(edge):
    return Crystal(np.array([2], np.int16), np.eye(3) * edge, np.zeros((1, 3)))


@pytest.mark.parametrize("strategy", ["knn", "knn_cgcnn", "knn_shell", "radius"])
def test_isolated_atom_is_served_by_a_larger_cutoff(strategy):
    found, lists = edge_lists(sparse(9.0), GraphConfig(strategy=strategy, n_neighbors=6))
    assert (found.status[0], found.cutoff[0]) == (OK, 12.0)
    assert len(lists[0]) == 6


@pytest.mark.parametrize(
    ("edge", "policy", "status", "degree"),
    [
        (13.0, "enlarge", ISOLATED, 0),
        (9.0, "reject", ISOLATED, 0),
        (9.0, "keep", OK, 0),
        (7.0, "reject", TOO_FEW, 0),
        (7.0, "keep", OK, 6),
    ],
)
def test_policy_decides_about_atoms_with_too_few(edge, policy, status, degree):
    found, _ = edge_lists(sparse(edge), GraphConfig(too_few=policy))
    assert found.status[0] == status
    assert found.degree.tolist() == [degree]
    assert len(found.neighbor) == degree


def test_refused_crystal_leaves_its_neighbours_in_the_batch_alone():
    alone = find_neighbors(CrystalBatch.from_crystals([diamond()]), GraphConfig())
    batch = CrystalBatch.from_crystals([sparse(40.0), diamond(), sparse(40.0), diamond()])
    found = find_neighbors(batch, GraphConfig())
    assert found.status.tolist() == [ISOLATED, OK, ISOLATED, OK]
    assert found.atom[0] == 0
    assert np.array_equal(found.neighbor, np.tile(alone.neighbor, 2))
    assert np.array_equal(found.cell_offset, np.tile(alone.cell_offset, (2, 1)))


def test_very_skewed_cell_has_the_distances_of_its_reduced_cell():
    crystal = diamond()
    matrix = np.array([[1, 0, 0], [19, 1, 0], [-23, 2, 1]])
    coords = crystal.frac_coords @ np.linalg.inv(matrix)
    skewed = Crystal(crystal.atomic_numbers, matrix @ crystal.lattice, coords)
    _, lists = edge_lists(skewed, GraphConfig())
    _, expected = edge_lists(crystal, GraphConfig())
    for rows, others in zip(lists, expected, strict=True):
        assert [row[2] for row in rows] == pytest.approx([row[2] for row in others])


@pytest.mark.parametrize("slope", [1e3, 1e7])
def test_image_beyond_127_cells_is_refused_at_once(slope):
    lattice = np.array([[3.0, 0, 0], [3.0 * 1e3, 3, 0], [0, 3.0 * slope, 3]])
    crystal = Crystal(np.array([84], np.int16), lattice, np.zeros((1, 3)))
    found, _ = edge_lists(crystal, GraphConfig())
    assert found.status[0] == TOO_SKEWED
    assert len(found.neighbor) == 0


def test_flat_cell_without_volume_is_refused():
    lattice = np.array([[3.0, 0, 0], [0, 3, 0], [3, 3, 0]])
    crystal = Crystal(np.array([84], np.int16), lattice, np.zeros((1, 3)))
    assert edge_lists(crystal, GraphConfig())[0].status[0] == TOO_SKEWED


def test_more_atoms_than_can_be_stored_are_refused():
    n_atoms = 2**16 + 1
    crystal = Crystal(
        np.full(n_atoms, 6, np.int16), np.eye(3) * 100, np.zeros((n_atoms, 3))
    )
    found = find_neighbors(CrystalBatch.from_crystals([crystal]), GraphConfig())
    assert found.status[0] == TOO_LARGE


def test_more_neighbours_than_can_be_stored_are_refused():
    crystal = Crystal(np.array([1], np.int16), np.eye(3), np.zeros((1, 3)))
    # a sphere of 25.1 lattice constants holds 4/3 pi 25.1^3 = 66,239 images
    config = GraphConfig(strategy="radius", cutoff=25.1, too_few="keep")
    assert edge_lists(crystal, config)[0].status[0] == TOO_LARGE


def test_no_crystals_give_no_edges():
    found = find_neighbors(CrystalBatch.from_crystals([]), GraphConfig())
    assert [len(field) for field in found] == [0] * 6


def test_inputs_are_left_untouched():
    crystal = diamond()._replace(frac_coords=np.array([[-3.2, 7.5, 0], [0.1, 0.2, 1.0]]))
    before = crystal.frac_coords.copy()
    find_neighbors(CrystalBatch.from_crystals([crystal]), GraphConfig())
    assert np.array_equal(crystal.frac_coords, before)


def test_coordinate_just_below_zero_wraps_to_zero():
    crystal = sparse(3.0)._replace(frac_coords=np.array([[-1e-17, 0.0, 0.0]]))
    assert CrystalBatch.from_crystals([crystal]).frac_coords[0, 0] == 0.0


def test_second_shell_of_bcc_iron_is_not_cut():
    # bcc: 8 + 6 neighbours in the first two shells, so 12 cuts the second
    coords = np.array([[0.0, 0, 0], [0.5, 0.5, 0.5]])
    crystal = Crystal(np.array([26, 26], np.int16), np.eye(3) * 2.87, coords)
    _, lists = edge_lists(crystal, GraphConfig(n_neighbors=12))
    assert [len(rows) for rows in lists] == [14, 14]
