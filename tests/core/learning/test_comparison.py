import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from crystalgnn_core.errors import LabelSchemeError, ModelError
from crystalgnn_core.learning.comparison import (
    below_floor,
    compare_models,
    promote_if_better,
)
from crystalgnn_core.learning.config import RetrainingConfig
from crystalgnn_core.learning.evaluation import evaluate_model
from crystalgnn_core.learning.metrics import Metrics
from crystalgnn_core.learning.promotion.decision import DECISION, Decision
from crystalgnn_core.learning.registry import Registry
from crystalgnn_core.learning.scores import ClassMetrics
from crystalgnn_core.learning.splits import SplitConfig
from crystalgnn_core.learning.training import train_model
from crystalgnn_core.models.composition.config import CompositionTreesConfig
from crystalgnn_core.records.label_schemes import MBJ
from crystalgnn_core.records.schema import record_schema
from crystalgnn_core.records.table.rows import content_digest
from crystalgnn_core.records.table.store import RecordStore
from crystalgnn_core.storage.files import write_table, write_text
from tests.core.worlds import TRAINING, build_graphs, in_memory, train

ENERGY, GAP = "formation_energy_per_atom", "band_gap"


def errors(energy, gap):
    return {
        name: Metrics(n=9, mae=mae, rmse=mae, r2=None, mad=mad)
        for name, mae, mad in ((ENERGY, energy, 0.5), (GAP, gap, 2.0))
    }


@pytest.fixture
def challenger(store):
    return Path(train(store, epochs=2).folder)


def compare(store, model, challenger, training=TRAINING):
    return compare_models(store, model, challenger, training, RetrainingConfig())


def test_both_models_are_judged_on_the_test_rows_of_the_champion(
    store, model, challenger, trained
):
    decision = compare(store, model, challenger)
    assert decision.n_test == trained.card.data.n_rows["test"]
    assert (decision.champion, decision.challenger) == (model.name, challenger.name)
    for name, metrics in trained.card.metrics["test"].items():
        # float32, other batches
        assert decision.champion_metrics[name].mae == pytest.approx(metrics.mae, rel=1e-5)
    same = compare(store, model, model)
    assert not same.is_promoted


def test_rows_that_the_challenger_learned_from_do_not_count(store, model, trained):
    other = TRAINING.model_copy(
        update={"split": SplitConfig(seed=1, test_fraction=0.4), "epochs": 1}
    )
    challenger = Path(train(store, **dict(other)).folder)
    ids = [
        set(pd.read_parquet(folder / "test_predictions.parquet")["material_id"])
        for folder in (model, challenger)
    ]
    assert 0 < len(ids[0] & ids[1]) < len(ids[0])
    # whatever split is configured now: what counts is what the challenger was tested on
    for training in (TRAINING, other):
        assert compare(store, model, challenger, training).n_test == len(ids[0] & ids[1])


def test_models_without_a_common_test_row_are_not_judged(store, model, challenger):
    path = challenger / "test_predictions.parquet"
    rows = pd.read_parquet(path)
    write_table(path, pa.Table.from_pandas(rows.assign(source="elsewhere")))
    decision = compare(store, model, challenger)
    assert (decision.is_promoted, decision.n_test) == (False, 0)
    assert "no row of the test split" in decision.reason
    assert f"models promote {challenger.name}" in decision.reason
    path.unlink()
    with pytest.raises(ModelError, match="is missing"):
        compare(store, model, challenger)


def test_labels_of_another_scheme_judge_nobody(store, model, challenger):
    records = RecordStore(store)
    rows = records.read(["synthetic"]).to_pylist()
    for row in rows:
        row["band_gap_scheme"] = MBJ
        row["content_digest"] = content_digest(row)
    changed = pa.Table.from_pylist(rows, record_schema())
    records.replace_records("synthetic", in_memory(changed))
    with pytest.raises(LabelSchemeError) as caught:
        compare(store, model, challenger)
    message = str(caught.value)
    assert f"band_gap: {model.name} learned from labels of 'synthetic-1'" in message
    assert "those of synthetic are now of 'MBJ'" in message
    with pytest.raises(LabelSchemeError, match="are now of 'MBJ'"):
        evaluate_model(store, model, "test")
    asked = TRAINING.model_copy(update={"allow_mixed_schemes": True})
    assert compare(store, model, challenger, asked).n_test > 0


def test_other_label_schemes_and_targets_are_refused(store, model, challenger):
    card = challenger / "card.json"
    text = card.read_text()
    content = json.loads(text)
    content["label_schemes"]["band_gap"] = "PBE"
    write_text(card, json.dumps(content))
    with pytest.raises(ModelError, match=r"cannot be compared.*synthetic-1.*PBE"):
        compare(store, model, challenger)
    write_text(card, text)
    energy_alone = TRAINING.model_copy(update={"targets": (ENERGY,)})
    with pytest.raises(ModelError, match="band_gap cannot be judged"):
        compare(store, model, challenger, energy_alone)


