"""Fine-tuning starts from what the base model predicts, and says where it comes from."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

from crystalgnn_core.errors import LabelSchemeError, ModelError
from crystalgnn_core.graphs.config import GraphConfig
from crystalgnn_core.learning import finetuning
from crystalgnn_core.learning import members as module
from crystalgnn_core.learning.cards import read_card
from crystalgnn_core.learning.checkpoints import load_bundle, write_bundle
from crystalgnn_core.learning.config import (
    FinetuningConfig,
    OptimizerConfig,
    TrainingConfig,
)
from crystalgnn_core.learning.data import load_training_data
from crystalgnn_core.learning.finetuning import base_graph, finetune_model
from crystalgnn_core.learning.fitting import predict_dataset
from crystalgnn_core.learning.resume import CheckpointFolder
from crystalgnn_core.learning.training import train_model
from crystalgnn_core.models.alignn.config import ALIGNNConfig
from crystalgnn_core.models.cgcnn.config import CGCNNConfig
from crystalgnn_core.models.network import output_layer
from crystalgnn_core.records.schema import record_schema
from crystalgnn_core.records.table.rows import content_digest
from crystalgnn_core.records.table.store import RecordStore
from crystalgnn_core.storage.files import write_text
from tests.core.worlds import (
    GRAPH,
    MODEL,
    SOURCE,
    TRAINING,
    build_graphs,
    in_memory,
    ingest,
)

ENERGY, GAP = TRAINING.targets
GENTLE = FinetuningConfig.model_validate(
    {"epochs": 2, "batch_size": 16, "optimizer": {"learning_rate": 3e-5}}
)
PLAIN = GENTLE.model_copy(update={"recalibrate": False})


class Killed(BaseException):
    """Stands for kill -9: nothing in the package catches it."""


@pytest.fixture
def other(store):
    """Name a second source of labelled crystals, with fewer rows than the first."""
    fresh = SOURCE.model_copy(update={"name": "other", "batch": 1, "n_structures": 60})
    ingest(store, fresh)
    build_graphs(store)
    return TRAINING.model_copy(update={"sources": ("other",)})


@pytest.fixture
def tune(store, model, other):
    def run(training=None, **settings):
        finetuning = GENTLE.model_copy(update=settings)
        return finetune_model(store, model, training or other, finetuning)

    return run


@pytest.fixture
def untouched(monkeypatch):
    """Collect networks and what is learned from right before the first step, then stop."""
    seen = []

    def look(network, data, config, checkpoints, card, **options):
        seen.append((network, data.dataset, card.scaler))
        raise Killed

    monkeypatch.setattr(module, "fit", look)
    return seen


def state(folder):
    return load_bundle(Path(folder))[0].state_dict()


def in_units(store, training):
    return load_training_data(store, training, GRAPH).labels


def with_labels(patch, labels):
    """Let fine-tuning find other labels."""

    def load(*args):
        return load_training_data(*args)._replace(labels=labels)

    patch.setattr(finetuning, "load_training_data", load)


def changed(base, tuned):
    """Name the tensors that fine-tuning changed."""
    before, after = state(base), state(tuned.folder)
    return {name for name in before if not torch.equal(before[name], after[name])}


def test_duration_and_optimiser_are_those_of_finetuning():
    long = TRAINING.model_copy(update={"epochs": 99, "optimizer": OptimizerConfig()})
    settings = FinetuningConfig.model_validate(
        {"epochs": 7, "optimizer": {"kind": "sgd"}}
    ).applied_to(long, 100)
    assert (settings.epochs, settings.sources) == (7, TRAINING.sources)
    # naming the kind alone does not bring back the rate of fresh weights
    assert settings.optimizer.kind == "sgd"
    assert settings.optimizer.learning_rate < long.optimizer.learning_rate
    assert type(settings.optimizer) is OptimizerConfig


def test_an_equal_call_finds_the_model_and_another_base_makes_another(
    store, model, tune, other, monkeypatch
):
    first = tune()
    with monkeypatch.context() as patch:
        patch.setattr(module, "fit", None)
        again = tune()
    assert first.was_trained
    assert not again.was_trained
    assert again.card == first.card
    settings = ({"freeze": "embedding"}, {"scaler": "keep"})
    names = {first.model_id, *(tune(**changes).model_id for changes in settings)}
    network, card = load_bundle(model)
    with torch.no_grad():
        output_layer(network).bias.add_(0.1)
    write_bundle(store / "moved", network, card)
    moved = finetune_model(store, store / "moved", other, GENTLE)
    assert len(names | {moved.model_id, model.name}) == 5


def test_the_card_names_the_base_and_its_errors_on_the_same_rows(tune, model, trained):
    card, old = tune().card, read_card(model)
    base = card.base
    assert base is not None
    assert (base.model_id, base.weights_sha256) == (old.model_id, old.weights_sha256)
    assert base.label_schemes == old.label_schemes
    assert base.targets == TRAINING.targets
    assert base.n_seen == {"val": 0, "test": 0}
    assert base.base is None
    assert (card.model, card.graph) == (old.model, old.graph)
    assert card.training["sources"] == ["other"]
    for name in TRAINING.targets:
        before, after = base.metrics["test"][name], card.metrics["test"][name]
        assert before.n == after.n == card.data.n_rows["test"]
        assert before.mae != after.mae
    assert set(card.elements) >= set(old.elements)
    low, high = card.label_range[GAP]
    assert low <= old.label_range[GAP][0]
    assert high >= old.label_range[GAP][1]
    oxygen = card.element_counts[8]
    assert oxygen > old.element_counts[8]
    assert read_card(model) == trained.card  # the base is left as it is


def test_two_schemes_of_a_target_are_refused_in_fine_tuning_too(store, tune):
    records = RecordStore(store)
    rows = records.read(["synthetic"]).to_pylist()
    for row in rows[:9]:
        row["band_gap_scheme"] = "MBJ"
        row["content_digest"] = content_digest(row)
    changed = pa.Table.from_pylist(rows, record_schema())
    records.replace_records("synthetic", in_memory(changed))
    with pytest.raises(LabelSchemeError, match=r"MBJ.*9 rows of synthetic"):
        tune(TRAINING)


def test_the_card_tells_the_data_of_both_models(tune, model):
    card = tune().card
    assert card.base.data_sources == read_card(model).data.data_sources
    assert [facts.source for facts in card.base.data_sources] == ["synthetic"]


def test_a_second_generation_names_both_ancestors(store, tune, other):
    first = tune()
    second = finetune_model(store, Path(first.folder), other, GENTLE)
    assert second.model_id != first.model_id
    base = second.card.base
    assert base is not None
    assert base.model_id == first.model_id
    assert base.base == first.card.base


def test_rows_that_the_base_learned_from_are_counted_where_they_judge(tune, other, caplog):
    seen = tune(TRAINING.model_copy(update={"seed": 1})).card.base
    assert seen is not None
    assert seen.n_seen == {"val": 0, "test": 0}  # the same rows in the same split
    split = TRAINING.split.model_copy(update={"seed": 3, "test_fraction": 0.4})
    training = TRAINING.model_copy(update={"split": split})
    card = tune(training).card
    assert card.base is not None
    tested = pd.read_parquet(Path(tune(training).folder) / "test_predictions.parquet")
    assert 0 < card.base.n_seen["test"] < len(tested)
    assert "may have learned from rows that judge" in caplog.text


def test_rows_that_chose_the_epoch_of_the_base_do_not_judge_unnoticed(tune, model):
    old = TRAINING.split
    wider = {"test_fraction": old.test_fraction + old.val_fraction}
    split = old.model_copy(update=wider)  # its test split is test and val of the base
    base = tune(TRAINING.model_copy(update={"split": split})).card.base
    assert base is not None
    assert base.n_seen["test"] == read_card(model).data.n_rows["val"] > 0


@pytest.mark.parametrize("scaler", ["refit", "keep"])
def test_before_the_first_step_the_predictions_are_those_of_the_base(
    model, tune, other, scaler, untouched
):
    reordered = other.model_copy(update={"targets": (GAP, ENERGY)})
    with pytest.raises(Killed):
        tune(reordered, scaler=scaler, recalibrate=False)
    [(network, dataset, scale)] = untouched
    base, card = load_bundle(model)
    expected = predict_dataset(base, dataset, card.scaler)[:, ::-1]
    found = predict_dataset(network, dataset, scale)
    assert np.abs(found - expected).max() < 1e-5  # float32, values of some eV
    means = dict(zip(scale.targets, scale.mean, strict=True))
    is_equal = means == dict(zip(card.scaler.targets, card.scaler.mean, strict=True))
    assert is_equal == (scaler == "keep")


def test_the_start_is_recalibrated_and_its_errors_stand_in_the_card(
    store, model, other, untouched
):
    shifted = 3.0 * in_units(store, other) + 5.0
    with pytest.MonkeyPatch.context() as patch:
        with_labels(patch, shifted)
        with pytest.raises(Killed):
            finetune_model(store, model, other, GENTLE)
    [(network, dataset, scale)] = untouched
    base, card = load_bundle(model)
    before = np.abs(predict_dataset(base, dataset, card.scaler) - shifted).mean(axis=0)
    after = np.abs(predict_dataset(network, dataset, scale) - shifted).mean(axis=0)
    assert (after < 0.5 * before).all()


@pytest.mark.parametrize("freeze", ["none", "all_but_head"])
def test_a_new_target_on_an_old_body_does_not_start_from_noise(
    store, gaps_alone, other, freeze
):
    tuned = finetune_model(
        store, gaps_alone, other, GENTLE.model_copy(update={"freeze": freeze})
    )
    assert tuned.card.base is not None
    start = tuned.card.base.recalibrated["val"][ENERGY]
    assert start.mae is not None
    assert start.mad is not None
    assert start.mae < 1.1 * start.mad  # 1 is a constant guess


def test_the_rate_of_the_best_short_run_is_taken_and_recorded(tune, monkeypatch):
    monkeypatch.setattr("crystalgnn_core.learning.config.RATES", (1e-7, 3e-3))
    made = tune(optimizer=FinetuningConfig().optimizer)
    assert made.card.training["optimizer"]["learning_rate"] == 3e-3
    again = tune(optimizer=FinetuningConfig().optimizer)
    assert not again.was_trained
    given = FinetuningConfig.model_validate({"optimizer": {"learning_rate": 3e-3}})
    assert tune(optimizer=given.optimizer).model_id != made.model_id


def test_the_duration_follows_the_number_of_rows():
    settings = FinetuningConfig()
    epochs = [settings.applied_to(TRAINING, n).epochs for n in (80, 800, 8000)]
    assert epochs == [300, 120, 20]
    assert FinetuningConfig(epochs=4).applied_to(TRAINING, 80).epochs == 4


def test_frozen_parts_stay_as_they_are(tune, model):
    embedding = {"embedding.weight", "embedding.bias"}
    everything = set(state(model))
    statistics = {name for name in everything if "running" in name or "num_b" in name}
    assert statistics
    free = changed(model, tune())
    assert everything - free == statistics
    assert changed(model, tune(freeze="embedding")) == free - embedding
    pooled = {"conv_to_fc.weight", "conv_to_fc.bias", "fc_out.weight", "fc_out.bias"}
    assert changed(model, tune(freeze="convolutions")) == pooled
    head = changed(model, tune(freeze="all_but_head"))
    assert head == {"fc_out.weight", "fc_out.bias"}


@pytest.fixture
def gaps_alone(store):
    """A model that predicts band gaps and nothing else."""
    training = TRAINING.model_copy(update={"targets": (GAP,)})
    return Path(train_model(store, MODEL, training, GRAPH).folder)


def test_a_target_of_the_base_keeps_its_row_and_a_new_one_is_fresh(
    store, gaps_alone, other, untouched
):
    for seed in (0, 1):
        training = other.model_copy(update={"seed": seed})
        with pytest.raises(Killed):
            finetune_model(store, gaps_alone, training, PLAIN)
    (first, dataset, scaler), (second, _, _) = untouched
    energy, gap = TRAINING.targets.index(ENERGY), TRAINING.targets.index(GAP)
    old, card = load_bundle(gaps_alone)
    expected = predict_dataset(old, dataset, card.scaler)[:, 0]
    found = predict_dataset(first, dataset, scaler)[:, gap]
    assert np.abs(found - expected).max() < 1e-5
    assert torch.equal(first.fc_out.weight[gap], second.fc_out.weight[gap])
    assert not torch.equal(first.fc_out.weight[energy], second.fc_out.weight[energy])


def test_the_card_tells_which_targets_were_kept(store, gaps_alone, other):
    tuned = finetune_model(store, gaps_alone, other, GENTLE)
    assert tuned.card.base is not None
    assert tuned.card.base.targets == (GAP,)
    assert set(tuned.card.base.metrics["test"]) == {GAP}
    assert set(tuned.card.metrics["test"]) == {ENERGY, GAP}


@pytest.mark.parametrize("members", [1, 2])
@pytest.mark.parametrize("n_saved", [1, 3, 5])
def test_an_interrupted_run_ends_bit_for_bit_the_same(
    tune, other, monkeypatch, n_saved, members
):
    # two short runs of two epochs choose the rate before the two of the training
    monkeypatch.setattr("crystalgnn_core.learning.config.RATES", (1e-4, 1e-3))
    chosen = {
        "optimizer": FinetuningConfig().optimizer,
        "training": other.model_copy(update={"members": members}),
    }
    undisturbed = tune(**chosen)
    expected = state(undisturbed.folder)
    folder = Path(undisturbed.folder)
    folder.rename(folder.with_name("undisturbed"))
    real, calls = CheckpointFolder.save, []

    def save(*args, **kwargs):
        real(*args, **kwargs)
        calls.append(1)
        if len(calls) == n_saved:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(CheckpointFolder, "save", save)
        with pytest.raises(Killed):
            tune(**chosen)
    begun = list((folder / "checkpoints").glob("**/pointers.json"))
    assert len(begun) == (n_saved + 1) // 2
    again = tune(**chosen)
    assert again.model_id == undisturbed.model_id
    assert again.card.metrics == undisturbed.card.metrics
    assert all(torch.equal(value, expected[n]) for n, value in state(folder).items())


def test_labels_of_another_scheme_are_learned_and_recorded(store, model, other):
    card = read_card(model)
    schemes = dict.fromkeys(TRAINING.targets, "MP legacy")
    content = json.loads((model / "card.json").read_text()) | {"label_schemes": schemes}
    write_text(model / "card.json", json.dumps(content))
    tuned = finetune_model(store, model, other, GENTLE)
    assert tuned.card.label_schemes == card.label_schemes != schemes
    assert tuned.card.base is not None
    assert tuned.card.base.label_schemes == schemes


def test_elements_that_the_base_has_not_seen_are_accepted(store, model, other):
    content = json.loads((model / "card.json").read_text())
    write_text(model / "card.json", json.dumps(content | {"elements": [1]}))
    tuned = finetune_model(store, model, other, GENTLE)
    assert {1, 8} <= set(tuned.card.elements)


def test_rows_with_elements_without_features_are_refused_and_counted(
    store, model, other, monkeypatch
):
    whole = finetune_model(store, model, other, GENTLE).card
    known = tuple(number for number in range(1, 101) if number != 12)
    monkeypatch.setattr(CGCNNConfig, "known_elements", lambda _: known)
    tuned = finetune_model(store, model, other, GENTLE).card
    n_refused = tuned.data.refused["unseen_element"]
    assert n_refused > 0
    assert sum(tuned.data.n_rows.values()) == sum(whole.data.n_rows.values()) - n_refused
    assert 12 in whole.elements


def test_a_network_that_does_not_name_its_layers_is_refused(
    store, model, other, monkeypatch
):
    monkeypatch.delattr("crystalgnn_core.models.cgcnn.network.CGCNN.layer_names")
    with pytest.raises(ModelError, match="a CGCNN cannot be fine-tuned"):
        finetune_model(store, model, other, GENTLE)


def test_graphs_are_those_of_the_base_and_others_are_refused(model):
    assert base_graph(model, CGCNNConfig(), GraphConfig()) == GRAPH  # nothing asked for
    assert base_graph(model, MODEL, GRAPH) == GRAPH
    with pytest.raises(ModelError, match=r"graphs with cutoff 5\.0, not 6\.0, and"):
        base_graph(model, MODEL, GRAPH.model_copy(update={"cutoff": 6.0}))
    with pytest.raises(ModelError, match="network with kind cgcnn, not alignn"):
        base_graph(model, ALIGNNConfig(), GRAPH)
    with pytest.raises(ModelError, match="network with atom_width 8, not 9"):
        base_graph(model, MODEL.model_copy(update={"atom_width": 9}), GRAPH)


def test_training_settings_of_a_finetuned_model_can_be_read_again(tune):
    card = tune().card
    settings = TrainingConfig.model_validate(card.training)
    assert settings.epochs == GENTLE.epochs
