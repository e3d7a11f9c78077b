import math

import numpy as np
import pytest
from pydantic import ValidationError

from crystalgnn_core.contracts.criteria import CriterionContract
from crystalgnn_core.screening.criteria import Above, Below, Window


class TestWindow(CriterionContract):
    criterion = Window(column="band_gap", low=1.0, high=3.0, width=0.5)


class TestBelow(CriterionContract):
    criterion = Below(column="energy_above_hull", midpoint=0.05, width=0.02, weight=2)


class TestAbove(CriterionContract):
    criterion = Above(column="bulk_modulus", midpoint=100, width=20)


class TestOfAClass(CriterionContract):
    criterion = Below(column="is_metal", midpoint=0.5, width=0.1)


def desirability(criterion, value):
    return float(np.exp(criterion.log_desirability(np.array([value])))[0])


def test_desirabilities_by_hand():
    window = TestWindow.criterion
    assert [desirability(window, gap) for gap in (1.0, 2.0, 3.0)] == [1.0, 1.0, 1.0]
    # one width outside, on either side
    assert desirability(window, 0.5) == pytest.approx(math.exp(-0.5))
    assert desirability(window, 3.5) == pytest.approx(math.exp(-0.5))
    above = TestAbove.criterion
    assert desirability(above, 100.0) == pytest.approx(0.5)
    assert desirability(above, 120.0) == pytest.approx(1 / (1 + math.exp(-1)))
    below = TestBelow.criterion
    assert desirability(below, 0.05) == pytest.approx(0.5)
    assert desirability(below, 0.03) == pytest.approx(1 / (1 + math.exp(-1)))


def test_sentences_state_the_numbers_with_their_units():
    assert TestWindow.criterion.sentence() == (
        "band gap from 1 to 3 eV, falling as exp(\N{MINUS SIGN}(distance / 0.5 eV)² / 2) "
        "outside"
    )
    assert TestAbove.criterion.sentence() == (
        "bulk modulus above 100 GPa, as 1 / (1 + exp((midpoint \N{MINUS SIGN} value) / "
        "20 GPa))"
    )
    cold = Below(column="formation_energy_per_atom", midpoint=-1.5, width=0.1)
    assert "formation energy below \N{MINUS SIGN}1.5 eV/atom" in cold.sentence()


@pytest.mark.parametrize(
    ("kind", "settings", "words"),
    [
        (Window, {"low": 3, "high": 1, "width": 1}, "low 3 is above high 1; swap them"),
        (Window, {"low": 1, "high": math.inf, "width": 1}, "finite number"),
        (Window, {"low": 1, "high": 3, "width": 0}, "greater than 0"),
        (Above, {"midpoint": 1, "width": 1, "weight": -1}, "greater than or equal to 0"),
        (Above, {"column": "hardness", "midpoint": 1, "width": 1}, "unknown target"),
    ],
)
def test_settings_without_a_meaning_are_refused(kind, settings, words):
    with pytest.raises(ValidationError, match=words):
        kind(**{"column": "band_gap"} | settings)
