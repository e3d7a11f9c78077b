import pytest

from crystalgnn_core.reporting.text import (
    format_number,
    format_seconds,
    format_share,
    format_wanted,
    formula_markup,
    relative_link,
)
from crystalgnn_core.screening.criteria import Above, Below, Window


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1.23456, "1.235"),
        (-0.5, "\N{MINUS SIGN}0.500"),
        (-0.0001, "0.000"),
        (1234.5, "1,234.500"),
        (float("nan"), "\N{EN DASH}"),
        (None, "\N{EN DASH}"),
    ],
)
def test_number_has_fixed_decimals_and_no_negative_zero(value, expected):
    assert format_number(value) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.84, "0.8 s"),
        (59.97, "1 min 00 s"),
        (83.2, "1 min 23 s"),
        (3599.9, "1 h 00 min"),
        (7500, "2 h 05 min"),
    ],
)
def test_duration_carries_over_to_the_larger_unit(seconds, expected):
    assert format_seconds(seconds) == expected


def test_small_share_is_not_written_as_zero():
    assert format_share(1, 1_000_000).startswith("<")
    assert format_share(0, 10).startswith("0")
    assert format_share(1, 0) == "\N{EN DASH}"


def test_share_just_below_all_is_not_written_as_all():
    assert not format_share(9994, 10_000).startswith("100")


def test_window_with_one_bound_shows_one_bound():
    window = Window(column="band_gap", low=1.0, high=2.5, width=0.1)
    assert format_wanted(window) == "band gap 1\N{EN DASH}2.5 eV"
    above = Above(column="bulk_modulus", midpoint=100, width=20)
    assert format_wanted(above) == "bulk modulus \N{GREATER-THAN OR EQUAL TO} 100 GPa"
    below = Below(column="poisson_ratio", midpoint=-0.2, width=0.1)
    assert format_wanted(below) == (
        "Poisson ratio \N{LESS-THAN OR EQUAL TO} \N{MINUS SIGN}0.2"
    )


def test_formula_is_escaped_between_its_subscripts():
    assert formula_markup("<b>2") == "&lt;b&gt;2"
    assert formula_markup("Fe2O3") == "Fe<sub>2</sub>O<sub>3</sub>"


def test_relative_link_keeps_folders():
    assert relative_link("cif/a.cif") == "cif/a.cif"
    assert relative_link("") is None
    assert relative_link("c:\\x.cif") is None
