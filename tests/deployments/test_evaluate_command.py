"""A model against labels that are in no store: a table, a folder, a published model."""

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crystalgnn_core.records.crystal import structure_from_crystal
from crystalgnn_core.screening.candidates import load_crystals, read_candidates
from crystalgnn_core.sources.ingest.run import ingest_source
from crystalgnn_core.sources.synthetic.source import SyntheticSource
from tests.published import put_in_cache

ENERGY, GAP = "formation_energy_per_atom", "band_gap"


def structures_of(store, source):
    rows = read_candidates(store, [source]).to_dict("records")
    crystals = load_crystals(store, [source], [row["structure_digest"] for row in rows])
    for row in rows:
        structure = structure_from_crystal(crystals[row["structure_digest"]])
        yield row["candidate_id"], structure.to(fmt="cif"), row[f"{ENERGY}_true"]


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """Structures and labels that no model has seen."""
    store = tmp_path_factory.mktemp("fresh") / "store"
    ingest_source(store, SyntheticSource(name="fresh", seed=9, n_structures=30, batch=7))
    return list(structures_of(store, "fresh"))


def write_csv(path, rows, header=("id", "cif", ENERGY)):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def test_a_table_judges_a_model_and_every_row_is_written(run, own_store, fresh, tmp_path):
    table = write_csv(tmp_path / "mine.csv", [*fresh, ("bad", "no crystal", 0.1)])
    output = tmp_path / "rows.csv"
    found = run("evaluate", table, "--store", own_store.path, "--output", output)
    assert found.code == 0, found.err
    assert f"{own_store.champion} on labels of unnamed scheme" in found.out
    assert "unreadable_structure" in found.out
    assert GAP not in found.out  # the table has none
    rows = pd.read_csv(output)
    assert list(rows["material_id"]) == [*(name for name, *_ in fresh), "bad"]
    kept = rows[rows["status"] == "ok"]
    assert set(rows["status"]) == {"ok", "unseen_element", "unreadable_structure"}
    assert "30 of mine-" in found.out
    assert f"carry a label = {len(kept)} judged + 0 that" in found.out
    assert f"{30 - len(kept)} that not all predict" in found.out
    error = np.abs(kept[ENERGY] - kept[f"{ENERGY}_true"]).mean()
    assert f"{error:.4f}" in found.out
    assert rows.iloc[-1]["status"] == "unreadable_structure"


def test_structures_of_the_training_are_left_out_whatever_they_are_called(
    run, own_store, fresh, tmp_path
):
    known = [
        (f"x{at}", *rest)
        for at, (_, *rest) in enumerate(structures_of(own_store.path, "synthetic"))
    ]
    table = write_csv(tmp_path / "mixed.csv", [*fresh, *known])
    output = tmp_path / "rows.parquet"
    found = run("evaluate", table, "--store", own_store.path, "--output", output)
    assert found.code == 0, found.err
    rows = pd.read_parquet(output)
    learned = rows[rows["status"] == "learned_from"]
    assert len(learned) > 50  # three of five of 120
    assert learned["material_id"].str.startswith("x").all()
    assert learned[ENERGY].isna().all()
    assert f"{len(learned)} that one of the models learned from" in found.out
    others = set(rows.loc[rows["status"] == "ok", "material_id"])
    assert any(name.startswith("x") for name in others)  # of the test split
    assert others & {name for name, *_ in fresh}


def test_columns_and_scheme_can_be_named_and_a_folder_has_a_table_beside(
    run, own_store, fresh, tmp_path
):
    folder = tmp_path / "cifs"
    folder.mkdir()
    for name, cif, _ in fresh:
        (folder / f"{name}.cif").write_text(cif)
    labels = [(name, energy) for name, _, energy in fresh]
    table = write_csv(tmp_path / "labels.csv", labels, ("id", "e_form"))
    where = ("--store", own_store.path, "--labels", table)
    named = ("--target", f"{ENERGY}=e_form@synthetic-1")
    found = run("evaluate", folder, *where, *named)
    assert found.code == 0, found.err
    assert "on labels of synthetic-1" in found.out
    assert "schemes is part" not in found.out
    assert "rows     30 of cifs-" in found.out
    refused = run("evaluate", folder, *where)
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert f"name the column with --target {ENERGY}=COLUMN" in refused.err


def test_a_published_model_is_judged_without_a_store(run, fresh, tmp_path, monkeypatch):
    monkeypatch.setenv("CRYSTALGNN_CACHE", str(tmp_path / "cache"))
    put_in_cache("cgcnn-mp2018-formation-energy")
    table = write_csv(tmp_path / "mine.csv", fresh)
    found = run("evaluate", table, "--model", "cgcnn-mp2018-formation-energy")
    assert found.code == 0, found.err
    assert "learned from labels of MP legacy: the difference of the schemes" in found.out
    assert not (tmp_path / "crystalgnn-store").exists()


def test_rows_of_a_split_can_be_written_too(run, own_store, tmp_path):
    output = tmp_path / "rows.csv"
    found = run("evaluate", "--store", own_store.path, "--output", output)
    assert found.code == 0, found.err
    rows = pd.read_csv(output)
    tested = own_store.path / "models" / own_store.champion / "test_predictions.parquet"
    known = pd.read_parquet(tested)
    assert list(rows["material_id"]) == list(known["material_id"])
    np.testing.assert_allclose(rows[ENERGY], known[ENERGY], rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["mine.csv", "--source", "x"], "--source is of rows in the store"),
        (["mine.csv", "--split", "val"], "--split is of rows in the store"),
        (["--labels", "l.csv"], "--labels is of a table or folder"),
        (["nobody.csv"], "nobody.csv: no such file"),
        (["empty.csv"], "empty.csv: no structure can be read"),
        (["mine.csv", "--output", "rows.txt"], "must end in .parquet or .csv"),
    ],
)
def test_what_does_not_go_together_is_one_line(run, own_store, fresh, arguments, words):
    write_csv(Path("mine.csv"), fresh[:1])
    write_csv(Path("empty.csv"), [("a", "no crystal", 0.1)])
    refused = run("evaluate", *arguments, "--store", own_store.path)
    assert (refused.code, refused.err.count("\n")) == (2, 1), refused.err
    assert words in refused.err
