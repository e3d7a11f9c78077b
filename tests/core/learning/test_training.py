import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from filelock import FileLock

from crystalgnn_core.errors import ConfigError, TransientError
from crystalgnn_core.graphs.config import GraphConfig
from crystalgnn_core.graphs.shards import graph_folder
from crystalgnn_core.learning import members as module
from crystalgnn_core.learning.cards import read_card
from crystalgnn_core.learning.checkpoints import load_bundle
from crystalgnn_core.learning.training import name_model, train_model
from crystalgnn_core.maintenance.compaction import compact_store
from crystalgnn_core.maintenance.integrity import check_store
from crystalgnn_core.models.schnet.config import SchNetConfig
from crystalgnn_core.records.table.store import RecordStore
from tests.core.worlds import (
    GRAPH,
    MODEL,
    SOURCE,
    TRAINING,
    build_graphs,
    copy,
    ingest,
    train,
)


@pytest.fixture
def no_training(monkeypatch):
    def fail(*args, **kwargs):
        raise AssertionError("trained")

    monkeypatch.setattr(module, "fit", fail)


def test_a_network_of_element_properties_is_trained(built_store, tmp_path):
    store = copy(built_store, tmp_path / "store")
    model = MODEL.model_copy(
        update={
            "node_features": ("electronegativity", "ionic_radius", "oxidation_state"),
            "readout": "set2set",
            "query_width": 4,
        }
    )
    training = TRAINING.model_copy(update={"epochs": 1})
    trained = train_model(store, model, training, GRAPH)
    assert trained.card.model == model
    assert name_model(MODEL, training, GRAPH, "0") != name_model(
        model, training, GRAPH, "0"
    )
    network, _ = load_bundle(Path(trained.folder))
    assert network.get_parameter("embedding.weight").shape == (8, 6)


def test_the_name_depends_on_settings_and_data_but_not_on_the_device():
    name = name_model(MODEL, TRAINING, GRAPH, "data")
    others = {
        name_model(MODEL.model_copy(update={"atom_width": 9}), TRAINING, GRAPH, "data"),
        name_model(MODEL, TRAINING.model_copy(update={"seed": 1}), GRAPH, "data"),
        name_model(MODEL, TRAINING, GraphConfig(), "data"),
        name_model(MODEL, TRAINING, GRAPH, "more data"),
    }
    assert len(others | {name}) == 5
    cuda = TRAINING.model_copy(update={"device": "cuda"})
    assert name_model(MODEL, cuda, GRAPH, "data") == name


@pytest.mark.usefixtures("no_training")
def test_an_equal_second_call_does_not_train(store, trained):
    again = train(store)
    assert not again.was_trained
    assert again.card == trained.card
    assert again.epochs == trained.epochs == TRAINING.epochs


def test_the_card_tells_test_errors_and_those_of_the_baseline(trained):
    card = trained.card
    rows = pd.read_parquet(Path(trained.folder) / "test_predictions.parquet")
    assert len(rows) == card.data.n_rows["test"]
    for name in TRAINING.targets:
        error = (rows[name] - rows[f"{name}_true"]).abs().mean()
        assert card.metrics["test"][name].mae == pytest.approx(error)
        assert card.baseline[name].n == len(rows)
        assert card.baseline[name].mae > 0
    assert set(card.metrics) == {"val", "test"}
    history = pd.read_parquet(Path(trained.folder) / "history.parquet")
    assert card.epoch == history.set_index("epoch")["val_error"].idxmin()


def test_the_card_counts_elements_and_ranges_of_the_training_rows(trained, trained_store):
    rows = RecordStore(trained_store).read(
        ["synthetic"], ["chemsys", "atomic_numbers", "band_gap"]
    )
    frame = rows.to_pandas()
    tested = pd.read_parquet(Path(trained.folder) / "test_predictions.parquet")
    card = trained.card
    assert set(card.element_counts) == set(card.elements)
    oxygen = frame["chemsys"].str.split("-").apply(lambda names: "O" in names)
    is_tested = frame["material_id"].isin(tested["material_id"])
    # training has no more oxygen rows than all rows but those of the test
    assert 0 < card.element_counts[8] <= (oxygen & ~is_tested).sum()
    low, high = card.label_range["band_gap"]
    assert frame["band_gap"].min() <= low < high <= frame["band_gap"].max()


