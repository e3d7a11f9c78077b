"""Values that are predicted with a distribution."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import laplace

from crystalgnn_core.reporting.screen import _describe_score
from crystalgnn_core.screening.config import ScoreConfig, ScreeningConfig
from crystalgnn_core.screening.criteria import Above, Below, Window
from crystalgnn_core.screening.expected import are_uncertain, log_desirability
from crystalgnn_core.screening.ranking import score_candidates
from crystalgnn_core.screening.screen import _name_screen

GAP = Window(column="band_gap", low=1.0, high=3.0, width=0.25)
PARTS = ("band_gap_nonzero_probability", "band_gap_if_nonzero")


def desirability(criterion, suffix="", **columns):
    frame = pd.DataFrame({name: [value] for name, value in columns.items()})
    return float(np.exp(log_desirability(criterion, frame, suffix))[0])


def test_two_parts_count_by_their_chance():
    parts = dict(zip(PARTS, (0.8, 2.0), strict=True))
    zero = np.exp(-(4.0**2) / 2)  # four widths below the window
    assert desirability(GAP, band_gap=1.6, **parts) == pytest.approx(0.8 + 0.2 * zero)


@pytest.mark.parametrize(("chance", "value"), [(1.0, 2.0), (1.0, 0.8), (0.0, 0.0)])
def test_parts_that_are_certain_are_one_number(chance, value):
    parts = dict(zip(PARTS, (chance, value), strict=True))
    found = desirability(GAP, band_gap=value, **parts)
    assert found == pytest.approx(desirability(GAP, band_gap=value))


@pytest.mark.parametrize(
    ("criterion", "value", "half_width"),
    [
        (GAP, 2.9, 0.6),
        (GAP, 0.9, 0.3),
        (Below(column="formation_energy_per_atom", midpoint=-0.5, width=0.25), -0.9, 0.9),
        (Above(column="bulk_modulus", midpoint=100, width=20), 130.0, 40.0),
        (Window(column="fermi_energy", low=-1, high=2, width=0.5), 5.0, 4.0),
    ],
)
def test_an_interval_is_the_mean_over_a_laplace_distribution(criterion, value, half_width):
    name = criterion.column
    ends = {f"{name}_low": value - half_width, f"{name}_high": value + half_width}
    spread = laplace(value, half_width / np.log(10))
    assert spread.cdf(value + half_width) - spread.cdf(value - half_width) == (
        pytest.approx(0.9)
    )
    wanted, _ = quad(
        lambda x: np.exp(criterion.log_desirability(np.array([x])))[0] * spread.pdf(x),
        value - 10 * half_width,
        value + 10 * half_width,
        points=[value, *filter(np.isfinite, criterion.wanted())],
        limit=200,
    )
    found = desirability(criterion, **{name: value}, **ends)
    assert found == pytest.approx(wanted, abs=0.02)
    assert abs(found - desirability(criterion, **{name: value})) > 0.02


@pytest.mark.parametrize("value", [4.5, 5.5])
def test_a_wide_gap_that_is_less_certain_is_not_wanted_more(value):
    """The interval of a gap that may be zero begins at zero, however sharp the gap is."""
    likely, less = (
        desirability(
            GAP,
            band_gap=value,
            **dict(zip(PARTS, (chance, value), strict=True)),
            band_gap_low=low,
            band_gap_high=value + 0.5,
        )
        for chance, low in ((0.96, value - 0.5), (0.93, 0.0))
    )
    assert less == pytest.approx(likely, rel=0.2, abs=1e-3)


def test_the_upper_end_of_a_value_in_two_parts_is_exceeded_by_one_in_twenty():
    chance, value, scale = 0.8, 2.0, 0.3
    high = laplace(value, scale).ppf(1 - 0.05 / chance)
    parts = dict(zip(PARTS, (chance, value), strict=True))
    found = desirability(GAP, band_gap=1.7, **parts, band_gap_low=0.0, band_gap_high=high)
    ends = {"band_gap_low": value - scale * np.log(10)}
    ends["band_gap_high"] = value + scale * np.log(10)
    there = desirability(GAP, band_gap=value, **ends)
    assert found == pytest.approx(chance * there, abs=1e-3)


def test_no_gap_is_below_zero():
    low_gaps = Below(column="band_gap", midpoint=0.1, width=0.001)
    parts = dict(zip(PARTS, (1.0, 0.05), strict=True))
    ends = {"band_gap_low": 0.0, "band_gap_high": 0.4}
    # nearly half of the distribution about 0.05 eV would lie below zero
    assert 0.5 < desirability(low_gaps, band_gap=0.05, **parts, **ends) < 0.8


def test_known_values_are_one_number():
    parts = dict(zip(PARTS, (0.1, 9.0), strict=True))
    assert desirability(GAP, "_true", band_gap_true=2.0, band_gap=0.0, **parts) == 1.0


def test_a_likelier_gap_in_the_window_ranks_first():
    candidates = pd.DataFrame(
        {
            "formation_energy_per_atom": -2.0,
            "band_gap": [2.0, 2.0, 2.0, 0.0, np.nan],
            PARTS[0]: [0.99, 0.7, 0.99, 0.2, 0.9],
            PARTS[1]: [2.0, 2.4, 1.1, 2.0, 2.0],
            "band_gap_low": [1.7, 0.0, 0.5, 0.0, 1.0],
            "band_gap_high": [2.3, 3.1, 1.7, 2.0, 3.0],
        }
    )
    found = score_candidates(candidates, ScoreConfig().resolve())
    assert np.argsort(-found[:4]).tolist() == [0, 2, 1, 3]
    assert np.isnan(found[4])


@pytest.mark.parametrize("ends", [(), ("band_gap_low", "band_gap_high")])
def test_the_report_says_what_counts_of_an_uncertain_value(ends):
    targets = ("formation_energy_per_atom", "band_gap")
    card: Any = SimpleNamespace(
        column_names=(*targets, *ends),
        scaler=SimpleNamespace(targets=targets),
        nonzero_only=(),
    )
    text = _describe_score(ScreeningConfig(), [card])
    assert ("the mean counts" in text) == bool(ends)


@given(st.floats(0, 1), st.floats(0, 25), st.floats(0, 1e6), st.floats(0.01, 1))
def test_extremes_stay_between_zero_and_one(chance, value, half_width, width):
    criterion = GAP.model_copy(update={"width": width})
    found = desirability(
        criterion,
        band_gap=value,
        **dict(zip(PARTS, (chance, value), strict=True)),
        band_gap_low=max(value - half_width, 0.0),
        band_gap_high=value + half_width,
    )
    assert 0 <= found <= 1 + 1e-12


def test_only_screens_by_such_models_have_another_name():
    """Rankings of models that predict numbers alone stay as they are."""
    targets = ("formation_energy_per_atom", "band_gap")
    candidates = pd.DataFrame(
        {"source": ["a"], "candidate_id": ["1"], "structure_digest": ["x"]}
    )

    def name_for(*columns):
        card = SimpleNamespace(
            predictions_digest="5a" * 32,
            column_names=columns,
            scaler=SimpleNamespace(targets=targets),
            nonzero_only=(),
        )
        cards: Any = [card]
        screening = ScreeningConfig(sources=("a",))
        return are_uncertain(cards, targets), _name_screen(
            screening, cards, candidates, None
        )

    plain, in_parts = name_for(*targets), name_for(*targets, *PARTS)
    with_interval = name_for(*targets, "band_gap_low", "band_gap_high")
    other = name_for(*targets, "bulk_modulus_low", "novelty", "band_gap_std")
    assert not plain[0]
    assert other == plain
    assert in_parts[0]
    assert with_interval[0]
    assert in_parts[1] == with_interval[1] != plain[1]
