from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from crystalgnn_core.base import digest_of
from crystalgnn_core.errors import ConfigError
from crystalgnn_core.records.checks.validation import rejects_table, validate
from crystalgnn_core.records.crystal import Crystal
from crystalgnn_core.records.schema import (
    RawRecord,
    RejectedRecord,
    record_schema,
    reject_schema,
)
from crystalgnn_core.records.table.rows import content_digest

CUBIC = np.eye(3) * 3.905
PEROVSKITE = Crystal(
    np.array([38, 22, 8, 8, 8], dtype=np.int16),
    CUBIC,
    np.array([[0, 0, 0], [0.5] * 3, [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]),
)
TARGETS = ("formation_energy_per_atom", "band_gap")
SCHEMES = dict.fromkeys(TARGETS, "MP GGA/GGA+U MP2020")


def crystal(lattice, *coords, numbers=None):
    frac_coords = np.array(coords, dtype=np.float64).reshape(-1, 3)
    given = numbers or [6] * len(frac_coords)
    return Crystal(
        np.array(given, dtype=np.int16), np.array(lattice, dtype=float), frac_coords
    )


def raw(structure=PEROVSKITE, **changes):
    values = {
        "material_id": "mp-5229",
        "labels": {"formation_energy_per_atom": -3.55, "band_gap": 1.8},
        "label_schemes": SCHEMES,
    }
    return RawRecord(crystal=structure, **(values | changes))


def check(record, *, targets=TARGETS, require_labels="all"):
    """Return the row that a record becomes, or its reject."""
    records, rejects, is_kept = validate(
        [record], source="mp", targets=targets, require_labels=require_labels
    )
    assert records.schema == record_schema()
    assert is_kept == [not rejects]
    results: list[Any] = records.to_pylist() + rejects
    [result] = results
    return result


def test_good_record_becomes_a_row_of_the_schema():
    updated = datetime(2024, 5, 1, tzinfo=UTC)
    stored = check(raw(split="train", license="CC BY 4.0", last_updated=updated))
    assert (stored["formula"], stored["chemsys"]) == ("SrTiO3", "O-Sr-Ti")
    assert stored["atomic_numbers"] == [38, 22, 8, 8, 8]
    assert stored["lattice"] == CUBIC.ravel().tolist()
    assert stored["frac_coords"] == PEROVSKITE.frac_coords.ravel().tolist()
    assert stored["band_gap"] == 1.8
    assert stored["band_gap_scheme"] == "MP GGA/GGA+U MP2020"
    assert stored["bulk_modulus"] is None
    assert stored["last_updated"] == updated
    assert content_digest(stored) == stored["content_digest"]


def test_no_rows_make_an_empty_table():
    checked = validate([], source="mp", targets=(), require_labels="none")
    assert checked.records.schema == record_schema()
    assert (checked.records.num_rows, checked.rejects, checked.is_kept) == (0, [], [])
    assert rejects_table([]).schema == reject_schema()


STRUCTURE_FAULTS = {
    "none": (None, "unreadable_structure"),
    "no atoms": (crystal(CUBIC), "no_atoms"),
    "dummy": (crystal(CUBIC, [0, 0, 0], numbers=[0]), "unknown_element"),
    "element 119": (crystal(CUBIC, [0, 0, 0], numbers=[119]), "unknown_element"),
    "shape": (crystal(CUBIC, [0, 0, 0], numbers=[6, 6]), "unreadable_structure"),
    "nan coordinate": (crystal(CUBIC, [0, math.nan, 0]), "unreadable_structure"),
    "inf lattice": (crystal(np.diag([3, 3, math.inf]), [0, 0, 0]), "unreadable_structure"),
    "flat cell": (crystal([[3, 0, 0], [0, 3, 0], [3, 3, 0]], [0, 0, 0]), "degenerate_cell"),
    "dense": (crystal(np.eye(3) * 1.2, [0, 0, 0], [0.5] * 3), "degenerate_cell"),
    "molecule in a box": (
        crystal(np.eye(3) * 15, [0] * 3, [0.07, 0, 0]),
        "degenerate_cell",
    ),
    "nanometres as picometres": (crystal(np.eye(3) * 1e5, [0, 0, 0]), "degenerate_cell"),
    "same place": (crystal(CUBIC, [0.1] * 3, [0.1] * 3), "overlapping_atoms"),
    "near": (crystal(CUBIC, [0, 0, 0], [0.1, 0, 0]), "overlapping_atoms"),
    "near across the face": (
        crystal(CUBIC, [0.01, 0, 0], [0.99, 0, 0]),
        "overlapping_atoms",
    ),
    "near after many cells": (
        crystal(CUBIC, [0.01, 7, 0], [0.99, -3, 5]),
        "overlapping_atoms",
    ),
    "own image": (crystal(np.diag([0.4, 9, 9]), [0, 0, 0]), "overlapping_atoms"),
    # the rows are long, their difference is 0.3 angstrom
    "own image, skewed": (
        crystal([[9, 0, 0], [9.3, 0.01, 0], [0, 0, 500]], [0, 0, 0]),
        "overlapping_atoms",
    ),
}


@pytest.mark.parametrize("name", STRUCTURE_FAULTS)
def test_faulty_structure_is_rejected_with_its_reason(name):
    structure, reason = STRUCTURE_FAULTS[name]
    reject = check(raw(structure))
    assert isinstance(reject, RejectedRecord)
    assert (reject.reason, reject.material_id) == (reason, "mp-5229")
    assert (reject.source, reject.stage) == ("mp", "ingest")
    assert reject.message.startswith("mp-5229: ")
    assert rejects_table([reject]).num_rows == 1


def test_one_atom_and_very_skewed_cells_are_kept():
    assert isinstance(check(raw(crystal(CUBIC, [0.3, 0.3, 0.3], numbers=[84]))), dict)
    # the same simple cubic crystal, its second row moved along the first by 400 cells
    skewed = [[3.35, 0, 0], [3.35 * 400, 3.35, 0], [0, 3.35 * 77, 3.35]]
    assert isinstance(check(raw(crystal(skewed, [0.3, 0.3, 0.3], numbers=[84]))), dict)


def test_atoms_at_the_smallest_distance_are_kept():
    half = 0.76 / 3.905  # half of a single bond of carbon
    assert isinstance(check(raw(crystal(CUBIC, [0, 0, 0], [half * 1.0001, 0, 0]))), dict)
    assert not isinstance(
        check(raw(crystal(CUBIC, [0, 0, 0], [half * 0.9999, 0, 0]))), dict
    )


def test_error_of_the_source_and_missing_id_come_first():
    reject = check(raw(None, error=("disordered_site", "site 0 is half empty")))
    assert (reject.reason, reject.message) == (
        "disordered_site",
        "mp-5229: site 0 is half empty",
    )
    reject = check(raw(None, material_id=" "))
    assert reject.reason == "missing_id"


@pytest.mark.parametrize("value", [None, math.nan, np.float64("nan"), "na", "", " NaN "])
def test_missing_label_is_missing(value):
    record = raw(labels={"formation_energy_per_atom": -1.0, "band_gap": value})
    reject = check(record)
    assert reject.reason == "missing_label"
    assert "band_gap" in reject.message
    row = check(record, require_labels="any")
    assert row["band_gap"] is None
    assert row["band_gap_scheme"] is None


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ({"band_gap": math.inf}, "invalid_label"),
        ({"band_gap": -math.inf}, "invalid_label"),
        ({"band_gap": "metal"}, "invalid_label"),
        ({"band_gap": True}, "invalid_label"),
        ({"band_gap": [1.0]}, "invalid_label"),
        ({"band_gap": -0.1}, "implausible_label"),
        ({"formation_energy_per_atom": -354.0}, "implausible_label"),
        ({"bulk_modulus": 100.0}, "invalid_label"),  # no scheme
        ({}, "missing_label"),
    ],
)
def test_faulty_label_is_rejected(labels, reason):
    assert check(raw(labels=labels), require_labels="any").reason == reason


