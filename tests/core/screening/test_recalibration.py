"""Intervals by labels of another source: coverage there, and what the card says."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crystalgnn_core.errors import InputError
from crystalgnn_core.learning.cards import read_card
from crystalgnn_core.records.crystal import structure_from_crystal
from crystalgnn_core.screening.own_labels import judge_by_own_labels
from crystalgnn_core.screening.prediction import predict, prediction_folder
from crystalgnn_core.screening.recalibration import recalibrate_model
from crystalgnn_core.sources.synthetic.source import SyntheticSource
from tests.core.worlds import TRAINING, copy, ingest, screen, train

ENERGY, GAP = TRAINING.targets
MORE = SyntheticSource(name="more", prefix="m", seed=2, n_structures=100)
SOURCES = ["more"]


def facts(folder):
    """Return what a card says of the rows."""
    found = read_card(folder).recalibration
    assert found is not None
    return found


@pytest.fixture(scope="module")
def made(built_store, tmp_path_factory):
    """A store with a model with intervals, and the same recalibrated with a shift."""
    store = copy(built_store, tmp_path_factory.mktemp("recalibration") / "store")
    ingest(store, MORE)
    split = TRAINING.split.model_copy(update={"val_fraction": 0.5, "use_given": False})
    model = Path(train(store, calibration_fraction=1.0, split=split).folder)
    new = recalibrate_model(store, model, SOURCES, n_rows=60, seed=1, with_shift=True)
    return store, model, new


def test_it_is_another_model_of_the_same_weights_that_says_by_which_rows(made):
    store, model, new = made
    old, card = read_card(model), read_card(new)
    assert new.parent == store / "models"
    assert card.weights_sha256 == old.weights_sha256
    assert prediction_folder(store, card) != prediction_folder(store, old)
    found = facts(new)
    assert card.intervals is not None
    assert found.model_id == old.model_id
    assert found.sources == ("more",)
    assert 20 <= found.n_rows == card.intervals.n_rows <= 60  # but for unseen elements
    assert 0 < found.before[ENERGY].coverage <= 1
    assert f"intervals by {found.n_rows} rows of more" in card.remarks[-1]
    assert len(pd.read_parquet(new / "recalibration.parquet")) == found.n_rows
    again = recalibrate_model(store, model, SOURCES, n_rows=60, seed=1, with_shift=True)
    assert again == new
    other = recalibrate_model(store, model, SOURCES, n_rows=60, seed=2)
    assert other != new
    assert facts(other).shift == {}
    assert read_card(other).scaler == old.scaler


def test_a_shift_moves_all_predictions_by_the_median_error(made):
    _, model, new = made
    shift = facts(new).shift
    some = [structure_from_crystal(MORE.crystal(index)) for index in range(12)]
    before, after = predict(some, model), predict(some, new)
    moved = after[ENERGY] - before[ENERGY]
    assert moved.dropna().to_numpy() == pytest.approx(shift[ENERGY], abs=1e-6)
    assert abs(shift[ENERGY]) > 1e-3
    assert (after[f"{ENERGY}_low"] <= after[ENERGY]).sum() == moved.notna().sum()


def test_the_rows_do_not_judge_the_model_that_has_seen_them(made):
    store, model, new = made
    before, after = (judge_by_own_labels(store, [one], SOURCES) for one in (model, new))
    assert before.n_seen == 0
    assert after.n_seen == facts(new).n_rows
    for one in (before, after):
        assert all(judged.metrics.intervals for judged in one.judged)
    result = screen(store, new)
    assert result.n_scored


def test_labels_of_another_zero_are_held_after_it_and_not_before(made, tmp_path):
    """Energies 5 eV/atom higher: of another scheme, with as good an order."""
    from crystalgnn_core.records.table.store import RecordStore
    from crystalgnn_core.screening import own_labels, recalibration

    store, model, _ = made
    rows = own_labels.labelled_rows(store, read_card(model), SOURCES)
    assert len(rows) == RecordStore(store).source_counts()["more"]
    with pytest.MonkeyPatch.context() as patch:
        far = rows.copy()
        far[ENERGY] += 5
        far[f"{ENERGY}_scheme"] = "other"
        for module in (own_labels, recalibration):
            patch.setattr(module, "labelled_rows", lambda *_: far)
        plain, moved = (
            recalibrate_model(store, model, SOURCES, n_rows=60, with_shift=shift)
            for shift in (False, True)
        )
        held = [
            judge_by_own_labels(store, [one], SOURCES).judged[0].metrics
            for one in (model, plain, moved)
        ]
    shares = [one.intervals.coverage for one in held if one.intervals is not None]
    assert shares[0] < 0.5 < min(shares[1:])
    widths = [one.intervals.width for one in held if one.intervals is not None]
    assert widths[2] < widths[1]
    errors = [one.mae for one in held if one.mae is not None]
    assert errors[2] < 0.5 * errors[1]
    assert read_card(plain).label_schemes[ENERGY] != "other"
    assert read_card(moved).label_schemes[ENERGY] == "other"


@pytest.mark.parametrize("n_rows", [5, 10_000])
def test_too_few_rows_are_refused_in_one_line(made, n_rows):
    store, model, _ = made
    with pytest.raises(InputError, match=r"labels|needed") as caught:
        recalibrate_model(store, model, SOURCES, n_rows=n_rows)
    assert "\n" not in str(caught.value)


def test_rows_that_it_learned_from_are_not_taken(made, tmp_path):
    store, model, _ = made
    with pytest.raises(InputError, match="did not learn from"):
        recalibrate_model(store, model, ["synthetic"], n_rows=60)
    lost = copy(store, tmp_path / "store")
    shutil.rmtree(lost / "graphs")  # graphs are made of the records
    assert recalibrate_model(lost, lost / "models" / model.name, SOURCES, n_rows=60)
    assert np.isfinite(read_card(model).scaler.mean).all()
