import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from crystalgnn_core.errors import LabelSchemeError, ModelError
from crystalgnn_core.learning.comparison import compare_models, decide
from crystalgnn_core.learning.config import RetrainingConfig
from crystalgnn_core.learning.evaluation import evaluate_model
from crystalgnn_core.learning.metrics import ClassMetrics, Metrics
from crystalgnn_core.learning.splits import SplitConfig
from crystalgnn_core.records.label_schemes import MBJ
from crystalgnn_core.records.schema import record_schema
from crystalgnn_core.records.table.rows import content_digest
from crystalgnn_core.records.table.store import RecordStore
from tests.core.worlds import TRAINING, in_memory, train

ENERGY, GAP = "formation_energy_per_atom", "band_gap"


def errors(energy, gap):
    return {
        name: Metrics(n=9, mae=mae, rmse=mae, r2=None, mad=mad)
        for name, mae, mad in ((ENERGY, energy, 0.5), (GAP, gap, 2.0))
    }


def test_the_smaller_scaled_error_wins():
    # (0.1 / 0.5 + 0.4 / 2) / 2 = 0.2 against (0.05 / 0.5 + 0.4 / 2) / 2 = 0.15
    is_better, reason = decide(errors(0.1, 0.4), errors(0.05, 0.4), RetrainingConfig())
    assert is_better
    assert "0.1500" in reason
    assert "0.2000" in reason
    assert not decide(errors(0.05, 0.4), errors(0.1, 0.4), RetrainingConfig())[0]


def test_an_equal_challenger_is_not_promoted():
    assert not decide(errors(0.1, 0.4), errors(0.1, 0.4), RetrainingConfig())[0]


def test_the_improvement_must_be_as_large_as_asked_for():
    config = RetrainingConfig(min_improvement=0.3)
    is_better, reason = decide(errors(0.1, 0.4), errors(0.05, 0.4), config)  # 25 % less
    assert not is_better
    assert "30.0% less is needed" in reason
    config = RetrainingConfig(min_improvement=0.2)
    assert decide(errors(0.1, 0.4), errors(0.05, 0.4), config)[0]


def test_one_target_may_not_pay_for_the_other():
    is_better, reason = decide(errors(0.1, 0.4), errors(0.02, 0.43), RetrainingConfig())
    assert not is_better
    assert "MAE of band_gap rose from 0.4000 to 0.4300, more than 5%" in reason
    config = RetrainingConfig(max_target_loss=0.1)
    assert decide(errors(0.1, 0.4), errors(0.02, 0.43), config)[0]


def test_a_challenger_that_predicts_no_numbers_is_not_promoted():
    nan = float("nan")
    assert not decide(errors(0.1, 0.4), errors(nan, 0.1), RetrainingConfig())[0]


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
    rows.assign(source="elsewhere").to_parquet(path)
    with pytest.raises(ModelError, match="no row of the test split"):
        compare(store, model, challenger)
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
    card.write_text(json.dumps(content))
    with pytest.raises(ModelError, match=r"cannot be compared.*synthetic-1.*PBE"):
        compare(store, model, challenger)
    card.write_text(text)
    energy_alone = TRAINING.model_copy(update={"targets": (ENERGY,)})
    with pytest.raises(ModelError, match="band_gap cannot be judged"):
        compare(store, model, challenger, energy_alone)


def of_class(brier):
    scores = ClassMetrics(share=0.5, accuracy=0.9, brier=brier)
    classes = Metrics(n=9, mae=0.3, rmse=0.5, r2=None, mad=0.5, classes=scores)
    return errors(0.1, 0.4) | {"is_metal": classes}


def test_classes_are_compared_by_their_brier_score():
    # (0.1 / 0.5 + 0.4 / 2 + 0.1 / 0.25) / 3 = 0.2667
    is_better, reason = decide(of_class(0.1), of_class(0.05), RetrainingConfig())
    assert is_better
    assert "0.2667" in reason
    better = of_class(0.11) | errors(0.02, 0.4)
    is_better, reason = decide(of_class(0.1), better, RetrainingConfig())
    assert not is_better
    assert "Brier score of is_metal rose from 0.1000 to 0.1100" in reason