def test_label_requirement_counts_only_the_targets_of_the_source():
    unlabelled = raw(labels={})
    assert isinstance(check(unlabelled, require_labels="none"), dict)
    assert isinstance(check(unlabelled, targets=(), require_labels="any"), dict)
    other = raw(labels={"bulk_modulus": 100.0}, label_schemes={"bulk_modulus": "AGL"})
    assert check(other, require_labels="any").reason == "missing_label"


def test_label_of_an_unknown_target_is_an_error_of_the_source():
    with pytest.raises(ConfigError, match="hardness"):
        check(raw(labels={"hardness": 1.0}))


def test_unknown_split_is_named():
    reject = check(raw(split="holdout"))
    assert reject.reason == "invalid_label"
    assert "'holdout'" in reject.message


def test_content_digest_covers_what_a_row_says_and_nothing_else():
    row = check(raw())
    same = check(raw(source_version="2025", last_updated=datetime(2025, 1, 1, tzinfo=UTC)))
    assert same["content_digest"] == row["content_digest"]
    moved = PEROVSKITE._replace(frac_coords=PEROVSKITE.frac_coords + 1e-6)
    others = [
        raw(moved),
        raw(labels={"formation_energy_per_atom": -3.55, "band_gap": 1.9}),
        raw(label_schemes=SCHEMES | {"band_gap": "MBJ"}),
        raw(split="test"),
        raw(run_type="r2SCAN"),
        raw(license="CC0"),
    ]
    digests = {check(other)["content_digest"] for other in others}
    assert len(digests | {row["content_digest"]}) == 7


