"""The models that see the composition alone."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from sklearn.ensemble import HistGradientBoostingRegressor
from torch_geometric.data import Batch

from crystalgnn_core.graphs.build import build_dataset
from crystalgnn_core.graphs.config import GraphConfig
from crystalgnn_core.models.composition.config import (
    CompositionGNNConfig,
    CompositionMLPConfig,
    CompositionTreesConfig,
)
from crystalgnn_core.models.composition.features import batch_features, composition_features
from crystalgnn_core.models.composition.inputs import inputs_of
from crystalgnn_core.records.crystal import Crystal

NONE = GraphConfig(strategy="none")


def make_batch(seed, n):
    """Make crystals of elements that have all properties and of some that lack several."""
    generator = np.random.default_rng(seed)
    crystals = []
    for _ in range(n):
        size = int(generator.integers(1, 9))
        numbers = generator.choice([2, 3, 8, 11, 18, 26, 54, 86, 92, 100], size)
        coords = generator.random((size, 3))
        crystals.append(Crystal(numbers.astype(np.int16), np.eye(3) * 5, coords))
    dataset, refused = build_dataset(crystals, NONE)
    assert not refused
    return dataset.batch(np.arange(n)), [crystal.atomic_numbers for crystal in crystals]


def make_labels(numbers):
    labels = np.array([[row.mean(), row.max() % 7] for row in numbers]) / 30
    labels[::3, 1] = np.nan
    return labels


def test_trees_are_those_of_scikit_learn_on_the_labelled_rows():
    batch, numbers = make_batch(0, 300)
    labels = make_labels(numbers)
    trees = CompositionTreesConfig(n_trees=50).build(2).fit(batch, labels, seed=3)
    other, _ = make_batch(1, 200)
    rows = [batch_features(b.atomic_numbers.numpy(), b.ptr.numpy()) for b in (batch, other)]
    assert np.isnan(rows[1]).any()
    for column in range(2):
        known = np.isfinite(labels[:, column])
        expected = HistGradientBoostingRegressor(
            max_iter=50, early_stopping=False, random_state=3
        ).fit(rows[0][known], labels[known, column])
        found = trees(other)[:, column].numpy()
        # single precision, values up to 3
        assert found == pytest.approx(expected.predict(rows[1]), abs=1e-6)


def test_settings_of_the_trees_are_obeyed():
    batch, numbers = make_batch(0, 300)
    labels = make_labels(numbers)[:, :1]
    settings = {"n_trees": 7, "max_leaves": 4, "learning_rate": 0.5, "min_leaf_rows": 60}
    trees = CompositionTreesConfig(**settings).build(1).fit(batch, labels)
    state = trees.state_dict()
    assert len(state["root"]) == 7
    assert int((state["left"] == 0).sum()) <= 7 * 4
    assert len(state["feature"]) > 7
    smoothed = CompositionTreesConfig(**settings, l2_regularization=1e6).build(1)
    assert float(smoothed.fit(batch, labels)(batch).std()) < float(trees(batch).std()) / 2


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda state: state["left"].add_(10**6), "does not stand behind"),
        (lambda state: state.update(threshold=state["threshold"].float()), "threshold"),
        (lambda state: state.update(start=torch.zeros(3, dtype=torch.float64)), "targets"),
        (lambda state: state.pop("value"), "value"),
    ],
)
def test_trees_that_cannot_be_evaluated_are_refused(change, problem):
    batch, numbers = make_batch(0, 100)
    config = CompositionTreesConfig(n_trees=5)
    state = config.build(2).fit(batch, make_labels(numbers)).state_dict()
    config.build(2).load_state_dict(state)
    change(state)
    with pytest.raises(RuntimeError, match=problem):
        config.build(2).load_state_dict(state)


def test_a_supercell_changes_no_bit():
    # thirds are no binary fractions, so that sums over a supercell round differently
    once = np.array([11, 11, 8, 26, 17, 17, 17], np.int16)
    thrice = np.tile(once, 3)[::-1]
    joined = np.concatenate([once, thrice]).astype(np.int64)
    rows = batch_features(joined, np.array([0, 7, 28]))
    assert np.array_equal(rows[0], rows[1])
    assert rows[0] == pytest.approx(composition_features([once])[0], rel=1e-12)


def test_numbers_that_are_no_elements_are_refused():
    for number in (0, 119, -1):
        with pytest.raises(ValueError, match="those of elements are 1 to 118"):
            batch_features(np.array([11, number]), np.array([0, 2]))


def test_unknown_properties_are_inputs_of_the_perceptron():
    # argon has no electronegativity
    batch = Batch(atomic_numbers=torch.tensor([18, 11, 17]), ptr=torch.tensor([0, 1, 3]))
    noble, salt = inputs_of(batch, with_fractions=False).numpy()
    assert np.isfinite(noble).all()
    assert noble[-10:].sum() >= 1
    assert salt[-10:].sum() == 0
    assert np.abs([noble, salt]).max() < 10  # standard scores among the elements


def test_fractions_are_inputs_of_the_perceptron_unless_told_otherwise():
    numbers = torch.tensor([11, 17, 8, 26, 8, 26, 8])
    inputs = inputs_of(Batch(atomic_numbers=numbers, ptr=torch.tensor([0, 2, 7]))).numpy()
    fractions = inputs[:, 60:] / 10
    assert fractions.sum(axis=1) == pytest.approx([1.0, 1.0])
    assert fractions[0, [11, 17]].tolist() == [0.5, 0.5]
    assert fractions[1, [8, 26]] == pytest.approx([0.6, 0.4])


def test_perceptron_gives_each_crystal_the_same_bits_in_any_batch():
    network = CompositionMLPConfig().build(2).eval()
    batch, numbers = make_batch(4, 100)
    with torch.no_grad():
        together = network(batch)
        for index in range(0, 100, 9):
            pointer = torch.tensor([0, len(numbers[index])])
            batch.atomic_numbers = torch.from_numpy(numbers[index].astype(np.int64))
            batch.ptr = pointer
            assert torch.equal(network(batch)[0], together[index])


def test_settings_of_the_perceptron_are_obeyed():
    network = CompositionMLPConfig(widths=(7, 5, 3), with_fractions=False).build(2)
    shapes = [tuple(v.shape) for v in network.state_dict().values() if v.dim() == 2]
    assert shapes == [(7, 60), (5, 7), (3, 5), (2, 3)]
    more = CompositionMLPConfig(widths=(7,)).build(1).state_dict()
    assert more["layers.0.weight"].shape == (7, 60 + 119)
    with pytest.raises(ValueError, match="at least 1 item"):
        CompositionMLPConfig(widths=())


def test_threads_share_a_network():
    """Predictions of a screen are made by several threads with one network."""
    network = CompositionGNNConfig(element_width=16, hidden_width=16).build(2).eval()
    batch, _ = make_batch(2, 50)
    with torch.no_grad(), ThreadPoolExecutor(4) as pool:
        expected = network(batch)
        found = list(pool.map(network, [batch] * 100))
    assert all(torch.equal(one, expected) for one in found)
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
