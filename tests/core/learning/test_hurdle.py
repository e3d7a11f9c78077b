"""The band gap in two parts, from training to the page of a screen."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import ValidationError

from crystalgnn_core.graphs.shards import graph_folder
from crystalgnn_core.learning import members as module
from crystalgnn_core.learning.cards import read_card
from crystalgnn_core.learning.checkpoints import load_bundle
from crystalgnn_core.learning.config import FinetuningConfig, TrainingConfig
from crystalgnn_core.learning.data import load_training_data
from crystalgnn_core.learning.evaluation import evaluate_model
from crystalgnn_core.learning.finetuning import finetune_model
from crystalgnn_core.learning.fitting import predict_columns, predict_dataset
from crystalgnn_core.learning.training import train_model
from crystalgnn_core.models.composition.config import CompositionTreesConfig
from crystalgnn_core.models.network import output_layer
from crystalgnn_core.records.crystal import structure_from_crystal
from crystalgnn_core.reporting.screen import report_screen
from crystalgnn_core.screening.own_labels import judge_by_own_labels
from crystalgnn_core.screening.prediction import predict, prediction_folder
from crystalgnn_core.storage.shards import KEY, ShardSet
from tests.core.worlds import (
    GRAPH,
    SCREENING,
    SOURCE,
    TRAINING,
    build_graphs,
    copy,
    ingest,
    screen,
    train,
)

ENERGY, GAP = TRAINING.targets
PARTS = ("band_gap_nonzero_probability", "band_gap_if_nonzero")
HURDLE = {"hurdle": (GAP,)}
TREES = CompositionTreesConfig(n_trees=20, n_class_trees=20, min_leaf_rows=3)
GENTLE = FinetuningConfig.model_validate(
    {
        "epochs": 1,
        "batch_size": 16,
        "recalibrate": False,
        "optimizer": {"learning_rate": 3e-5},
    }
)


class Killed(BaseException):
    """Stands for kill -9: nothing in the package catches it."""


@pytest.fixture(scope="module")
def made(built_store, tmp_path_factory):
    """A store with a model that learned the gap in two parts."""
    store = copy(built_store, tmp_path_factory.mktemp("hurdle") / "store")
    return store, train(store, epochs=40, **HURDLE)


@pytest.fixture
def folder(made):
    return Path(made[1].folder)


def zeros_of(metrics):
    """Return the errors of the gap at zero and elsewhere, none of them missing."""
    zeros = metrics[GAP].zeros
    assert zeros is not None
    return zeros.model_dump()


def is_consistent(rows):
    """Return whether the gap is 0 below a probability of 1/2, and at most the value."""
    probability, value = (rows[name] for name in PARTS)
    assert probability.between(0, 1).all()
    assert (value >= 0).all()
    assert (rows[GAP][probability < 0.5] == 0).all()
    return rows[GAP].between(0, value).all()


def test_predictions_are_zero_for_some_and_negative_for_none(made, folder):
    rows = pd.read_parquet(folder / "test_predictions.parquet")
    assert list(rows)[3:] == [
        *(ENERGY, f"{ENERGY}_true", GAP, f"{GAP}_true", *PARTS, "novelty"),
    ]
    assert is_consistent(rows)
    network, card = load_bundle(folder)
    data = load_training_data(made[0], TRAINING, GRAPH)
    graphs = data.dataset(graph_folder(made[0], GRAPH))
    columns = predict_columns(network, graphs, card.scaler)
    assert is_consistent(pd.DataFrame(columns))
    gaps, probability, value = (columns[name] for name in (GAP, *PARTS))
    assert 0 < (gaps == 0).sum() < len(graphs)
    assert gaps[probability > 0.999] == pytest.approx(value[probability > 0.999], abs=0.01)
    # learned: metals have lower probabilities than the others
    zeros = zeros_of(evaluate_model(made[0], folder, "train")[1])
    assert zeros["auc"] > 0.8
    assert zeros["brier"] < 0.25


def test_the_card_holds_both_parts_and_their_errors(made, folder):
    card = read_card(folder)
    assert card.scaler.hurdle == (GAP,)
    assert card.training["hurdle"] == [GAP]
    labels = load_training_data(made[0], TRAINING, GRAPH)
    gaps = labels.labels[labels.select("train"), 1]
    assert card.scaler.mean[1] == pytest.approx(gaps[gaps > 0].mean())
    assert output_layer(load_bundle(folder)[0]).out_features == 3
    rows = pd.read_parquet(folder / "test_predictions.parquet")
    zeros, of_trees = zeros_of(card.metrics["test"]), zeros_of(card.baseline)
    error, is_zero = (rows[GAP] - rows[f"{GAP}_true"]).abs(), rows[f"{GAP}_true"] == 0
    assert zeros["n_zero"] == of_trees["n_zero"] == is_zero.sum() > 0
    assert zeros["mae_zero"] == pytest.approx(error[is_zero].mean())
    assert zeros["mae_nonzero"] == pytest.approx(error[~is_zero].mean())
    assert zeros["brier"] == pytest.approx(((rows[PARTS[0]] - ~is_zero) ** 2).mean())
    assert of_trees["brier"] is None
    assert card.metrics["test"][ENERGY].zeros is None


def test_models_without_it_keep_names_cards_and_outputs(trained, made, tmp_path):
    assert "hurdle" not in TRAINING.digest_content()
    assert trained.model_id != made[1].model_id
    path = Path(trained.folder) / "card.json"
    content = json.loads(path.read_text())
    del content["scaler"]["hurdle"]
    del content["training"]["hurdle"]
    for errors in (*content["metrics"].values(), content["baseline"]):
        for metrics in errors.values():
            del metrics["zeros"]
    (tmp_path / "card.json").write_text(json.dumps(content))
    (tmp_path / "model.safetensors").write_bytes(
        path.with_name("model.safetensors").read_bytes()
    )
    network, card = load_bundle(tmp_path)
    assert card.scaler == trained.card.scaler
    assert card.metrics["test"][GAP].zeros is None
    assert output_layer(network).out_features == 2


def test_structures_and_screens_have_the_columns_and_other_models_do_not(
    made, folder, trained
):
    store, _ = made
    salt = structure_from_crystal(SOURCE.crystal(0))
    table = predict([salt], folder)
    ends = ("material_id", "formula"), ("novelty", "status", "message")
    assert list(table) == [*ends[0], ENERGY, GAP, *PARTS, *ends[1]]
    assert is_consistent(table)
    assert list(predict([salt], trained.folder)) == [*ends[0], ENERGY, GAP, *ends[1]]
    result = screen(store, folder)
    shards = ShardSet(prediction_folder(store, read_card(folder)))
    [entry] = shards.intact_entries()
    assert shards.manifest.read(entry.name).column_names == [
        *(KEY, ENERGY, GAP, *PARTS, "novelty"),
    ]
    ranking = pd.read_parquet(Path(result.folder) / "ranking.parquet")
    assert list(ranking) == [
        *("rank", "candidate_id", "formula"),
        *(ENERGY, GAP, *PARTS, "novelty"),
        *("score", "flags", "source"),
    ]
    assert is_consistent(ranking)
    assert list(pd.read_csv(Path(result.folder) / "ranking.csv")) == list(ranking)
    page = Path(report_screen(store, SCREENING, result, ()).page.path).read_text()
    for words in ("probability of a band gap &gt; 0", "whose band gap is 0", "Brier score"):
        assert words in page


def test_labels_of_other_sources_judge_both_parts(made, folder):
    found = judge_by_own_labels(made[0], [folder], ["candidates"])
    [gap] = [one.metrics for one in found.judged if one.target == GAP]
    assert gap.zeros is not None
    assert gap.zeros.brier is not None


def test_trees_fit_a_class_and_the_values_that_are_not_zero(made, tmp_path):
    store = copy(made[0], tmp_path / "store")
    model = train_model(store, TREES, TRAINING.model_copy(update=HURDLE), GRAPH)
    network, card = load_bundle(Path(model.folder))
    assert card.scaler.hurdle == (GAP,)
    assert len(network.state_dict()["start"]) == 3
    assert is_consistent(pd.read_parquet(Path(model.folder) / "test_predictions.parquet"))
    data = load_training_data(store, TRAINING, GRAPH)
    train_rows = data.select("train")
    dataset = data.dataset(graph_folder(store, GRAPH))
    columns = predict_columns(network, dataset, card.scaler, positions=train_rows)
    gaps = data.labels[train_rows, 1]
    # the values are those of non-metals: their mean is not drawn towards zero by metals
    value = columns[PARTS[1]]
    assert value[gaps > 0].mean() == pytest.approx(gaps[gaps > 0].mean(), rel=0.02)
    assert columns[PARTS[0]][gaps > 0].min() > columns[PARTS[0]][gaps == 0].max()


@pytest.fixture
def other(made, tmp_path):
    """A second source of labelled crystals in a store with both kinds of models."""
    store = copy(made[0], tmp_path / "store")
    fresh = SOURCE.model_copy(update={"name": "other", "batch": 1, "n_structures": 60})
    ingest(store, fresh)
    build_graphs(store)
    return store, TRAINING.model_copy(update={"sources": ("other",)})


@pytest.fixture
def untouched(monkeypatch):
    """Catch the network, its data and its card right before the first step."""
    seen = []

    def look(network, data, config, checkpoints, card, **options):
        seen.append((network, data.dataset, card))
        raise Killed

    monkeypatch.setattr(module, "fit", look)

    def tune(store, base, training, **settings):
        with pytest.raises(Killed):
            finetune_model(store, base, training, GENTLE.model_copy(update=settings))
        return seen.pop()

    return tune


@pytest.mark.parametrize("scaler", ["refit", "keep"])
def test_a_hurdle_base_stays_one_and_starts_from_its_predictions(
    other, folder, untouched, scaler
):
    store, training = other
    reordered = training.model_copy(update={"targets": (GAP, ENERGY)})
    network, dataset, card = untouched(store, folder, reordered, scaler=scaler)
    assert card.scaler.hurdle == (GAP,)
    assert card.training["hurdle"] == [GAP]
    base, old = load_bundle(folder)
    expected = predict_columns(base, dataset, old.scaler)
    found = predict_columns(network, dataset, card.scaler)
    for name in (ENERGY, *PARTS):
        assert found[name] == pytest.approx(expected[name], abs=1e-5)
    assert card.base.targets == (GAP, ENERGY)
    assert card.base.changed_parts == {}
    assert zeros_of(card.base.metrics["test"])["brier"] is not None


def test_a_plain_base_keeps_its_value_and_gets_a_probability_that_follows_it(
    other, trained, untouched
):
    store, training = other
    base = Path(trained.folder)
    hurdle = training.model_copy(update=HURDLE)
    network, dataset, card = untouched(store, base, hurdle)
    old, before = load_bundle(base)
    plain = predict_dataset(old, dataset, before.scaler)[:, 1]
    found = predict_columns(network, dataset, card.scaler)
    assert found[PARTS[1]] == pytest.approx(np.maximum(plain, 0), abs=1e-5)
    assert "probability that it is not zero is new" in card.base.changed_parts[GAP]
    # a line in the value: equal order, about as many as there are
    order = np.argsort(plain)
    slopes = np.diff(found[PARTS[0]][order])
    assert (slopes >= -1e-6).all() or (slopes <= 1e-6).all()
    data = load_training_data(store, training, GRAPH)
    rows = data.select("train")
    share = (data.labels[rows, 1] > 0).mean()
    assert found[PARTS[0]][rows].mean() == pytest.approx(share, abs=0.02)
    # the errors of the base are its own, not those of the new outputs
    test = data.select("test")
    error = np.abs(plain[test] - data.labels[test, 1]).mean()
    assert card.base.metrics["test"][GAP].mae == pytest.approx(error, abs=1e-5)


def test_labels_of_non_metals_alone_make_one_number_of_a_hurdle(
    other, folder, untouched, monkeypatch, caplog
):
    store, training = other

    def without_zeros(*arguments):
        data = load_training_data(*arguments)
        labels = np.where(data.labels == 0, np.nan, data.labels)
        return data._replace(labels=labels)

    monkeypatch.setattr(
        "crystalgnn_core.learning.finetuning.load_training_data", without_zeros
    )
    network, dataset, card = untouched(store, folder, training)
    assert card.scaler.hurdle == ()
    assert "learned as one number" in caplog.text
    assert "from the value if it is not zero" in card.base.changed_parts[GAP]
    base, old = load_bundle(folder)
    expected = predict_columns(base, dataset, old.scaler)[PARTS[1]]
    found = predict_dataset(network, dataset, card.scaler)[:, 1]
    assert np.maximum(found, 0) == pytest.approx(expected, abs=1e-5)


def test_a_fine_tuned_hurdle_is_finished_like_any_other(other, folder):
    store, training = other
    tuned = finetune_model(store, folder, training, GENTLE)
    assert tuned.card.scaler.hurdle == (GAP,)
    assert is_consistent(pd.read_parquet(Path(tuned.folder) / "test_predictions.parquet"))
    again = finetune_model(store, folder, training.model_copy(update=HURDLE), GENTLE)
    assert again.model_id == tuned.model_id


@pytest.mark.parametrize("name", [ENERGY, "is_metal", "bulk_modulus"])
def test_targets_without_many_zeros_are_refused_in_one_line(name):
    with pytest.raises(ValidationError) as caught:
        TrainingConfig.model_validate({"targets": [name], "hurdle": [name]})
    [error] = caught.value.errors()
    assert error["msg"] == (
        f"Value error, {name} cannot be learned in two parts, band_gap can; leave it out"
    )


def test_a_name_that_is_no_target_of_the_run_does_not_count(made, tmp_path):
    store = copy(made[0], tmp_path / "store")
    alone = train(store, epochs=1, targets=(ENERGY,), **HURDLE)
    assert alone.card.scaler.hurdle == ()
    assert output_layer(load_bundle(Path(alone.folder))[0]).out_features == 1
    assert torch.isfinite(output_layer(load_bundle(Path(alone.folder))[0]).weight).all()