def test_content_digest_is_that_of_the_json_of_the_content():
    row = check(raw(license='CC "BY" 100 % 4.0', split="val"))
    names = ("structure_digest", "split", "run_type", "license")
    labels = [name for target in TARGETS for name in (target, f"{target}_scheme")]
    assert row["content_digest"] == digest_of(
        {name: row[name] for name in (*names, *labels)}
    )


def test_records_that_are_checked_together_do_not_touch_each_other():
    raws = [
        raw(material_id="a"),
        raw(None, material_id="b"),
        raw(material_id="c", labels={"band_gap": -1.0}),
        raw(crystal(CUBIC, [0, 0, 0], numbers=[84]), material_id="d", split="test"),
        raw(crystal(CUBIC, [0, 0, 0], [0.1, 0, 0]), material_id="e"),
    ]
    checked = validate(raws, source="mp", targets=TARGETS, require_labels="any")
    assert checked.is_kept == [True, False, False, True, False]
    assert checked.records.to_pylist() == [check(raws[0]), check(raws[3])]
    assert checked.rejects == [check(raws[index]) for index in (1, 2, 4)]


def test_formulas_with_noble_gases_raise_no_warning():
    structure = crystal(CUBIC, [0, 0, 0], [0.5] * 3, numbers=[2, 11])
    assert check(raw(structure))["formula"] == "NaHe"


@pytest.mark.parametrize(
    "name", ["material_id", "run_type", "source_version", "license", "error"]
)
def test_halves_of_characters_do_not_stop_a_table(name):
    text = "mp-\ud800-é"
    given = ("unreadable_structure", text) if name == "error" else text
    found = check(raw(**{name: given}))
    if name == "error":
        [found] = rejects_table([found]).to_pylist()
        assert found["message"] == "mp-5229: mp-?-é"
    else:
        assert found[name] == "mp-?-é"


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("9999-12-31T23:59:59-23:59", None),
        ("0001-01-01T00:00:00+23:59", None),
        ("9999-12-31T23:59:59+00:00", "9999-12-31T23:59:59+00:00"),
        ("2024-05-06T09:08:09+02:00", "2024-05-06T07:08:09+00:00"),
    ],
)
def test_a_date_that_no_table_holds_counts_as_missing(text, stored):
    date = check(raw(last_updated=datetime.fromisoformat(text)))["last_updated"]
    assert (date and date.isoformat()) == stored
