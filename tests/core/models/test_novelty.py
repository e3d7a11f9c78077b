"""How unlike training rows a row is: on crystals whose order is known."""

from pathlib import Path

import numpy as np
import pytest
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from crystalgnn_core.graphs.build import build_dataset
from crystalgnn_core.learning.cards import read_card
from crystalgnn_core.learning.checkpoints import load_bundle, write_bundle
from crystalgnn_core.models.novelty import Novelty
from crystalgnn_core.records.crystal import crystal_from_structure, structure_from_crystal
from crystalgnn_core.screening.prediction import predict
from tests.core.worlds import GRAPH, SOURCE

CRYSTALS = [SOURCE.crystal(index) for index in range(60)]


def graphs(crystals):
    dataset, errors = build_dataset(crystals, GRAPH)
    assert not errors
    return dataset


@pytest.fixture(scope="module")
def dataset():
    return graphs(CRYSTALS)


@pytest.fixture(scope="module")
def novelty(dataset):
    return Novelty.fit(dataset, np.arange(40), np.arange(40, 60))


def scaled(crystal, factor):
    structure = structure_from_crystal(crystal)
    structure.scale_lattice(structure.volume * factor)
    return crystal_from_structure(structure)


def test_validation_rows_are_at_most_1_but_for_one_in_twenty(dataset, novelty):
    scores = novelty.scores(dataset, np.arange(40, 60))
    assert (scores > 1).sum() == 1  # of 20
    assert np.quantile(scores, 0.95) == pytest.approx(1)


def test_rows_learned_from_are_nearer_than_others(dataset, novelty):
    scores = novelty.scores(dataset)
    assert np.median(scores[:40]) < np.median(scores[40:])


def test_another_volume_and_another_chemistry_are_farther_away(novelty):
    crystal = CRYSTALS[3]
    near, wide, dense = novelty.scores(
        graphs([crystal, scaled(crystal, 2.0), scaled(crystal, 0.5)])
    )
    assert wide > 1.2 * near
    assert dense > 1.2 * near
    alloy = Structure.from_spacegroup("Im-3m", Lattice.cubic(3.17), ["W"], [[0, 0, 0]])
    [far] = novelty.scores(graphs([crystal_from_structure(alloy)]))
    assert far > 1


def test_a_score_is_that_of_the_crystal_alone_whatever_its_cell_or_place(dataset, novelty):
    whole = novelty.scores(dataset)
    some = np.array([5, 59, 5, 0])
    assert novelty.scores(dataset, some) == pytest.approx(whole[some], abs=1e-12)
    double = [structure_from_crystal(one) * (2, 1, 1) for one in CRYSTALS[:8]]
    larger = novelty.scores(graphs([crystal_from_structure(one) for one in double]))
    assert larger == pytest.approx(whole[:8], abs=1e-6)  # lattices are rounded


def test_few_and_equal_rows_have_finite_scores(dataset):
    one = Novelty.fit(dataset, np.array([0]), np.array([0]))
    assert one.scores(dataset, np.array([0])) == pytest.approx([0])
    assert np.isfinite(one.scores(dataset)).all()


def test_a_bundle_keeps_them_and_one_from_before_has_no_column(trained, tmp_path):
    network, card = load_bundle(Path(trained.folder))
    assert network.novelty is not None
    assert card.novelty_rows == len(network.novelty.rows) > 0
    assert card.column_names[-1] == "novelty"
    old = card.model_copy(update={"novelty_rows": 0})
    write_bundle(tmp_path, network, old)
    again, read = load_bundle(tmp_path)
    assert again.novelty is None
    some = [structure_from_crystal(one) for one in CRYSTALS[:4]]
    assert "novelty" not in predict(some, tmp_path)
    table = predict(some, trained.folder)
    assert list(table)[-3] == "novelty"
    is_ok = table["status"] == "ok"
    assert (np.isfinite(table["novelty"]) == is_ok).all()
    assert set(table["status"]) == {"ok", "unseen_element"}  # of which nothing is said
    assert read_card(tmp_path).predictions_digest == read.weights_sha256
    assert read.weights_sha256 != card.weights_sha256
