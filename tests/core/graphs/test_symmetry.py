"""Symmetric edges against a union of the directed ones made with plain Python sets."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crystalgnn_core.graphs._symmetry import Edges, symmetrize_batch
from crystalgnn_core.graphs.batches import GraphDataset
from crystalgnn_core.graphs.config import GraphConfig
from crystalgnn_core.graphs.crystals import CrystalBatch
from crystalgnn_core.graphs.neighbors import (
    ISOLATED,
    OK,
    TOO_FEW,
    TOO_LARGE,
    find_neighbors,
)
from crystalgnn_core.graphs.shards import graph_table
from crystalgnn_core.records.crystal import Crystal
from tests.core.graphs.cells import crystals

EXAMPLES = settings(max_examples=25, deadline=None)
CELLS = crystals(sizes=(1, 2, 3, 5, 8, 13, 30, 60))
CONFIGS = st.builds(
    GraphConfig,
    strategy=st.sampled_from(["knn", "knn_shell", "radius"]),
    n_neighbors=st.integers(1, 14),
    cutoff=st.floats(2, 6),
    shell_tolerance=st.sampled_from([0.0, 0.01, 0.3]),
    too_few=st.sampled_from(["enlarge", "keep"]),
)


def search(cells, config, *, symmetric):
    batch = CrystalBatch.from_crystals(cells)
    return batch, find_neighbors(batch, config.model_copy(update={"symmetric": symmetric}))


def edges(found):
    """Return (centre, neighbour, image) in the order of the edges; one crystal only."""
    centers = np.repeat(np.arange(len(found.degree)), found.degree)
    images = map(tuple, found.cell_offset.tolist())
    return list(zip(centers.tolist(), found.neighbor.tolist(), images, strict=True))


def reverse(edge):
    center, neighbor, image = edge
    return neighbor, center, tuple(-step for step in image)


def lengths(batch, rows):
    frac, lattice = batch.frac_coords, batch.lattices[0]
    steps = np.array([frac[j] + image - frac[i] for i, j, image in rows]).reshape(-1, 3)
    return np.linalg.norm(steps @ lattice, axis=1)


@EXAMPLES
@given(CELLS, CONFIGS)
def test_edges_are_the_union_of_the_directed_ones_and_their_reversals(cell, config):
    _, directed = search([cell], config, symmetric=False)
    batch, found = search([cell], config, symmetric=True)
    chosen = set(edges(directed))
    rows = edges(found)
    assert len(rows) == len(set(rows))
    assert set(rows) == chosen | {reverse(edge) for edge in chosen}
    assert found.status.tolist() == directed.status.tolist()
    assert found.cutoff.tolist() == directed.cutoff.tolist()
    # grouped by centre, then by distance; the search compares squares in double precision
    length = lengths(batch, rows)
    center = np.array([row[0] for row in rows], dtype=int)
    same = np.diff(center) == 0
    assert (np.diff(center) >= 0).all()
    assert (np.diff(length)[same] > -1e-12).all()


@EXAMPLES
@given(CELLS, CONFIGS)
def test_every_edge_has_its_reversal_exactly_once(cell, config):
    rows = edges(search([cell], config, symmetric=True)[1])
    assert sorted(rows) == sorted(reverse(edge) for edge in rows)


@EXAMPLES
@given(CELLS, st.floats(2, 6), st.sampled_from(["enlarge", "keep"]))
def test_radius_graph_is_unchanged(cell, cutoff, too_few):
    config = GraphConfig(strategy="radius", cutoff=cutoff, too_few=too_few)
    _, directed = search([cell], config, symmetric=False)
    _, found = search([cell], config, symmetric=True)
    for name, values in directed._asdict().items():
        assert np.array_equal(values, getattr(found, name)), name


def cubic(edge, n_atoms=1):
    coords = np.linspace(0, 0.5, n_atoms)[:, None] * np.ones(3)
    return Crystal(np.full(n_atoms, 11, np.int16), np.eye(3) * edge, coords)


def test_ties_are_broken_by_index_then_image():
    _, found = search([cubic(4.0, 2)], GraphConfig(n_neighbors=8), symmetric=True)
    rows = edges(found)
    assert len(rows) == 16  # the first shell of body-centred cubic, twice
    assert rows == sorted(rows)


def test_self_image_is_joined_by_its_opposite():
    # the nearest single neighbour of an atom in a chain is one of two equal images
    config = GraphConfig(strategy="knn", n_neighbors=1)
    chain = Crystal(np.array([6], np.int16), np.diag([2.0, 9, 9]), np.zeros((1, 3)))
    assert edges(search([chain], config, symmetric=False)[1]) == [(0, 0, (-1, 0, 0))]
    assert edges(search([chain], config, symmetric=True)[1]) == [
        (0, 0, (-1, 0, 0)),
        (0, 0, (1, 0, 0)),
    ]


@EXAMPLES
@given(CELLS, st.integers(1, 14), st.booleans())
def test_knn_alignn_doubles_bonds_to_own_images_alone(cell, k, symmetric):
    settings = {"n_neighbors": k, "too_few": "keep"}
    once = edges(search([cell], GraphConfig(**settings), symmetric=True)[1])
    config = GraphConfig(strategy="knn_alignn", **settings)
    twice = edges(search([cell], config, symmetric=symmetric)[1])
    own = [row for row in once if row[0] == row[1]]
    assert sorted(twice) == sorted([*once, *own])


def test_atom_that_others_select_gains_edges():
    # a dimer and a distant atom: the dimer does not select it, but it selects the dimer
    coords = np.array([[0.0, 0, 0], [0.1, 0, 0], [0.45, 0, 0]])
    crystal = Crystal(np.full(3, 6, np.int16), np.eye(3) * 10, coords)
    config = GraphConfig(strategy="knn", n_neighbors=1)
    assert search([crystal], config, symmetric=False)[1].degree.tolist() == [1, 1, 1]
    found = search([crystal], config, symmetric=True)[1]
    assert edges(found) == [
        (0, 1, (0, 0, 0)),
        (1, 0, (0, 0, 0)),
        (1, 2, (0, 0, 0)),
        (2, 1, (0, 0, 0)),
    ]


@pytest.mark.parametrize(
    ("edge", "policy", "status", "degree"),
    [
        (13.0, "enlarge", ISOLATED, 0),
        (9.0, "enlarge", OK, 18),
        (9.0, "reject", ISOLATED, 0),
        (9.0, "keep", OK, 0),
        (7.0, "reject", TOO_FEW, 0),
        (7.0, "keep", OK, 6),
    ],
)
def test_policy_judges_what_an_atom_selects_itself(edge, policy, status, degree):
    config = GraphConfig(too_few=policy, max_cutoff=12.8)
    found = search([cubic(edge)], config, symmetric=True)[1]
    assert (found.status.tolist(), found.degree.tolist()) == ([status], [degree])
    assert len(found.neighbor) == degree


def test_crystals_of_a_batch_do_not_touch():
    cells = [cubic(4.0), cubic(40.0), cubic(5.0, 3), cubic(41.0, 2), cubic(3.0, 2)]
    _, together = search(cells, GraphConfig(n_neighbors=3), symmetric=True)
    assert together.status.tolist() == [OK, ISOLATED, OK, ISOLATED, OK]
    alone = [
        search([cell], GraphConfig(n_neighbors=3), symmetric=True)[1] for cell in cells
    ]
    for name in ("degree", "neighbor", "cell_offset", "cutoff"):
        parts = np.concatenate([getattr(part, name) for part in alone])
        assert np.array_equal(getattr(together, name), parts), name


def test_union_that_is_too_large_to_store_is_refused():
    # two atoms each select a third at 35^3 images, so that the third has 85,750 edges
    steps = np.stack(np.meshgrid(*[np.arange(-17, 18)] * 3, indexing="ij"), axis=-1)
    images = np.tile(steps.reshape(-1, 3), (2, 1)).astype(np.int8)
    n_images = len(images) // 2
    small = np.array([[0, 0, 1]], np.int8)  # the crystal that follows, of one atom
    chosen = Edges(
        np.array([0, n_images, n_images, 1], np.int32),
        np.zeros(2 * n_images + 1, np.int32),
        np.concatenate([images, small]),
    )
    coords = np.array([[0.0, 0, 0], [0.3, 0, 0], [0.6, 0, 0], [0, 0, 0]])
    outcome = (np.full(2, OK, np.int8), np.zeros(2, np.int32))
    cells = np.tile(np.eye(3) * 3, (2, 1, 1))
    united, status, atom = symmetrize_batch(
        cells, coords, np.array([0, 3, 4]), chosen, outcome
    )
    assert (status.tolist(), atom.tolist()) == ([TOO_LARGE, OK], [0, 0])
    assert united.degree.tolist() == [0, 0, 0, 2]
    assert united.offset.tolist() == [[0, 0, -1], [0, 0, 1]]
    assert outcome[0].tolist() == [OK, OK]


def test_large_indices_survive():
    generator = np.random.default_rng(5)
    crystal = Crystal(np.full(700, 6, np.int16), np.eye(3) * 22, generator.random((700, 3)))
    rows = edges(search([crystal], GraphConfig(n_neighbors=4), symmetric=True)[1])
    chosen = edges(search([crystal], GraphConfig(n_neighbors=4), symmetric=False)[1])
    assert set(rows) == {*chosen, *map(reverse, chosen)}


def test_stored_graph_has_vectors_in_pairs_of_opposites():
    cells = [cubic(4.0, 2), cubic(5.0, 3)]
    config = GraphConfig(strategy="knn", n_neighbors=5, symmetric=True)
    batch, found = search(cells, config, symmetric=True)
    stored = GraphDataset.from_table(graph_table(["a", "b"], batch, found, config))
    vectors = stored.batch(np.arange(2)).edge_vector.numpy()
    # single precision of vectors of a few angstrom
    ahead = np.round(vectors.astype(float), 4) + 0.0
    assert sorted(map(tuple, ahead)) == sorted(map(tuple, -ahead + 0.0))


def test_option_is_part_of_the_digest():
    plain, symmetric = GraphConfig(), GraphConfig(symmetric=True)
    assert plain.settings_digest() != symmetric.settings_digest()
