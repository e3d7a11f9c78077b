"""Metals through the whole system: a gap column, one network for all, a screen, a page."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from deltalake import DeltaTable, write_deltalake

from crystalgnn_core.errors import InputError
from crystalgnn_core.learning.cards import read_card
from crystalgnn_core.learning.comparison import compare_models
from crystalgnn_core.learning.config import RetrainingConfig
from crystalgnn_core.learning.evaluation import evaluate_model
from crystalgnn_core.records.crystal import structure_from_crystal
from crystalgnn_core.records.table.store import RecordStore
from crystalgnn_core.reporting.history import plot_history
from crystalgnn_core.reporting.screen import report_screen
from crystalgnn_core.screening.prediction import predict
from crystalgnn_core.screening.ranking import ranking_schema
from crystalgnn_core.screening.screen import rank_screen
from crystalgnn_core.sources.files.source import FilesSource
from crystalgnn_core.sources.synthetic.model.labels import compute_labels
from crystalgnn_core.sources.synthetic.source import SyntheticSource
from tests.core.worlds import (
    SCREENING,
    TRAINING,
    build_graphs,
    copy,
    ingest,
    predict_candidates,
    screen,
    train,
)

TARGETS = ("formation_energy_per_atom", "band_gap", "is_metal")
CHANGES = {"sources": ("table",), "targets": TARGETS, "epochs": 6}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Write crystals with a gap, and the class of all but every seventh as missing."""
    world = SyntheticSource(n_structures=90, seed=3, prefix="t")
    rows = []
    for index in range(world.n_structures):
        crystal = world.crystal(index)
        labels = compute_labels(crystal)
        rows.append(
            {
                "material_id": world.material_id(index),
                "cif": structure_from_crystal(crystal).to(fmt="cif"),
                "energy": labels.formation_energy_per_atom,
                "gap": labels.band_gap,
                "derived_from": labels.band_gap if index % 7 else np.nan,
            }
        )
    path = tmp_path_factory.mktemp("table") / "table.parquet"
    pd.DataFrame(rows).to_parquet(path)
    return path


def source(table, **targets):
    scheme = {"label_scheme": "synthetic-1"}
    columns = {
        "formation_energy_per_atom": {"column": "energy", **scheme},
        "band_gap": {"column": "gap", **scheme},
        "is_metal": {"column": "derived_from", "at_most": 0.0, **scheme},
    }
    return FilesSource.model_validate(
        {"name": "table", "path": str(table), "targets": {**columns, **targets}}
    )


@pytest.fixture(scope="module")
def metals(built_store, table, tmp_path_factory):
    """A store with a model for energy, gap and metals."""
    store = copy(built_store, tmp_path_factory.mktemp("metals") / "store")
    report = ingest(store, source(table))
    assert report.n_labels == {**dict.fromkeys(TARGETS[:2], 90), "is_metal": 77}
    build_graphs(store)
    return store, train(store, **CHANGES)


def test_the_class_of_a_row_follows_from_its_gap(metals):
    rows = RecordStore(metals[0]).read(["table"], ["band_gap", "is_metal"]).to_pandas()
    known = rows.dropna(subset=["is_metal"])
    assert (known["is_metal"] == (known["band_gap"] <= 0)).all()
    assert 0.1 < known["is_metal"].mean() < 0.9


def test_numbers_and_classes_are_learned_and_judged_together(metals):
    card = metals[1].card
    assert card.units == {TARGETS[0]: "eV/atom", "band_gap": "eV", "is_metal": ""}
    assert (card.scaler.mean[2], card.scaler.std[2]) == (0.0, 1.0)
    tested = pd.read_parquet(Path(metals[1].folder) / "test_predictions.parquet")
    assert tested["is_metal"].between(0, 1).all()
    known = tested.dropna(subset=["is_metal_true"])
    found = card.metrics["test"]["is_metal"]
    assert found.n == len(known)
    said = known["is_metal"] >= 0.5
    assert found.classes.accuracy == pytest.approx((said == known["is_metal_true"]).mean())
    assert card.metrics["test"]["band_gap"].classes is None
    assert card.baseline["is_metal"].classes.accuracy > 0.5
    # EMT metals and ionic crystals share no elements: easily told apart
    assert card.metrics["val"]["is_metal"].classes.auc > 0.8
    assert read_card(Path(metals[1].folder)) == card


def test_the_history_has_the_errors_of_classes(metals):
    folder = Path(metals[1].folder)
    history = pd.read_parquet(folder / "history.parquet")
    assert {"val_brier_is_metal", "val_accuracy_is_metal", "val_auc_is_metal"} < set(
        history
    )
    assert "val_mae_is_metal" not in history
    best = history.set_index("epoch")["val_error"].idxmin()
    assert metals[1].card.epoch == best
    assert plot_history(folder, "metals").stat().st_size > 0


