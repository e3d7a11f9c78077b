"""Calibrated intervals: on numbers of known error, and from training to the screen."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from crystalgnn_core.errors import InputError
from crystalgnn_core.graphs.shards import graph_folder
from crystalgnn_core.learning.calibration.intervals import Intervals, describe_compositions
from crystalgnn_core.learning.cards import read_card
from crystalgnn_core.learning.config import FinetuningConfig, TrainingConfig
from crystalgnn_core.learning.data import load_training_data
from crystalgnn_core.learning.evaluation import evaluate_model
from crystalgnn_core.learning.finetuning import finetune_model
from crystalgnn_core.learning.scaling import TargetScaler
from crystalgnn_core.learning.training import train_model
from crystalgnn_core.models.composition.config import CompositionTreesConfig
from crystalgnn_core.records.crystal import structure_from_crystal
from crystalgnn_core.screening.own_labels import judge_by_own_labels
from crystalgnn_core.screening.prediction import predict, prediction_folder
from crystalgnn_core.storage.shards import KEY, ShardSet
from tests.core.worlds import GRAPH, SOURCE, TRAINING, copy, screen, train

ENERGY, GAP = TRAINING.targets
ENDS = [f"{name}_{end}" for name in (ENERGY, GAP) for end in ("low", "high")]
ONE = TargetScaler(targets=(ENERGY,), mean=(0.0,), std=(1.0,))
TWO = TargetScaler(targets=(GAP,), mean=(1.0,), std=(1.0,), hurdle=(GAP,))
N = 3000


def draw(seed):
    """Return predictions of an energy, labels whose error grows with it, and statistics."""
    rng = np.random.default_rng(seed)
    values = rng.uniform(-4, 0, N)
    labels = values + 0.2 * np.exp(-values / 2) * rng.standard_t(4, N)
    return {ENERGY: values}, labels[:, None], rng.normal(size=(N, 3))


def coverage(labels, columns, name=ENERGY):
    return (columns[f"{name}_low"] <= labels) & (labels <= columns[f"{name}_high"])


def shares_by_slice(values, is_inside):
    bins = np.digitize(values, [-3, -2, -1])
    return np.array([is_inside[bins == one].mean() for one in range(4)])


def test_nine_of_ten_labels_lie_inside_in_every_slice():
    predicted, labels, statistics = draw(0)
    fitted = Intervals.fit(ONE, predicted, labels, statistics, chose_epoch=False)
    predicted, labels, statistics = draw(1)
    columns = fitted.columns(ONE, predicted, statistics)
    is_inside = coverage(labels[:, 0], columns)
    # 3,000 rows to calibrate by and to count: 0.8 % of standard error
    assert 0.88 < is_inside.mean() < 0.92
    shares = shares_by_slice(predicted[ENERGY], is_inside)
    assert ((shares > 0.86) & (shares < 0.94)).all()
    width = columns[f"{ENERGY}_high"] - columns[f"{ENERGY}_low"]
    assert width[predicted[ENERGY] < -3].mean() > 3 * width[predicted[ENERGY] > -1].mean()


def test_shuffled_errors_hold_overall_but_not_by_slice():
    predicted, labels, statistics = draw(0)
    errors = np.random.default_rng(2).permutation(labels[:, 0] - predicted[ENERGY])
    shuffled = (predicted[ENERGY] + errors)[:, None]
    fitted = Intervals.fit(ONE, predicted, shuffled, statistics, chose_epoch=False)
    predicted, labels, statistics = draw(1)
    columns = fitted.columns(ONE, predicted, statistics)
    is_inside = coverage(labels[:, 0], columns)
    assert 0.88 < is_inside.mean() < 0.92
    shares = shares_by_slice(predicted[ENERGY], is_inside)
    assert shares.min() < 0.82
    assert shares.max() > 0.96


def gaps(seed):
    """Return predictions of gaps in two parts that are honest, and labels."""
    rng = np.random.default_rng(seed)
    chance = rng.choice([0.02, 0.1, 0.9, 0.98], N, p=[0.5, 0.1, 0.1, 0.3])
    value = rng.uniform(0.5, 5, N)
    logit = np.log(chance / (1 - chance))
    predicted = TWO.columns(np.stack([value - 1, logit], axis=1))
    true = np.maximum(value + rng.laplace(0, 0.2 * value), 0.01)
    return predicted, (true * (rng.random(N) < chance))[:, None], rng.normal(size=(N, 3))


def test_gaps_are_zero_or_calibrated_so_that_nine_of_ten_hold_over_all():
    predicted, labels, statistics = gaps(0)
    fitted = Intervals.fit(TWO, predicted, labels, statistics, chose_epoch=False)
    assert set(fitted.groups) == set()
    assert fitted.targets == {GAP}
    predicted, labels, statistics = gaps(1)
    columns = fitted.columns(TWO, predicted, statistics)
    is_metal = predicted[GAP] == 0
    assert (columns[f"{GAP}_high"][is_metal] == 0).all()
    is_inside = coverage(labels[:, 0], columns, GAP)
    assert is_inside[is_metal].mean() > 0.94  # as many as are zero
    # 90 % less what the others hold too much, but not less than 87 %; 0.9 % of error
    assert 0.85 < is_inside[~is_metal].mean() < 0.90
    assert columns[f"{GAP}_low"].min() == 0
    assert (columns[f"{GAP}_low"] <= predicted[GAP]).all()
    assert (predicted[GAP] <= columns[f"{GAP}_high"]).all()


def test_a_gap_of_zero_that_is_doubtful_has_an_interval_beyond_zero():
    rng = np.random.default_rng(0)
    logit = rng.normal(0, 3, N)
    chance = 1 / (1 + np.exp(-logit))
    predicted = TWO.columns(np.stack([np.ones(N), logit], axis=1))
    label = np.where(rng.random(N) < chance, rng.uniform(1.5, 2.5, N), 0.0)
    statistics = np.zeros((N, 3))
    fitted = Intervals.fit(TWO, predicted, label[:, None], statistics, chose_epoch=False)
    columns = fitted.columns(TWO, predicted, statistics)
    low, high = columns[f"{GAP}_low"], columns[f"{GAP}_high"]
    is_zero = predicted[GAP] == 0
    assert (high[is_zero & (chance < 0.35)] == 0).all()
    assert (high[is_zero & (chance > 0.45)] > 1).all()
    assert (low[is_zero] == 0).all()
    assert (low[chance > 0.99] > 1).all()  # hardly a metal: zero is not in it


def test_few_metals_leave_one_group_for_all():
    predicted, labels, statistics = gaps(0)
    some = np.flatnonzero(predicted[GAP] > 0)[:200]
    few = {name: column[some] for name, column in predicted.items()}
    fitted = Intervals.fit(TWO, few, labels[some], statistics[some], chose_epoch=False)
    assert [group.n for group in fitted.groups[GAP]] == [200]
    columns = fitted.columns(TWO, few, statistics[some])
    assert coverage(labels[some][:, 0], columns, GAP).mean() > 0.88


def test_rows_unlike_those_learned_from_have_wider_intervals_where_errors_say_so():
    rng = np.random.default_rng(0)
    predicted = {ENERGY: rng.uniform(-4, 0, N), "novelty": rng.uniform(0, 1.5, N)}
    errors = 0.02 * np.exp(predicted["novelty"]) * rng.normal(size=N)
    labels, statistics = predicted[ENERGY] + errors, rng.normal(size=(N, 3))
    fitted = Intervals.fit(ONE, predicted, labels[:, None], statistics, chose_epoch=False)
    columns = fitted.columns(ONE, predicted, statistics)
    is_inside = coverage(labels, columns)
    is_far = predicted["novelty"] > 1
    assert 0.86 < is_inside[is_far].mean() < 0.94
    width = columns[f"{ENERGY}_high"] - columns[f"{ENERGY}_low"]
    # means of exp(x) over 1 to 1.5 and over 0 to 0.5: 3.5 and 1.3
    assert width[is_far].mean() / width[predicted["novelty"] < 0.5].mean() > 2


def test_a_modulus_has_ends_in_ratio():
    scaler = TargetScaler(targets=("bulk_modulus",), mean=(2.0,), std=(0.5,))
    rng = np.random.default_rng(0)
    values = 10 ** rng.uniform(0, 2.5, N)
    labels = values * 10 ** rng.normal(0, 0.1, N)
    statistics = rng.normal(size=(N, 3))
    predicted = {"bulk_modulus": values}
    fitted = Intervals.fit(scaler, predicted, labels[:, None], statistics, chose_epoch=True)
    columns = fitted.columns(scaler, predicted, statistics)
    low, high = (columns[f"bulk_modulus_{end}"] for end in ("low", "high"))
    inner = low > 0.1  # above the minimum of the target
    assert (low * high)[inner] == pytest.approx(values[inner] ** 2)
    # 90 % of a normal distribution within 1.645 standard deviations
    assert np.log10(high / values).mean() == pytest.approx(0.1645, abs=0.01)


@pytest.mark.parametrize("name", ["is_metal", ENERGY])
def test_classes_and_few_labels_have_no_intervals(name, caplog):
    scaler = TargetScaler(targets=(name,), mean=(0.0,), std=(1.0,))
    labels = np.array([[1.0], [0.0]] * 9)
    predicted = {name: np.full(18, 0.4)}
    fitted = Intervals.fit(scaler, predicted, labels, np.zeros((18, 3)), chose_epoch=False)
    assert fitted.groups == {}
    assert fitted.columns(scaler, predicted, np.zeros((18, 3))) == {}
    assert ("18 labels to calibrate intervals by" in caplog.text) == (name == ENERGY)


def test_equal_predictions_and_members_that_agree_have_finite_ends():
    labels = np.linspace(0, 1, 50)[:, None]
    predicted = {ENERGY: np.full(50, 0.5), f"{ENERGY}_std": np.zeros(50)}
    fitted = Intervals.fit(ONE, predicted, labels, np.zeros((50, 3)), chose_epoch=False)
    far = {ENERGY: np.array([1e6]), f"{ENERGY}_std": np.array([1e6])}
    columns = fitted.columns(ONE, far, np.full((1, 3), 1e6))
    assert all(np.isfinite(column).all() for column in columns.values())


@pytest.fixture(scope="module")
def made(built_store, tmp_path_factory):
    """A store with a model with intervals."""
    store = copy(built_store, tmp_path_factory.mktemp("intervals") / "store")
    split = TRAINING.split.model_copy(update={"val_fraction": 0.5, "use_given": False})
    settings = {"calibration_fraction": 0.75, "hurdle": (GAP,), "split": split}
    return store, train(store, **settings), settings


def test_rows_that_calibrate_choose_no_epoch(made):
    store, model, settings = made
    training = TRAINING.model_copy(update=settings)
    data = load_training_data(store, training, GRAPH)
    choosing, calibrating = data.divide_validation(training)
    val = data.select("val")
    assert sorted([*choosing, *calibrating]) == val.tolist()
    assert len(calibrating) == round(0.75 * len(val))
    assert model.card.metrics["val"][ENERGY].n == len(choosing)
    assert model.card.intervals.n_rows == len(calibrating)
    assert not model.card.intervals.chose_epoch
    again = data.divide_validation(training)
    assert [part.tolist() for part in again] == [choosing.tolist(), calibrating.tolist()]
    whole = training.model_copy(update={"calibration_fraction": 1.0})
    assert [part.tolist() for part in data.divide_validation(whole)] == [val.tolist()] * 2


def test_trees_and_fine_tuned_models_have_intervals_of_their_own(made, tmp_path):
    store, model, settings = made
    training = TRAINING.model_copy(update=settings | {"calibration_fraction": 1.0})
    trees = CompositionTreesConfig(n_trees=5, n_class_trees=5, min_leaf_rows=3)
    other = copy(store, tmp_path / "store")
    fitted = train_model(other, trees, training, GRAPH).card.intervals
    assert fitted is not None
    assert fitted.targets == {ENERGY, GAP}
    assert fitted.chose_epoch
    gentle = FinetuningConfig(epochs=1, batch_size=16)
    tuned = finetune_model(other, Path(model.folder), training, gentle).card.intervals
    assert tuned is not None
    assert tuned.n_rows > model.card.intervals.n_rows
    assert tuned.groups != model.card.intervals.groups


def test_too_few_rows_to_choose_by_are_refused_in_one_line(made):
    store, _, settings = made
    training = TRAINING.model_copy(update=settings | {"calibration_fraction": 0.999})
    data = load_training_data(store, training, GRAPH)
    with pytest.raises(InputError, match="leaves no label of formation_energy") as caught:
        data.divide_validation(training)
    assert "\n" not in str(caught.value)


def test_the_card_and_evaluate_say_how_many_labels_lie_inside(made):
    store, model, _ = made
    folder = Path(model.folder)
    rows = pd.read_parquet(folder / "test_predictions.parquet")
    assert list(rows)[3:] == [
        *(ENERGY, f"{ENERGY}_true", *ENDS[:2]),
        *(GAP, f"{GAP}_true", f"{GAP}_nonzero_probability", f"{GAP}_if_nonzero", *ENDS[2:]),
        "novelty",
    ]
    _, found = evaluate_model(store, folder, "test")
    for name in (ENERGY, GAP):
        held = read_card(folder).metrics["test"][name].intervals
        is_inside = coverage(rows[f"{name}_true"], rows, name)
        assert held is not None
        width = rows[f"{name}_high"] - rows[f"{name}_low"]
        assert held.coverage == pytest.approx(is_inside.mean())
        assert held.width == pytest.approx(width.mean())
        assert found[name].intervals == held
    judged = judge_by_own_labels(store, [folder], ["candidates"]).judged
    assert all(one.metrics.intervals is not None for one in judged)


def test_structures_shards_and_rankings_have_the_ends(made, trained):
    store, model, _ = made
    folder = Path(model.folder)
    some = [structure_from_crystal(SOURCE.crystal(index)) for index in range(8)]
    table, larger = (
        predict(some, folder),
        predict([one * (2, 1, 1) for one in some], folder),
    )
    assert (table["status"] == "ok").any()
    for name in ENDS:
        assert table[name].to_numpy() == pytest.approx(larger[name], abs=1e-5, nan_ok=True)
    assert not set(ENDS) & set(predict(some, trained.folder))
    result = screen(store, folder)
    ranking = pd.read_parquet(Path(result.folder) / "ranking.parquet")
    assert [name for name in ranking if name in ENDS] == ENDS
    assert (ranking[f"{GAP}_low"] >= 0).all()
    shards = ShardSet(prediction_folder(store, read_card(folder)))
    [entry] = shards.intact_entries()
    names = shards.manifest.read(entry.name).column_names
    assert names[0] == KEY
    assert set(ENDS) < set(names)


def test_other_intervals_of_the_same_weights_are_predicted_apart(made):
    store, model, _ = made
    plain = model.card.model_copy(update={"intervals": None})
    folders = {prediction_folder(store, card).name for card in (plain, model.card)}
    assert len(folders) == 2
    assert f"{model.model_id}-{model.card.weights_sha256[:12]}" in folders
    assert "calibration_fraction" not in TRAINING.digest_content()
    content = json.loads(plain.model_dump_json())
    del content["intervals"]  # a card from before
    assert type(plain).model_validate(content) == plain


def test_statistics_are_those_of_the_asked_rows_in_order(made):
    data = load_training_data(made[0], TRAINING, GRAPH)
    dataset = data.dataset(graph_folder(made[0], GRAPH))
    whole = describe_compositions(dataset)
    some = np.array([7, 3, 3, 11])
    assert describe_compositions(dataset, some) == pytest.approx(whole[some], abs=0)
    numbers, pointer = dataset.compositions(some)
    expected = data.rows["atomic_numbers"].to_pylist()
    for row, start, end in zip(some, pointer, pointer[1:], strict=False):
        assert numbers[start:end].tolist() == expected[row]


@pytest.mark.parametrize("fraction", [0, 1.5, -0.1])
def test_a_fraction_outside_of_its_range_is_refused(fraction):
    with pytest.raises(ValidationError, match="calibration_fraction"):
        TrainingConfig.model_validate({"calibration_fraction": fraction})
