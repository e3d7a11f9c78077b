"""Models of several networks: trained one after the other, used as one."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crystalgnn_core.errors import ConfigError
from crystalgnn_core.graphs.shards import graph_folder
from crystalgnn_core.learning import members as module
from crystalgnn_core.learning.cards import read_card
from crystalgnn_core.learning.checkpoints import load_bundle
from crystalgnn_core.learning.config import FinetuningConfig
from crystalgnn_core.learning.data import load_training_data
from crystalgnn_core.learning.evaluation import evaluate_model
from crystalgnn_core.learning.finetuning import finetune_model
from crystalgnn_core.learning.fitting import predict_columns
from crystalgnn_core.learning.resume import CheckpointFolder
from crystalgnn_core.learning.training import train_model
from crystalgnn_core.models.composition.config import CompositionTreesConfig
from crystalgnn_core.models.ensemble import EnsembleNetwork, members_of
from crystalgnn_core.models.inference import for_inference
from crystalgnn_core.records.crystal import structure_from_crystal
from crystalgnn_core.reporting.screen import report_screen
from crystalgnn_core.screening.prediction import predict
from tests.core.worlds import GRAPH, SCREENING, SOURCE, TRAINING, copy, screen, train

ENERGY, GAP = TRAINING.targets
STDS = (f"{ENERGY}_std", f"{GAP}_std")
SETTINGS = {"members": 2, "epochs": 3, "seed": 4, "hurdle": (GAP,)}


class Killed(BaseException):
    """Stands for kill -9: nothing in the package catches it."""


@pytest.fixture(scope="module")
def made(built_store, tmp_path_factory):
    """A store with a model of two networks, and one each of its seeds."""
    store = copy(built_store, tmp_path_factory.mktemp("members") / "store")
    alone = [train(store, **SETTINGS | {"members": 1, "seed": seed}) for seed in (4, 5)]
    return store, train(store, **SETTINGS), alone


@pytest.fixture(scope="module")
def columns(made):
    """Predictions of the model and of its networks for all rows."""
    store, model, alone = made
    data = load_training_data(store, TRAINING, GRAPH)
    dataset = data.dataset(graph_folder(store, GRAPH))
    found = []
    for one in (model, *alone):
        network, card = load_bundle(Path(one.folder))
        found.append(predict_columns(network, dataset, card.scaler))
    return found


def test_members_are_the_networks_that_their_seeds_give(made):
    _, model, alone = made
    network, card = load_bundle(Path(model.folder))
    assert isinstance(network, EnsembleNetwork)
    for member, one in zip(members_of(network), alone, strict=True):
        expected, _ = load_bundle(Path(one.folder))
        for name, value in expected.state_dict().items():
            assert np.array_equal(member.state_dict()[name], value), name
    assert card.n_members == 2
    assert card.epoch == max(one.card.epoch for one in alone)
    assert model.epochs == 6
    history = pd.read_parquet(Path(model.folder) / "history.parquet")
    assert history["member"].tolist() == [1, 1, 1, 2, 2, 2]
    assert history["epoch"].tolist() == [1, 2, 3, 4, 5, 6]


def test_predictions_are_means_and_the_spread_stands_beside(made, columns):
    joined, first, second = columns
    assert joined[ENERGY] == pytest.approx((first[ENERGY] + second[ENERGY]) / 2, abs=1e-6)
    for target, name in zip((ENERGY, GAP), STDS, strict=True):
        # of two values, by n - 1
        expected = np.abs(first[target] - second[target]) / np.sqrt(2)
        assert joined[name] == pytest.approx(expected, abs=1e-9)
    chances = [one[f"{GAP}_nonzero_probability"] for one in columns]
    logits = [np.log(p / (1 - p)) for p in chances]
    assert logits[0] == pytest.approx((logits[1] + logits[2]) / 2, abs=1e-5)
    values = [c[f"{GAP}_if_nonzero"] for c in columns]
    assert values[0] == pytest.approx((values[1] + values[2]) / 2, abs=1e-5)


def test_the_fast_form_of_several_is_their_mean(made):
    network, card = load_bundle(Path(made[1].folder))
    data = load_training_data(made[0], TRAINING, GRAPH)
    batch = data.dataset(graph_folder(made[0], GRAPH)).batch(np.arange(20))
    expected = network(batch).detach().numpy()
    assert for_inference(network)(batch).numpy() == pytest.approx(expected, abs=1e-5)
    assert expected.shape == (20, card.scaler.n_outputs)


def test_tables_of_predictions_hold_the_spread(made):
    store, model, alone = made
    salt = structure_from_crystal(SOURCE.crystal(0))
    parts = (f"{GAP}_nonzero_probability", f"{GAP}_if_nonzero")
    names = [ENERGY, STDS[0], GAP, *parts, STDS[1]]
    ends = ["material_id", "formula"], ["status", "message"]
    assert list(predict([salt], model.folder)) == [
        *(*ends[0], *names, "novelty", *ends[1]),
    ]
    assert not set(STDS) & set(predict([salt], alone[0].folder))
    test = pd.read_parquet(Path(model.folder) / "test_predictions.parquet")
    assert (test[list(STDS)] >= 0).all(axis=None)
    assert test[list(STDS)].mean().min() > 0
    result = screen(store, Path(model.folder))
    ranking = pd.read_parquet(Path(result.folder) / "ranking.parquet")
    assert [name for name in ranking if name in names] == names
    page = Path(report_screen(store, SCREENING, result, ()).page.path).read_text()
    assert "spread of the predicted band gap" in page


def test_errors_of_the_card_are_those_of_the_mean(made):
    card, metrics = evaluate_model(made[0], Path(made[1].folder), "val")
    for name, found in metrics.items():
        assert found.mae == pytest.approx(card.metrics["val"][name].mae, abs=1e-9)


@pytest.mark.parametrize("n_saved", [2, 4])
def test_an_interrupted_run_continues_bit_for_bit(
    made, built_store, tmp_path, monkeypatch, n_saved
):
    store = copy(built_store, tmp_path / "store")
    saved: list[str] = []
    save = CheckpointFolder.save

    def die(self, *arguments, **options):
        if len(saved) == n_saved:
            raise Killed
        saved.append(self.folder.name)
        save(self, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(CheckpointFolder, "save", die)
        with pytest.raises(Killed):
            train(store, **SETTINGS)
    assert saved == (["member-1"] * 3 + ["member-2"] * 3)[:n_saved]
    again = train(store, **SETTINGS)
    assert again.model_id == made[1].model_id
    assert again.card.weights_sha256 == made[1].card.weights_sha256
    assert again.epochs == 6


def test_one_member_is_no_other_model(made):
    assert "members" not in TRAINING.digest_content()
    assert made[1].model_id != made[2][0].model_id
    card = read_card(Path(made[2][0].folder))
    before = {name: value for name, value in card.training.items() if name != "members"}
    assert card.model_copy(update={"training": before}).n_members == 1


def test_each_member_is_fine_tuned_from_itself(made, tmp_path, monkeypatch):
    store, seen = copy(made[0], tmp_path / "store"), []

    def look(network, data, config, checkpoints, card, **options):
        seen.append((network, config.seed))
        raise Killed

    gentle = FinetuningConfig(epochs=1, batch_size=16)
    base = Path(made[1].folder)
    tuned = finetune_model(store, base, TRAINING, gentle)
    assert tuned.card.n_members == 2
    assert tuned.card.base is not None
    assert tuned.card.base.model_id == made[1].model_id
    monkeypatch.setattr(module, "fit", look)
    other = TRAINING.model_copy(update={"seed": 7})
    with pytest.raises(Killed):
        finetune_model(store, base, other, gentle)
    [(network, seed)] = seen
    assert seed == 7
    own = members_of(load_bundle(base)[0])[0].state_dict()
    assert np.array_equal(network.state_dict()["embedding.weight"], own["embedding.weight"])


def test_trees_have_no_members(made):
    training = TRAINING.model_copy(update={"members": 3})
    trees = CompositionTreesConfig(n_trees=5, min_leaf_rows=3)
    with pytest.raises(ConfigError, match="is fitted in one go") as caught:
        train_model(made[0], trees, training, GRAPH)
    assert "\n" not in str(caught.value)
