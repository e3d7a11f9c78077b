"""What the terminal tells of classes: scores and probabilities, no error without a unit."""

import re

import numpy as np
import pandas as pd
import pytest
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from crystalgnn_core.learning.calibration.intervals import Intervals
from crystalgnn_core.learning.checkpoints import load_bundle, write_bundle
from crystalgnn_core.learning.metrics import compare_targets
from crystalgnn_core.learning.promotion.decision import Decision, ModelUsage, TopOverlap
from crystalgnn_core.learning.promotion.evidence import Evidence
from crystalgnn_core.learning.scaling import TargetScaler
from crystalgnn_core.models.ensemble import EnsembleNetwork
from deployments.errors import show_decision, show_errors

TARGETS = ("band_gap", "poisson_ratio", "is_metal")
UNITS = {"band_gap": "eV", "poisson_ratio": "", "is_metal": ""}
TRUE = np.array([[1.0, 0.2, 1.0], [2.0, 0.3, 0.0], [3.0, np.nan, 1.0]])
SAID = np.array([[1.5, 0.25, 0.75], [2.5, 0.35, 0.25], [3.5, 0.3, 0.4]])


@pytest.fixture
def metrics():
    return compare_targets(TARGETS, TRUE, dict(zip(TARGETS, SAID.T, strict=True)))


@pytest.fixture
def shown(capsys):
    def call(function, *arguments):
        function(*arguments)
        rows = capsys.readouterr().out.splitlines()
        cells = [[cell.strip() for cell in row.split("\u2502")[1:-1]] for row in rows]
        return {row[0]: row[1:] for row in cells if row}, "\n".join(rows)

    return call


def test_numbers_and_classes_stand_in_tables_of_their_own(shown, metrics):
    rows, out = shown(show_errors, "m, test split", metrics, UNITS)
    assert rows["band_gap"] == ["eV", "3", "0.5000", "0.5000", "0.6250"]  # 1 - 0.75 / 2
    assert rows["poisson_ratio"][:3] == ["", "2", "0.0500"]
    # two of three classes right, of the metals one of two; every pair in order
    log_loss = -np.log([0.75, 0.75, 0.4]).mean()
    assert rows["is_metal"] == [
        "3",
        "0.6667",
        "0.7500",
        "1.0000",
        "0.6667",
        f"{log_loss:.4f}",
    ]
    assert "m, test split, classes" in out
    assert "None" not in out


def test_the_trees_stand_beside(shown, metrics):
    rows, out = shown(show_errors, "Test split", metrics, UNITS, metrics)
    assert rows["band_gap"] == ["eV", "0.5000", "0.5000", "3"]
    assert rows["is_metal"][-2:] == ["0.6667", "1.0000"]
    rows, out = shown(show_errors, "Test split", metrics, UNITS, {})
    assert rows["is_metal"][-2:] == ["", ""]
    assert "None" not in out


def test_champion_and_challenger_are_told_by_what_they_are_compared_by(shown, metrics):
    decision = Decision(
        is_promoted=True,
        reason="",
        champion="old",
        challenger="new",
        champion_metrics=metrics,
        challenger_metrics=metrics,
    )
    rows, _ = shown(show_decision, decision)
    brier = (0.0625 + 0.0625 + 0.36) / 3
    assert rows["is_metal"] == ["Brier score", f"{brier:.4f}", f"{brier:.4f}"]
    assert rows["band_gap"] == ["MAE", "0.5000", "0.5000"]


def test_a_decision_is_shown_with_its_evidence(shown, metrics):
    found = Evidence(
        n=1200,
        n_groups=900,
        champion_error=0.2,
        challenger_error=0.15,
        improvement=0.25,
        uncertainty=0.05,
        low=0.16,
        high=0.34,
    )
    usage = ModelUsage(structures_per_second=1234.5, n_bytes=2_500_000)
    decision = Decision(
        is_promoted=True,
        reason="",
        champion="old",
        challenger="new",
        n_test=1200,
        champion_metrics=metrics,
        challenger_metrics=metrics,
        evidence={"together": found, "frozen": found},
        targets={"band_gap": found},
        usage={"new": usage},
        top_overlap=TopOverlap(target="formation_energy_per_atom", k=50, n_shared=41),
    )
    rows, out = shown(show_decision, decision)
    numbers = ["1,200", "0.2000", "0.1500", "+25.0%", "+16.0% to +34.0%"]
    assert rows["all that neither learned from"] == numbers
    assert rows["all, band_gap"] == numbers
    assert "note     new: 1,234 structures/s, 2.5 MB of weights" in out
    assert "50 rows with the lowest formation_energy_per_atom both name 41" in out


def test_who_awaits_approval_is_listed_until_another_model_is_champion(own_store, run):
    decision = Decision(
        is_promoted=False,
        reason="awaits approval: it has won",
        champion=own_store.champion,
        challenger=own_store.other,
        awaits_approval=True,
    )
    folder = own_store.path / "models" / own_store.other
    (folder / "decision.json").write_text(decision.model_dump_json())
    where = ("--store", own_store.path)
    assert "awaits approval" in run("models", "list", *where).out
    run("models", "promote", own_store.other, *where)
    assert "awaits approval" not in run("models", "list", *where).out


