"""`ingest`, `screen` and `finetune` end to end on a Prefect server.

`tests/ways` runs commands as processes, with the help from here.
"""

import json
import os
import subprocess
import sys

import pandas as pd
import pytest

from crystalgnn_core.learning.cards import read_card
from crystalgnn_core.learning.registry import Registry
from crystalgnn_core.records.table.store import RecordStore
from tests.core.sources.jarvis.test_source import record
from tests.deployments.test_predict_command import INPUTS, SALT
from tests.processes import Outcome

pytestmark = [
    pytest.mark.xdist_group("prefect"),
    pytest.mark.usefixtures("prefect_api"),
]

# what screening refuses later, for want of a model, is a fine record
BAD = {name for name, (_, reason) in INPUTS.items() if reason != "ok"}
INGEST_REJECTS = ("unreadable_structure", "disordered_site", "overlapping_atoms")


def crystalgnn(*arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "deployments.cli", *map(str, arguments)],
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


@pytest.fixture
def command(run, monkeypatch):
    """Run a command in this process, which keeps its worker processes for the next one."""
    monkeypatch.setattr("crystalgnn_core.parallel.close_pool", lambda: None)

    def call(*arguments: object, code: int = 0) -> Outcome:
        outcome = run(*arguments)
        assert outcome.code == code, outcome
        return outcome

    return call


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.replace("┃", "│").split("│") if cell.strip()]


def rows(out: str, first: str) -> list[list[str]]:
    """Return the table rows that begin with a cell."""
    return [cells(line) for line in out.splitlines() if cells(line)[:1] == [first]]


@pytest.fixture
def table(tmp_path):
    """Table with every kind of bad row, two equal ids, and labels that are not there."""
    cif = SALT.to(fmt="cif")
    structures = [cif if s is None else s.to(fmt="cif") for s, _ in INPUTS.values()]
    structures[1] = "data_broken\nloop_\n"
    entries = [(*pair, "1.5") for pair in zip(INPUTS, structures, strict=True)]
    entries += [
        ("a-good", cif, "1.5"),
        ("i-missing", cif, ""),
        ("j-nan", cif, "NaN"),
        ("k-text", cif, "about 2"),
        ("l-unit", cif, "1e9"),
        ("", cif, "1.5"),
    ]
    path = tmp_path / "table.csv"
    frame = pd.DataFrame(entries, columns=["material_id", "cif", "gap"])
    frame.to_csv(path, index=False)
    return path


def test_ingest_counts_every_reason(command, table, tmp_path):
    store = tmp_path / "store"
    options = ("--source", "files", "--path", table, "--store", store)
    target = ("--target", "band_gap=gap@PBE", "--target", "is_metal=gap<=0@PBE")
    out = command("ingest", *options, *target).out
    [line] = rows(out, "table")
    assert line[1:5] == ["14", "5", "9", "5"]  # rows in, kept, rejected, new
    counts = {cell[1]: int(cell[2]) for cell in rows(out, "ingest")}
    assert counts == {
        "unreadable_structure": 1,
        "disordered_site": 1,
        "overlapping_atoms": 1,
        "duplicate_id": 1,
        "missing_label": 2,
        "invalid_label": 1,
        "implausible_label": 1,
        "missing_id": 1,
    }
    records = RecordStore(store)
    stored = records.read(["table"]).to_pandas()
    assert (stored["is_metal"] == (stored["band_gap"] <= 0)).all()
    kept = stored["material_id"].tolist()
    # an isolated atom is a fine record: graphs and models refuse it
    assert kept == ["a-good", "e-isolated", "f-one-atom", "g-skewed", "h-unseen"]
    assert records.rejects().num_rows == sum(counts.values())

    [again] = rows(command("ingest", *options, *target).out, "table")
    assert again[1:6] == ["14", "5", "9", "0", "0"]
    assert again[-1] == "unchanged"


def test_labels_that_a_database_row_is_kept_without_are_shown(command, tmp_path):
    path = tmp_path / "jdft.json"
    path.write_text(json.dumps([record("a"), record("b", bulk_modulus_kv=-3.0)]))
    done = command("ingest", "--source", "jarvis", "--path", path, "--store", tmp_path)
    assert rows(done.out, "jarvis") == [
        ["jarvis", "2", "2", "0", "2", "0", "0", "0", "large"],
        ["jarvis", "bulk_modulus", "1"],
    ]


def test_screen_of_a_folder_with_the_champion(command, own_store, tmp_path):
    folder = tmp_path / "my candidates"
    folder.mkdir()
    for name, (structure, _) in INPUTS.items():
        text = "data_broken\nloop_\n" if structure is None else structure.to(fmt="cif")
        (folder / f"{name}.cif").write_text(text)
    options = ("--model", "champion", "--store", own_store.path)
    out = command("screen", folder, *options).out
    # the skewed cell is the same crystal as the good one
    assert "8 candidates = 2 scored + 5 rejected + 1 duplicates" in out
    counts = {(stage, reason): n for stage, reason, n in map(tuple, _rejected(out))}
    assert counts == {
        **{("ingest", reason): "1" for reason in INGEST_REJECTS},
        ("screen", "isolated_atom"): "1",
        ("screen", "unseen_element"): "1",
    }
    [ranking] = own_store.path.glob("screens/my-candidates-*/ranking.csv")
    assert f"ranking  {ranking}" in out
    assert (ranking.parent / "report.html").is_file()
    frame = pd.read_csv(ranking)
    assert set(frame["candidate_id"]) == {"a-good", "f-one-atom"}


def test_finetune_goes_on_from_a_model_and_moves_no_champion(command, own_store):
    settings = ("training.sources=[synthetic]", "finetuning.epochs=1")
    options = [word for setting in settings for word in ("--set", setting)]
    store = ("--store", own_store.path)
    done = command("finetune", "--model", own_store.other, *options, *store)
    [line] = [text for text in done.out.splitlines() if "epochs of 3 members," in text]
    model_id = line.split(":")[0]
    assert f"before, {own_store.other}: formation_energy_per_atom MAE" in line
    for beside in ("as it was", "recalibrated", "fine-tuned", "composition alone"):
        assert beside in done.out
    bundle = own_store.path / "models" / model_id
    assert f"bundle   {bundle}" in done.out
    card = read_card(bundle)
    assert card.base is not None
    assert card.base.model_id == own_store.other
    assert (bundle / "history.png").is_file()
    assert set(Registry(own_store.path).champions().values()) == {own_store.champion}
    again = command("finetune", "--model", own_store.other, *options, *store)
    assert "trained already (skipped)" in again.out


def test_empty_folder_is_one_line(command, tmp_path):
    (tmp_path / "empty").mkdir()
    options = ("--source", "files", "--path", tmp_path / "empty")
    done = command("ingest", *options, "--store", tmp_path / "store", code=2)
    assert "no structure files" in done.err
    assert done.err.count("\n") == 1, done.err


def _rejected(out: str) -> list[list[str]]:
    return [*rows(out, "ingest"), *rows(out, "screen")]