def test_more_data_makes_another_model_with_the_old_rows_in_their_splits(store, trained):
    ingest(
        store, SOURCE.model_copy(update={"name": "more", "batch": 1, "n_structures": 20})
    )
    build_graphs(store)
    challenger = train(store, sources=("synthetic", "more"))
    assert challenger.model_id != trained.model_id
    assert challenger.card.data.n_rows["train"] > trained.card.data.n_rows["train"]
    old, new = (
        set(pd.read_parquet(Path(m.folder) / "test_predictions.parquet")["material_id"])
        for m in (trained, challenger)
    )
    assert old <= new


@pytest.mark.usefixtures("no_training")
def test_settings_that_do_not_concern_training_keep_the_model(store):
    ingest(store, SOURCE.model_copy(update={"name": "more", "batch": 1, "n_structures": 5}))
    assert not train(store).was_trained


@pytest.mark.parametrize(
    "name",
    ["model.safetensors", "card.json", "test_predictions.parquet", "history.parquet"],
)
def test_a_damaged_model_is_finished_again_from_its_checkpoints(
    store, trained, model, monkeypatch, name
):
    def train_no_epoch(*args, **kwargs):
        raise AssertionError("trained an epoch")

    monkeypatch.setattr("crystalgnn_core.learning.fitting.train_epoch", train_no_epoch)
    content = (model / name).read_bytes()
    (model / name).write_bytes(content[:-1] + b"?")
    again = train(store)
    assert again.was_trained
    assert read_card(model) == again.card
    assert again.card.metrics == trained.card.metrics
    before, after = (load_bundle(Path(m.folder))[0] for m in (trained, again))
    for key, value in before.state_dict().items():
        assert np.array_equal(value, after.state_dict()[key])


def test_a_kill_before_the_final_card_costs_no_epoch(store, model, trained):
    (model / "card.json").unlink()
    pointers = model / "checkpoints" / "pointers.json"
    before = pointers.read_bytes()
    assert train(store).card.metrics == trained.card.metrics
    assert pointers.read_bytes() == before
    assert json.loads(before)["epoch"] == TRAINING.epochs


def test_two_processes_do_not_train_the_same_model(store, model):
    (model / "card.json").unlink()
    with (
        FileLock(model / ".training.lock"),
        pytest.raises(TransientError, match="trained by another process"),
    ):
        train(store)


@pytest.mark.parametrize("changes", [{}, {"max_edges": 400, "bucket_size": 50}])
def test_graphs_that_are_mapped_or_read_in_windows_give_the_same_model(
    built_store, tmp_path, changes
):
    ways: dict[str, dict[str, object]] = {
        "memory": {"loading": "memory"},
        "mapped": {"loading": "mapped"},
        "windows": {"memory_gib": 1e-4},
    }
    made = [
        train(copy(built_store, tmp_path / way), **setting, **changes)
        for way, setting in ways.items()
    ]
    assert len({one.card.model_id for one in made}) == 1
    first, *others = (load_bundle(Path(model.folder))[0].state_dict() for model in made)
    for other in others:
        assert all(torch.equal(first[name], other[name]) for name in first)
    folder = graph_folder(tmp_path / "mapped", GRAPH)
    assert [path.name for path in folder.glob("mapped/*/neighbor.bin")]
    assert [one.damages for one in check_store(tmp_path / "mapped") if one.damages] == []
    list(compact_store(tmp_path / "mapped", shard_size=1000))
    assert not (folder / "mapped").exists()


def test_a_network_that_contradicts_its_graphs_is_not_trained(built_store, tmp_path):
    store = copy(built_store, tmp_path / "store")
    with pytest.raises(ConfigError, match=r"graph.cutoff 5 is below model.cutoff 6"):
        train_model(store, SchNetConfig(cutoff=6.0), TRAINING, GRAPH)