def test_models_and_predictions_of_classes(own_store, run, metrics, tmp_path):
    folder = own_store.path / "models" / own_store.other
    network, card = load_bundle(folder)
    names = ("is_metal", "poisson_ratio")
    changed = card.model_copy(
        update={
            "scaler": TargetScaler(targets=names, mean=(0.0, 0.0), std=(1.0, 1.0)),
            "units": {name: UNITS[name] for name in names},
            "label_schemes": dict.fromkeys(names, "PBE"),
            "metrics": {"test": metrics},
        }
    )
    write_bundle(folder, network, changed)
    listed = "".join(run("models", "list", "--store", own_store.path).out.split())
    for text in (
        "is_metalaccuracy0.6667",
        "AUC1.0000",
        "poisson_ratioMAE0.0500",
        "testerrors",
    ):
        assert text in listed.replace("\u2502", "")
    salt = Structure.from_spacegroup(
        "Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]
    )
    salt.to(str(tmp_path / "salt.cif"))
    out = run("predict", "salt.cif", "--model", folder, "--store", own_store.path).out
    [line] = [line for line in out.splitlines() if "is_metal" in line]
    assert line.endswith("(probability)  [PBE]")
    assert "None" not in out
    assert "()" not in out


def test_errors_at_zero_and_elsewhere_stand_in_a_table_of_their_own(shown):
    true = np.array([[0.0], [0.0], [1.0], [3.0]])
    said = np.array([0.0, 0.5, 0.0, 2.0])
    plain = compare_targets(("band_gap",), true, {"band_gap": said})
    probability = np.array([0.1, 0.6, 0.3, 0.9])
    columns = {"band_gap": said, "band_gap_nonzero_probability": probability}
    both = compare_targets(("band_gap",), true, columns)
    rows, out = shown(show_errors, "Test split", both, UNITS, plain)
    assert "Test split, at zero and elsewhere" in out
    assert rows["band_gap"][1:] == [
        "2 of 4",
        "0.2500",
        "1.0000",
        "0.7500",
        "0.5000",
        "0.2175",
    ]
    assert rows["of composition-only trees"][2:] == ["0.2500", "1.0000", "0.6250", "", ""]
    _, out = shown(show_errors, "Test split", both, UNITS)
    assert "trees" not in out
    assert "None" not in out


def test_predictions_in_two_parts_are_shown_with_both(own_store, run, tmp_path):
    folder = own_store.path / "models" / own_store.other
    network, card = load_bundle(folder)
    names = ("band_gap",)
    scaler = TargetScaler(targets=names, mean=(2.0,), std=(1.0,), hurdle=names)
    schemes = {"band_gap": "PBE"}
    changed = card.model_copy(update={"scaler": scaler, "label_schemes": schemes})
    write_bundle(folder, network, changed)
    salt = Structure.from_spacegroup(
        "Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]
    )
    salt.to(str(tmp_path / "salt.cif"))
    options = ("--model", folder, "--store", own_store.path)
    out = run("predict", "salt.cif", *options).out
    [line] = [line for line in out.splitlines() if "band_gap" in line]
    number = r"\d+\.\d{4}"
    parts = f"not 0 with probability {number}, then {number} eV"
    assert re.search(rf"band_gap  {number} eV, {parts}  \[PBE\]$", line)
    out = "".join(run("predict", "salt.cif", "salt.cif", *options).out.split())
    for heading in ("band_gap(eV)", "P(band_gap>0)", "band_gapif>0(eV)"):
        assert heading in out


def test_what_intervals_hold_stands_in_a_table_of_its_own(shown, metrics):
    true = np.array([[0.0], [1.0], [2.0], [np.nan]])
    said = np.array([0.0, 1.5, 3.0, 1.0])
    columns = {"band_gap": said, "band_gap_low": said - 0.5, "band_gap_high": said + 1}
    found = compare_targets(("band_gap",), true, columns)
    rows, out = shown(show_errors, "Test split", found, UNITS)
    assert "Test split, 90 % intervals" in out
    assert "66.7%" in out  # the ends count; the one of 2.5 to 4 does not hold 2
    assert rows["band_gap"][0] == "eV"
    _, out = shown(show_errors, "Test split", metrics, UNITS)
    assert "intervals" not in out


def test_spread_and_interval_stand_behind_a_prediction(own_store, run, tmp_path):
    folder = own_store.path / "models"
    first, _ = load_bundle(folder / own_store.champion)
    second, card = load_bundle(folder / own_store.other)
    targets = card.scaler.targets
    rng = np.random.default_rng(0)
    predicted = {name + end: rng.random(50) for name in targets for end in ("", "_std")}
    labels, statistics = rng.random((50, 2)), rng.random((50, 3))
    intervals = Intervals.fit(card.scaler, predicted, labels, statistics, chose_epoch=False)
    changed = card.model_copy(
        update={"intervals": intervals, "training": card.training | {"members": 2}}
    )
    write_bundle(tmp_path / "two", EnsembleNetwork([first, second]), changed)
    salt = Structure.from_spacegroup(
        "Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]
    )
    salt.to(str(tmp_path / "salt.cif"))
    options = ("--model", tmp_path / "two", "--store", own_store.path)
    lines = run("predict", "salt.cif", *options).out.splitlines()
    number = r"-?\d+\.\d{4}"
    for line, unit in zip(lines, ("eV/atom", "eV"), strict=True):
        wanted = (
            rf"{number} {unit}, spread of 2 members {number}, "
            rf"90 % interval {number} to {number}  \["
        )
        assert re.search(wanted, line), line
    table = run("predict", "salt.cif", "salt.cif", *options).out
    assert len(re.findall(rf"{number} \[{number}, {number}\]", table)) == 4
    run("predict", "salt.cif", *options, "--output", "table.csv")
    names = pd.read_csv(tmp_path / "table.csv").columns[2:-2].tolist()
    ends = ("", "_std", "_low", "_high")
    assert names == [name + end for name in targets for end in ends]