def test_evaluation_and_prediction_give_probabilities(metals):
    store, trained = metals
    card, errors = evaluate_model(store, Path(trained.folder), "test")
    expected = card.metrics["test"]["is_metal"].classes
    found = errors["is_metal"].classes
    assert expected is not None
    assert found is not None
    assert found.brier == pytest.approx(expected.brier, rel=1e-4)
    salt = structure_from_crystal(SyntheticSource(seed=3).crystal(0))
    [row] = predict([salt], trained.folder).to_dict("records")
    assert 0 < row["is_metal"] < 1


def test_a_model_of_more_targets_screens_and_its_page_shows_classes(metals):
    store, trained = metals
    result = screen(store, Path(trained.folder))
    ranking = pd.read_parquet(Path(result.folder) / "ranking.parquet")
    assert (
        list(ranking)
        == ranking_schema([*SCREENING.score.targets, "novelty"], ["is_metal"]).names
    )
    assert ranking["is_metal"].between(0, 1).all()
    assert list(pd.read_csv(Path(result.folder) / "ranking.csv")) == list(ranking)
    page = Path(report_screen(store, SCREENING, result, ()).page.path).read_text()
    words = (
        "test AUC, metal",
        "predicted metal",
        "Area under the ROC curve",
        "probability",
    )
    for text in (*words, "Validation Brier score, metal"):
        assert text in page
    assert "None" not in page.partition("<script")[0]


def test_of_two_models_that_predict_a_class_the_first_counts(metals, tmp_path):
    store = copy(metals[0], tmp_path / "store")
    first = Path(metals[1].folder)
    other = Path(train(store, **(CHANGES | {"epochs": 1, "targets": TARGETS[2:]})).folder)
    alone = screen(store, first)
    predict_candidates(store, other)
    both = rank_screen(store, SCREENING, [first, other])
    assert both.screen_id != alone.screen_id
    one, two = (pd.read_parquet(Path(r.folder) / "ranking.parquet") for r in (alone, both))
    # of the training of all models
    joint = ["flags", "novelty"]
    pd.testing.assert_frame_equal(one.drop(columns=joint), two.drop(columns=joint))
    assert (two["novelty"] >= one["novelty"]).all()
    assert (two["novelty"] > one["novelty"]).any()


def test_a_challenger_is_judged_on_classes_too(metals):
    store, trained = metals
    challenger = train(store, **(CHANGES | {"epochs": 1}))
    training = TRAINING.model_copy(update=CHANGES)
    old, new = (Path(model.folder) for model in (trained, challenger))
    decision = compare_models(store, old, new, training, RetrainingConfig())
    assert decision.champion_metrics["is_metal"].classes is not None
    assert "MAE of is_metal" not in decision.reason
    assert type(decision).model_validate_json(decision.model_dump_json()) == decision


def test_one_class_alone_cannot_be_learned(metals, table, tmp_path):
    store = copy(metals[0], tmp_path / "store")
    metal = {"column": "derived_from", "at_most": 99.0, "label_scheme": "synthetic-1"}
    ingest(store, source(table, is_metal=metal))
    with pytest.raises(InputError, match=r"labels of is_metal in the train split are 1;"):
        train(store, **CHANGES)


def test_cards_from_before_classes_are_read(trained, tmp_path):
    content = json.loads((Path(trained.folder) / "card.json").read_text())
    for errors in (*content["metrics"].values(), content["baseline"]):
        for metrics in errors.values():
            del metrics["classes"]
    (tmp_path / "card.json").write_text(json.dumps(content))
    assert read_card(tmp_path) == trained.card


def test_a_store_from_before_classes_goes_on_working(built_store, table, tmp_path):
    store = copy(built_store, tmp_path / "store")
    path = store / "records"
    rows = DeltaTable(path).to_pyarrow_table()
    later = ("fermi_energy", "poisson_ratio", "is_metal", "energy_above_hull")
    names = [n for n in rows.column_names if n.removesuffix("_scheme") not in later]
    write_deltalake(path, rows.select(names), mode="overwrite", schema_mode="overwrite")
    assert "is_metal" not in DeltaTable(path).to_pyarrow_dataset().schema.names
    first = train(store, epochs=1)
    other = copy(built_store, tmp_path / "other")
    assert train(other, epochs=1).model_id == first.model_id
    assert not ingest(store, SyntheticSource(n_structures=80, part_size=40)).was_read
    ingest(store, source(table))
    build_graphs(store)
    assert train(store, epochs=1).model_id == first.model_id
    both = train(store, **(CHANGES | {"sources": ("synthetic", "table"), "epochs": 1}))
    assert both.card.data.n_labels["is_metal"] == 77
    assert both.card.data.n_labels["band_gap"] == 170
