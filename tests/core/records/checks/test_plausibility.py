import math

import pytest

from crystalgnn_core.records.checks.plausibility import without_implausible
from crystalgnn_core.records.schema import RawRecord


def dropped(labels, policy="drop_label", require="any"):
    [raw], [names] = without_implausible([RawRecord("m", None, labels)], policy, require)
    return dict(raw.labels), names


def test_a_label_out_of_range_is_left_out_and_named():
    labels = {"bulk_modulus": -14.03, "shear_modulus": "-2", "band_gap": 1.2}
    assert dropped(labels) == ({"band_gap": 1.2}, ("bulk_modulus", "shear_modulus"))


@pytest.mark.parametrize(
    "labels",
    [
        {"bulk_modulus": -14.03},
        {"bulk_modulus": -14.03, "band_gap": "na"},
        {"bulk_modulus": -14.03, "band_gap": None, "shear_modulus": math.nan},
    ],
)
def test_a_row_without_any_other_label_keeps_what_it_is_rejected_for(labels):
    assert dropped(labels) == (labels, ())
    assert dropped(labels, require="none")[1] == ("bulk_modulus",)


@pytest.mark.parametrize("value", [math.inf, -math.inf, "soft", True, None, "na", 200.0])
def test_what_is_no_number_out_of_range_is_left_to_the_other_checks(value):
    labels = {"bulk_modulus": value, "band_gap": 1.0, "is_metal": 7}
    assert dropped(labels) == (labels, ())


@pytest.mark.parametrize(
    ("policy", "require"), [("reject_row", "any"), ("drop_label", "all")]
)
def test_nothing_is_left_out_where_the_row_would_be_rejected(policy, require):
    labels = {"bulk_modulus": -1.0, "band_gap": 1.0}
    assert dropped(labels, policy, require) == (labels, ())
