"""A fine-tuned model that falls short of what was there before says so."""

from typing import Any

import pandas as pd
import pytest

from crystalgnn_core.learning.adaptation.verdict import rivals, shortcomings
from crystalgnn_core.learning.cards import BaseReference, ModelCard
from crystalgnn_core.learning.metrics import Metrics

ENERGY = "formation_energy_per_atom"


def error(mae):
    return {ENERGY: Metrics(n=9, mae=mae, rmse=mae, r2=0.5, mad=1.0)}


@pytest.fixture
def card():
    """A card with a base; test errors 0.2, base 0.4, recalibrated 0.3, trees 0.5."""
    known: dict[str, Any] = {
        "model_id": "old",
        "metrics": {"test": error(0.4)},
        "recalibrated": {"test": error(0.3)},
    }
    base = BaseReference.model_construct(**known)
    content: dict[str, Any] = {
        "training": {"epochs": 3, "members": 1},
        "metrics": {"test": error(0.2)},
        "baseline": error(0.5),
        "base": base,
    }
    return ModelCard.model_construct(**content)


def history(*errors):
    return pd.DataFrame({"epoch": range(1, len(errors) + 1), "val_error": errors})


def test_a_good_model_has_nothing_said_against_it(card):
    assert shortcomings(card, history(0.5, 0.3, 0.4)) == ()


def test_what_it_is_worse_than_is_named_with_both_errors(card):
    worse = card.model_copy(update={"metrics": {"test": error(0.35)}})
    first, second = shortcomings(worse, history(0.5, 0.3, 0.4))
    assert "test MAE 0.3500 eV/atom is worse than MAE 0.3000 eV/atom of old recal" in first
    assert "finetuning.freeze: none" in second


def test_a_model_below_its_floor_says_so(card):
    low = card.model_copy(update={"baseline": error(0.1)})
    assert "trees that see the composition alone" in shortcomings(low, history(2, 1, 3))[0]


def test_a_best_epoch_that_is_the_last_planned_one_is_said(card):
    [said] = shortcomings(card, history(0.5, 0.4, 0.3))
    assert "still improving: the best epoch is the last, 3 of 3" in said
    assert shortcomings(card, history(0.5, 0.4)) == ()  # stopped before


def test_one_member_that_still_improves_is_enough(card):
    first = history(0.5, 0.3, 0.4).assign(member=1)
    both = pd.concat([first, history(0.5, 0.4, 0.3).assign(member=2)])
    assert "still improving" in shortcomings(card, both)[0]


def test_a_model_from_fresh_weights_has_no_rivals(card):
    fresh = card.model_copy(update={"base": None})
    assert rivals(fresh) == {}
    assert shortcomings(fresh, history(3, 2, 1)) == ()
