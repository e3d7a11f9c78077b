"""Models on features of a potential, here of one that needs no package."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from crystalgnn_core.contracts.network_fixtures import (
    DESCRIPTIONS,
    draw_crystal,
    eight,
    repeated,
    rotated,
)
from crystalgnn_core.contracts.networks import NetworkContract
from crystalgnn_core.errors import ModelError
from crystalgnn_core.graphs.build import build_dataset
from crystalgnn_core.learning.checkpoints import load_bundle
from crystalgnn_core.learning.training import train_model
from crystalgnn_core.models.potential import base
from crystalgnn_core.models.potential.base import Potential
from crystalgnn_core.models.potential.cache import mean_features
from crystalgnn_core.models.potential.config import PotentialConfig
from crystalgnn_core.models.potential.kernel import fit_kernel, predict_kernel
from crystalgnn_core.screening.prediction import predict
from tests.core import worlds

NAME = "shells"


class Shells(Potential):
    """Counts neighbours smoothly, weighed by their atomic number."""

    version = "1"
    width = 4
    elements = tuple(range(1, 95))
    package = "numpy"
    install = "pip install numpy"
    remark = "features come from shells, which have seen nothing"
    n_computed = 0

    def features(self, structures):
        rows = [np.empty((0, 4))]
        for structure in structures:
            type(self).n_computed += 1
            numbers = np.array([site.specie.Z for site in structure], dtype=float)
            own = np.stack([numbers, np.sqrt(numbers), 0 * numbers, 0 * numbers], axis=1)
            center, other, _, far = structure.get_neighbor_list(5.0)
            smooth = np.square(np.cos(np.pi * far / 10.0))
            np.add.at(own[:, 2], center, smooth)
            np.add.at(own[:, 3], center, smooth * numbers[other])
            rows.append(own / [50, 7, 10, 500])
        return np.concatenate(rows)


@pytest.fixture(autouse=True)
def shells(monkeypatch, tmp_path):
    """Register it as an installed package would, with an empty cache."""
    entries = [SimpleNamespace(name=NAME, value="shells:Shells", load=lambda: Shells)]

    def find(*, group, name=NAME):
        return entries if (group, name) == (base.GROUP, NAME) else []

    monkeypatch.setenv("CRYSTALGNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(base, "entry_points", find)
    base.find_potential.cache_clear()
    yield
    base.find_potential.cache_clear()


@pytest.fixture
def config():
    return PotentialConfig(potential=NAME)


def batch_of(crystals):
    dataset, refused = build_dataset(crystals, PotentialConfig().default_graph())
    assert not refused
    return dataset.batch(np.arange(len(crystals)))


class TestPotential(NetworkContract):
    """What every network must do; its potential is registered before each test."""

    @property
    def config(self):  # type: ignore[override]  # the fake is registered before each test
        return PotentialConfig(potential=NAME)

    descriptions = (rotated, repeated)  # all of them below

    def test_prediction_depends_on_elements_and_on_the_geometry_that_it_sees(self):
        crystal = draw_crystal(np.random.default_rng(3))
        numbers = np.where(crystal.atomic_numbers > 40, 3, 80).astype(np.int16)
        strained = crystal._replace(lattice=crystal.lattice * 1.02)
        other = crystal._replace(atomic_numbers=numbers)
        values = self.predict([crystal, strained, other])
        assert np.abs(values[1:] - values[0]).max(axis=1).min() > 1e-5

    def test_eight_crystals_are_learned_by_heart(self):
        pytest.skip("its penalty is chosen by left-out rows, of which eight say nothing")


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), change=st.sampled_from(DESCRIPTIONS))
def test_features_do_not_depend_on_the_description(seed, change):
    crystal = draw_crystal(np.random.default_rng(seed))
    other = change(crystal, np.random.default_rng(seed + 1))
    first, second = mean_features(batch_of([crystal, other]), NAME)
    assert_allclose(second, first, 1e-4, 1e-5)


def test_features_are_computed_once_and_again_where_the_cache_is_damaged(tmp_path):
    batch, before = batch_of([*eight(), eight()[0]]), Shells.n_computed
    first = mean_features(batch, NAME)
    assert Shells.n_computed - before == 9
    assert_array_equal(mean_features(batch, NAME), first)
    assert Shells.n_computed - before == 9
    (stored,) = (tmp_path / "cache" / "potentials" / "shells-1").glob("*.npz")
    stored.write_bytes(stored.read_bytes()[:100])
    assert_array_equal(mean_features(batch, NAME), first)
    assert Shells.n_computed - before == 18


def test_an_interrupted_run_keeps_what_was_computed(monkeypatch):
    monkeypatch.setattr("crystalgnn_core.models.potential.cache.CHUNK", 3)
    before, made = Shells.n_computed, Shells.features

    def stop(self, structures):
        if Shells.n_computed - before >= 6:
            raise KeyboardInterrupt
        return made(self, structures)

    with monkeypatch.context() as patch:
        patch.setattr(Shells, "features", stop)
        with pytest.raises(KeyboardInterrupt):
            mean_features(batch_of(eight()), NAME)
    mean_features(batch_of(eight()), NAME)
    assert Shells.n_computed - before == 8


def test_a_missing_package_is_named_with_what_installs_it(config, monkeypatch):
    monkeypatch.setattr(Shells, "package", "no_such_package")
    with pytest.raises(ModelError, match=r"no_such_package.*; run: pip install numpy"):
        config.build(1)
    with pytest.raises(ValueError, match="no_such_package"):
        config.check_graph(config.default_graph())


def test_an_unknown_potential_is_refused_by_name():
    with pytest.raises(ValueError, match=r"potential 'chgnt'; choose from chgnet, shells"):
        PotentialConfig(potential="chgnt")


def test_the_kernel_learns_a_value_and_a_class_from_rows_with_labels():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(400, 3))
    labels = np.stack([np.sin(rows[:, 0]) + rows[:, 1], rows[:, 0] > 0.3], axis=1)
    labels[::7, 0] = np.nan
    train, test = slice(0, 300), slice(300, 400)
    options: dict[str, Any] = {"classes": (False, True), "seed": 0}
    kernel = fit_kernel(rows[train], labels[train], max_centers=1000, **options)
    found = predict_kernel(rows[test], kernel)
    assert np.nanmean(np.abs(found[:, 0] - labels[test, 0])) < 0.05
    assert ((found[:, 1] > 0) == (labels[test, 1] > 0.5)).mean() > 0.9
    few = fit_kernel(rows[train], labels[train], max_centers=60, **options)
    assert few.weight.shape == (2, 60)
    found = predict_kernel(rows[test], few)
    assert np.nanmean(np.abs(found[:, 0] - labels[test, 0])) < 0.15


def test_labels_that_are_all_alike_are_predicted_as_such():
    rows = np.random.default_rng(0).normal(size=(20, 3))
    labels = np.tile([2.0, 1.0, 0.0], (20, 1))
    options: dict[str, Any] = {
        "classes": (False, True, True),
        "max_centers": 9,
        "seed": 0,
    }
    found = predict_kernel(rows + 1, fit_kernel(rows, labels, **options))
    assert_allclose(found, np.tile([2.0, 40.0, -40.0], (20, 1)))


def test_a_damaged_bundle_is_refused(config):
    model = config.build(1)
    model.fit(batch_of(eight()), np.linspace(-1, 1, 8)[:, None])
    for name, change in (
        ("centers", lambda one: one[:, :-1]),
        ("weight", lambda one: one.float()),
        ("length", lambda one: one.repeat(2)),
    ):
        state = model.state_dict()
        state[name] = change(state[name])
        with pytest.raises(RuntimeError, match="array"):
            config.build(1).load_state_dict(state)


def test_training_is_finished_like_any_other(built_store, tmp_path, config):
    store = worlds.copy(built_store, tmp_path / "store")
    graph = config.default_graph()
    worlds.build_graphs(store, graph)
    made = train_model(store, config, worlds.TRAINING, graph)
    assert made.model_id.startswith("potential-")
    assert made.card.remarks[0] == Shells.remark
    rows = pd.read_parquet(f"{made.folder}/test_predictions.parquet")
    for name in worlds.TRAINING.targets:
        error = (rows[name] - rows[f"{name}_true"]).abs().mean()
        assert made.card.metrics["test"][name].mae == pytest.approx(error)
    again = train_model(store, config, worlds.TRAINING, graph)
    assert not again.was_trained
    _, card = load_bundle(store / "models" / made.model_id)
    assert card == made.card
    table = predict(dict(enumerate(eight())), made.folder)
    known = table[table["status"] == "ok"]
    assert np.isfinite(known[list(worlds.TRAINING.targets)]).all(axis=None)
    assert set(table["status"]) <= {"ok", "unseen_element", "overlapping_atoms"}
