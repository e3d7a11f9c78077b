from __future__ import annotations

import math

import numpy as np
import pytest

from crystalgnn_core.errors import RecordError
from crystalgnn_core.records.labels import checked_labels, class_value, label_value
from crystalgnn_core.records.schema import RawRecord


def test_label_value_reads_numbers_and_text():
    assert label_value("1.5e-3") == 1.5e-3
    assert label_value(np.float32(2.0)) == 2.0
    assert str(label_value(-0.0)) == "0.0"


@pytest.mark.parametrize("value", [None, math.nan, np.float32("nan"), "N/A", " null ", ""])
def test_missing_label_value_is_none(value):
    assert label_value(value) is None


@pytest.mark.parametrize(
    "word", ["\\N", "1.#QNAN", "-1.#IND", "-nan(ind)", ".", "nil", "-nan"]
)
def test_words_of_other_programs_for_a_missing_value_are_known(word):
    """Of PostgreSQL and MySQL, of C on Windows, of SAS and Stata, of Lua and Go."""
    assert label_value(word) is None


@pytest.mark.parametrize(
    "value", ["metal", "1,5", True, [1.0], 1j, pytest.param(10**400, id="large")]
)
def test_label_value_that_is_no_number_is_refused(value):
    with pytest.raises(RecordError, match="not a number"):
        label_value(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1, 1.0),
        (0.0, 0.0),
        ("0", 0.0),
        (" 1.0 ", 1.0),
        ("True", 1.0),
        ("false", 0.0),
        (True, 1.0),
        (np.bool_(False), 0.0),
        (np.int64(1), 1.0),
        (None, None),
        (math.nan, None),
        ("na", None),
    ],
)
def test_class_value_reads_zero_one_true_and_false(value, expected):
    assert class_value(value) == expected


@pytest.mark.parametrize("value", [2, 0.5, -1, "yes", "metal", math.inf, "10", [1]])
def test_class_value_that_is_no_class_is_refused(value):
    with pytest.raises(RecordError, match="label") as caught:
        class_value(value)
    assert caught.value.reason == "invalid_label"


def test_a_class_between_its_bounds_is_no_label():
    for value, reason in ((0.5, "invalid_label"), (2.0, "invalid_label")):
        with pytest.raises(RecordError) as caught:
            checked_labels(RawRecord("m", None, {"is_metal": value}, {"is_metal": "PBE"}))
        assert caught.value.reason == reason
    raw = RawRecord("m", None, {"is_metal": 1.0}, {"is_metal": "PBE"})
    assert checked_labels(raw) == {"is_metal": 1.0}


@pytest.mark.parametrize(
    ("name", "value", "is_plausible"),
    [
        ("poisson_ratio", 0.5, True),
        ("poisson_ratio", -1.0, True),
        ("energy_above_hull", -0.1, True),  # below the hull of others
        ("energy_above_hull", 10.1, False),
        ("poisson_ratio", 0.51, False),  # thermodynamics: -1 to 0.5
        ("fermi_energy", -4.2, True),
        ("fermi_energy", 300.0, False),
    ],
)
def test_labels_outside_the_range_of_their_target_are_implausible(
    name, value, is_plausible
):
    raw = RawRecord("m", None, {name: value}, {name: "PBE"})
    if is_plausible:
        assert checked_labels(raw) == {name: value}
        return
    with pytest.raises(RecordError, match=f"{name} is {value:g}.*check the unit"):
        checked_labels(raw)