def of_class(brier):
    scores = ClassMetrics(share=0.5, accuracy=0.9, brier=brier)
    classes = Metrics(n=9, mae=0.3, rmse=0.5, r2=None, mad=0.5, classes=scores)
    return errors(0.1, 0.4) | {"is_metal": classes}


ANY_IMPROVEMENT = RetrainingConfig(max_target_loss=100.0, require_floor=False)


def promote(store, challenger, config=ANY_IMPROVEMENT):
    return promote_if_better(store, challenger, TRAINING, config)


def champions(store):
    return list(Registry(store).champions().values())


def kept(folder):
    return Decision.model_validate_json((folder / DECISION).read_text())


def test_the_first_model_becomes_champion_and_is_then_not_compared_with_itself(
    store, model
):
    first = promote(store, model)
    assert (first.is_promoted, first.champion, first.challenger) == (True, None, model.name)
    assert champions(store) == [model.name]
    again = promote(store, model)
    assert (again.is_promoted, again.champion) == (False, model.name)
    assert "is the champion already" in again.reason
    assert kept(model) == first  # of how it became champion


def judged(card, energy, gap, floor=None):
    metrics = {"test": errors(energy, gap)}
    baseline = errors(0.1, 0.4) if floor is None else floor
    return card.model_copy(update={"metrics": metrics, "baseline": baseline})


@pytest.mark.parametrize(
    ("energy", "gap", "worse"),
    [
        (0.11, 0.2, ["MAE of formation_energy_per_atom 0.1100 against 0.1000"]),
        (0.2, 0.5, ["formation_energy_per_atom 0.2000", "band_gap 0.5000 against 0.4000"]),
        (0.104, 0.41, ["scaled test error 0.2065 against 0.2000"]),
        (float("nan"), 0.1, ["formation_energy_per_atom nan against 0.1000"]),
    ],
)
def test_a_model_that_is_worse_than_trees_is_named_with_what_to_do(
    trained, energy, gap, worse
):
    said = below_floor(judged(trained.card, energy, gap), RetrainingConfig())
    for part in (*worse, "check the units", f"models promote {trained.model_id}"):
        assert part in said


def test_a_model_is_not_below_a_floor_that_it_reaches_or_that_is_not_known(trained):
    config = RetrainingConfig()
    assert not below_floor(judged(trained.card, 0.104, 0.3), config)
    assert not below_floor(judged(trained.card, 0.1001, 0.4), config)  # rounding
    assert not below_floor(judged(trained.card, 9.0, 9.0, floor={}), config)
    assert not below_floor(judged(trained.card, 9.0, 9.0), ANY_IMPROVEMENT)


def test_classes_are_held_against_the_floor_by_their_brier_score(trained):
    scores = of_class(0.11)
    card = judged(trained.card, 0.1, 0.4, floor=of_class(0.1))
    card = card.model_copy(update={"metrics": {"test": scores}})
    assert "Brier score of is_metal 0.1100" in below_floor(card, RetrainingConfig())


def test_neither_the_first_model_nor_a_better_one_is_promoted_below_the_floor(
    store, model, trained
):
    assert trained.card.baseline[GAP].mae < trained.card.metrics["test"][GAP].mae
    first = promote(store, model, RetrainingConfig())
    assert not first.is_promoted
    assert champions(store) == []
    assert kept(model) == first
    with pytest.raises(ModelError, match=f"no champion.*{model.name}.*models promote"):
        Registry(store).resolve("champion")
    Registry(store).promote(model.name, "by hand")
    longer = Path(train(store, epochs=30).folder)
    assert compare(store, model, longer).challenger_metrics[ENERGY].mae > 0
    second = promote(store, longer, RetrainingConfig(max_target_loss=0.0))
    assert "not promoted" in second.reason
    assert champions(store) == [model.name]


def test_trees_are_not_below_themselves(store):
    trees = CompositionTreesConfig()
    graph = trees.default_graph()
    build_graphs(store, graph)
    folder = Path(train_model(store, trees, TRAINING, graph).folder)
    assert promote(store, folder, RetrainingConfig(max_target_loss=0.0)).is_promoted


@pytest.fixture
def trained_longer(store, model):
    promote(store, model)
    return Path(train(store, epochs=30).folder)


def test_a_challenger_that_is_not_better_leaves_the_champion(store, model, trained_longer):
    decision = promote(store, trained_longer, RetrainingConfig(min_improvement=0.99))
    assert not decision.is_promoted
    assert decision.champion == model.name
    assert champions(store) == [model.name]
    assert kept(trained_longer) == decision


def test_a_better_challenger_replaces_the_champion_and_says_why(
    store, model, trained_longer
):
    decision = promote(store, trained_longer)
    assert decision.is_promoted
    assert champions(store) == [trained_longer.name]
    key = next(iter(Registry(store).champions()))
    assert Registry(store).history(key)[-1].reason == decision.reason
    assert json.loads((trained_longer / DECISION).read_text())["champion"] == model.name
