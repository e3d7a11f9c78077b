"""Models of the composition, trained, kept and used like any other."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crystalgnn_core.learning import training as module
from crystalgnn_core.learning.checkpoints import load_bundle
from crystalgnn_core.learning.evaluation import evaluate_model
from crystalgnn_core.learning.training import train_model
from crystalgnn_core.models.composition.config import (
    CompositionMLPConfig,
    CompositionTreesConfig,
)
from crystalgnn_core.records.crystal import Crystal
from crystalgnn_core.reporting.history import plot_history
from crystalgnn_core.screening.prediction import predict
from tests.core import worlds

TREES = CompositionTreesConfig(n_trees=30, min_leaf_rows=3)
PERCEPTRON = CompositionMLPConfig(widths=(16,))
NONE = TREES.default_graph()


@pytest.fixture(scope="module", params=[TREES, PERCEPTRON], ids=lambda config: config.kind)
def made(request, built_store, tmp_path_factory):
    store = worlds.copy(built_store, tmp_path_factory.mktemp("made") / "store")
    worlds.build_graphs(store, NONE)
    return store, train_model(store, request.param, worlds.TRAINING, NONE)


def test_the_bundle_is_finished_like_any_other(made):
    _, model = made
    card = model.card
    assert model.model_id.startswith(f"{card.model.kind}-")
    assert set(card.metrics) == {"val", "test"}
    rows = pd.read_parquet(Path(model.folder) / "test_predictions.parquet")
    for name in worlds.TRAINING.targets:
        error = (rows[name] - rows[f"{name}_true"]).abs().mean()
        assert card.metrics["test"][name].mae == pytest.approx(error)
        assert card.metrics["test"][name].mae < 2 * card.metrics["test"][name].mad
        assert card.baseline[name].n == card.metrics["test"][name].n
    history = pd.read_parquet(Path(model.folder) / "history.parquet")
    assert len(history) == model.epochs
    assert np.isfinite(history["train_loss"]).all()
    assert plot_history(Path(model.folder), model.model_id).is_file()
    names = {path.name for path in Path(model.folder).iterdir()}
    assert not any(name.endswith((".pkl", ".pickle", ".joblib")) for name in names)


def test_an_equal_second_call_finds_it(made, monkeypatch):
    store, model = made

    def fail(*args, **kwargs):
        raise AssertionError("trained")

    monkeypatch.setattr(module, "_train", fail)
    again = train_model(store, model.card.model, worlds.TRAINING, NONE)
    assert again.card == model.card


def test_errors_of_the_bundle_are_those_of_the_run(made):
    store, model = made
    _, errors = evaluate_model(store, Path(model.folder), "test")
    for name, found in errors.items():
        assert found.mae == pytest.approx(model.card.metrics["test"][name].mae, abs=1e-9)


def test_polymorphs_are_predicted_alike(made):
    _, model = made
    salt = Crystal(np.array([11, 17]), np.eye(3) * 5.6, np.array([[0, 0, 0], [0.5, 0, 0]]))
    other = salt._replace(lattice=np.diag([5.6, 7.0, 14.0]))
    table = predict({"a": salt, "b": other}, model.folder)
    assert table["status"].tolist() == ["ok", "ok"]
    assert table["band_gap"][0] == table["band_gap"][1]
    unknown = Crystal(np.array([94], np.int16), np.eye(3) * 4, np.zeros((1, 3)))
    assert predict(unknown, model.folder)["status"].tolist() == ["unseen_element"]


def test_trees_of_the_default_size_are_the_baseline(built_store, tmp_path):
    store = worlds.copy(built_store, tmp_path / "store")
    worlds.build_graphs(store, NONE)
    model = train_model(store, CompositionTreesConfig(), worlds.TRAINING, NONE)
    network, card = load_bundle(Path(model.folder))
    assert card.epoch == model.epochs == 1
    assert len(network.state_dict()["root"]) == 2 * 400
    for name, errors in card.baseline.items():
        # learned from scaled labels, whose gradients round differently in single precision
        assert card.metrics["test"][name].mae == pytest.approx(errors.mae, rel=0.05)


def test_every_model_stands_beside_the_same_baseline(made, trained):
    _, model = made
    assert model.card.baseline == trained.card.baseline
