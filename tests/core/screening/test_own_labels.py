"""Models that others trained, against one's own labels."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from crystalgnn_core.errors import InputError
from crystalgnn_core.learning.cards import BaseReference
from crystalgnn_core.records.label_schemes import MBJ
from crystalgnn_core.records.schema import record_schema
from crystalgnn_core.records.table.rows import content_digest
from crystalgnn_core.records.table.store import RecordStore
from crystalgnn_core.screening.own_labels import is_seen, judge_by_own_labels
from crystalgnn_core.screening.prediction import predict
from tests.core.worlds import in_memory, train

ENERGY, GAP = "formation_energy_per_atom", "band_gap"


def change_records(store, source, change):
    records = RecordStore(store)
    rows = records.read([source]).to_pylist()
    for index, row in enumerate(rows):
        change(index, row)
        row["content_digest"] = content_digest(row)
    changed = pa.Table.from_pylist(rows, record_schema())
    records.replace_records(source, in_memory(changed))


def test_rows_that_the_model_learned_from_do_not_judge_it(store, model, trained):
    found = judge_by_own_labels(store, [model], ["synthetic"])
    assert found.n_rows == 80
    assert found.n_rows - found.n_seen == trained.card.data.n_rows["test"]
    assert [one.target for one in found.judged] == [ENERGY, GAP]
    for one in found.judged:  # elements that are not in training are refused
        assert one.metrics.n == trained.card.data.n_rows["test"] - found.n_refused > 0


def test_other_rows_judge_by_the_difference_of_label_and_prediction(store, model):
    found = judge_by_own_labels(store, [model], ["candidates"])
    assert (found.n_seen, found.sources) == (0, ("candidates",))
    from crystalgnn_core.screening.candidates import load_crystals

    rows = RecordStore(store).read(["candidates"], ["structure_digest", ENERGY]).to_pandas()
    crystals = load_crystals(store, ["candidates"], rows["structure_digest"].to_list())
    table = predict(crystals, model, store=store).set_index("material_id")
    values = table.loc[rows["structure_digest"], ENERGY].to_numpy()
    is_ok = ~np.isnan(values)
    assert found.n_refused == (~is_ok).sum()
    expected = np.abs(values - rows[ENERGY].to_numpy())[is_ok].mean()
    [energy] = [one.metrics for one in found.judged if one.target == ENERGY]
    assert energy.mae == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("n_seen", "seen"), [(0, {"d/NaCl"}), (3, {"a/NaCl", "a/KCl", "d/NaCl"})]
)
def test_rows_that_a_base_model_learned_from_do_not_judge_it(trained, n_seen, seen):
    [facts] = trained.card.data.data_sources
    learned = [facts.model_copy(update={"source": name}) for name in "ad"]
    base = BaseReference(
        model_id="base",
        weights_sha256="",
        label_schemes={},
        targets=(GAP,),
        n_seen={"test": n_seen},
        data_sources=tuple(learned),
    )
    card = trained.card.model_copy(
        update={
            "base": base,
            "data": trained.card.data.model_copy(update={"sources": ("a",)}),
        }
    )
    given = {"a/NaCl": "test", "a/KCl": "test", "c/NaCl": "train", "d/NaCl": "test"}
    assert names_seen(given, card) == seen


def test_the_split_of_another_source_does_not_move_the_rows_of_a_model(trained):
    sources = trained.card.data.model_copy(update={"sources": ("a",)})
    card = trained.card.model_copy(update={"data": sources})
    alone = names_seen({"a/NaCl": None}, card)
    assert names_seen({"a/NaCl": None, "b/NaCl": "train"}, card) == alone
    assert names_seen({"a/NaCl": None, "b/NaCl": "test"}, card) == alone


def names_seen(given, card):
    names = [name.split("/") for name in given]
    frame = pd.DataFrame(names, columns=["source", "formula"])
    frame["split"] = list(given.values())
    marks = zip(given, is_seen(frame, card, Path()), strict=True)
    return {name for name, is_seen in marks if is_seen}


def test_two_models_are_judged_on_the_same_rows(store, model):
    other = Path(train(store, epochs=1, seed=5, targets=(GAP,)).folder)
    found = judge_by_own_labels(store, [other, model], ["synthetic", "candidates"])
    assert [(one.target, one.card.model_id) for one in found.judged] == [
        (GAP, other.name),
        (GAP, model.name),
    ]
    assert len({one.metrics.n for one in found.judged}) == 1


def test_labels_of_each_scheme_are_judged_apart(store, model):
    def second_scheme(index, row):
        if index % 2:
            row["band_gap_scheme"] = MBJ
            row["band_gap"] += 10.0

    change_records(store, "candidates", second_scheme)
    found = judge_by_own_labels(store, [model], ["candidates"])
    by_scheme = {one.scheme: one for one in found.judged if one.target == GAP}
    assert set(by_scheme) == {"synthetic-1", MBJ}
    assert by_scheme[MBJ].learned == "synthetic-1"
    moved, stayed = (by_scheme[name].metrics.mae for name in (MBJ, "synthetic-1"))
    assert moved is not None
    assert stayed is not None
    assert moved > 8 > stayed


def test_rows_without_a_label_are_named_with_what_to_do(store, model):
    def without(index, row):
        for name in (ENERGY, GAP):
            row[name] = row[f"{name}_scheme"] = None

    change_records(store, "candidates", without)
    with pytest.raises(InputError) as caught:
        judge_by_own_labels(store, [model], ["candidates"])
    message = str(caught.value)
    assert f"none of the 40 rows of candidates has a label of {ENERGY} or {GAP}" in message
    assert "`targets`" in message
    with pytest.raises(
        InputError, match=r"no records of source 'candidate' .* did you mean candidates"
    ):
        judge_by_own_labels(store, [model], ["candidate"])
    assert judge_by_own_labels(store, [model]).n_rows == 80  # of all sources


def test_without_a_row_that_is_left_nothing_is_judged(store, model):
    rows = pd.read_parquet(model / "test_predictions.parquet")["material_id"]
    keep = set(RecordStore(store).read(["synthetic"])["material_id"].to_pylist()) - set(
        rows
    )
    records = RecordStore(store)
    table = records.read(["synthetic"])
    left = table.filter(pa.array([i in keep for i in table["material_id"].to_pylist()]))
    records.replace_records("synthetic", in_memory(left))
    found = judge_by_own_labels(store, [model], ["synthetic"])
    assert found.judged == ()
    assert found.n_seen == found.n_rows == len(keep)
