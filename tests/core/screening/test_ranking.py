import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from crystalgnn_core.errors import ModelError
from crystalgnn_core.screening.config import ScoreConfig, ScreeningConfig
from crystalgnn_core.screening.ranking import (
    check_targets,
    describe_score,
    is_in_windows,
    rank_candidates,
    score_candidates,
)
from crystalgnn_core.screening.screen import _name_screen

CONFIG = ScoreConfig(
    energy_midpoint=-1.0,
    energy_width=0.5,
    gap_window=(1.0, 3.0),
    gap_width=0.5,
    energy_weight=0.25,
)


def scores(energies, gaps, config=CONFIG):
    predicted = pd.DataFrame({"formation_energy_per_atom": energies, "band_gap": gaps})
    return score_candidates(predicted, config.resolve())


def score(energy, gap, config=CONFIG):
    return float(scores([energy], [gap], config)[0])


def test_the_score_by_hand():
    # at the midpoint, inside the window: 0.5^0.25
    assert score(-1.0, 2.0) == pytest.approx(0.5**0.25)
    # one width below the midpoint, one gap width above the window
    energy, gap = 1 / (1 + math.exp(-1)), math.exp(-0.5)
    assert score(-1.5, 3.5) == pytest.approx(energy**0.25 * gap**0.75)
    assert score(-1.5, 0.5) == pytest.approx(energy**0.25 * gap**0.75)


@pytest.mark.parametrize(("weight", "expected"), [(0.0, 1.0), (1.0, 0.5)])
def test_a_weight_of_zero_or_one_leaves_one_desirability(weight, expected):
    config = CONFIG.model_copy(update={"energy_weight": weight})
    assert score(-1.0, 2.0, config) == pytest.approx(expected)
    assert score(1e9, 2.0, config) == (1.0 if weight == 0 else 0.0)
    assert score(-1.0, 1e200, config) == (0.5 if weight == 1 else 0.0)


def test_extreme_predictions_overflow_nowhere():
    energies = np.array([-1e12, 1e12, -1e12, 1e12, 0.0])
    gaps = np.array([2.0, 2.0, 1e12, -1e12, 1e300])
    found = scores(energies, gaps)  # warnings are errors here
    assert found.tolist() == [1.0, 0.0, 0.0, 0.0, 0.0]


@given(st.floats(-10, 10), st.floats(0, 20), st.floats(0.01, 1), st.floats(0.01, 1))
def test_a_lower_energy_and_a_nearer_gap_never_score_worse(energy, gap, less, step):
    assert 0.0 <= score(energy, gap) <= 1.0
    assert score(energy - less, gap) >= score(energy, gap)
    nearer = min(max(gap, 1.0), 3.0) * step + gap * (1 - step)
    assert score(energy, nearer) >= score(energy, gap) * (1 - 1e-12)


CANDIDATES = st.lists(
    st.tuples(st.sampled_from("st"), st.integers(0, 30), st.sampled_from([0.1, 0.5, 0.9])),
    unique_by=lambda row: row[:2],
    min_size=1,
)


def frame(rows):
    columns = ["source", "candidate_id", "score"]
    return pd.DataFrame(rows, columns=columns).assign(
        candidate_id=[f"c{number:02d}" for _, number, _ in rows]
    )


@given(CANDIDATES, st.data())
def test_any_partition_and_order_gives_the_same_ranking(rows, data):
    whole = rank_candidates(frame(rows))
    shuffled = data.draw(st.permutations(rows))
    cut = data.draw(st.integers(0, len(rows)))
    k = data.draw(st.integers(1, len(rows)))
    tops = [
        rank_candidates(frame(part)).head(k).drop(columns="rank")
        for part in (shuffled[:cut], shuffled[cut:])
        if part
    ]
    merged = rank_candidates(pd.concat(tops, ignore_index=True)).head(k)
    pd.testing.assert_frame_equal(merged, whole.head(k))


def test_ranks_count_from_one_and_ties_go_by_source_and_id():
    rows = [("t", 1, 0.5), ("s", 2, 0.5), ("s", 1, 0.5), ("s", 9, 0.9)]
    ranked = rank_candidates(frame(rows))
    assert ranked["rank"].tolist() == [1, 2, 3, 4]
    assert (ranked["source"] + ranked["candidate_id"]).tolist() == [
        "sc09",
        "sc01",
        "sc02",
        "tc01",
    ]


def test_the_description_names_every_setting():
    text = describe_score(CONFIG)
    energy, gap = text.split("; ")
    for part in ("formation energy below \N{MINUS SIGN}1 eV/atom", "/ 0.5", "0.25"):
        assert part in energy
    for part in ("band gap from 1 to 3 eV", "/ 0.5 eV", "0.75"):
        assert part in gap


# made by the code of the first version, which knew only the shorter spelling
FIRST = json.loads(
    Path(__file__).with_name("scores_of_first_version.json").read_text(encoding="utf-8")
)


def first_formula(energy, gap, config):
    """The score as the first version computed it."""
    log_energy = -np.logaddexp(0.0, (energy - config.energy_midpoint) / config.energy_width)
    low, high = config.gap_window
    distance = np.maximum(np.maximum(low - gap, gap - high), 0.0)
    log_gap = -0.5 * np.square(np.minimum(distance / config.gap_width, 1e3))
    weight = config.energy_weight
    return np.exp(weight * log_energy + (1.0 - weight) * log_gap)


@pytest.mark.parametrize("case", FIRST["cases"], ids=lambda case: str(case["settings"]))
def test_the_shorter_spelling_gives_the_names_and_scores_it_always_gave(case):
    config = ScoreConfig.model_validate(case["settings"])
    screening = ScreeningConfig(sources=("a", "b"), score=config)
    assert config.settings_digest() == case["score_digest"]
    assert screening.settings_digest() == case["screening_digest"]
    names = ("formation_energy_per_atom", "band_gap")
    card = SimpleNamespace(
        predictions_digest="5a" * 32,
        column_names=names,
        scaler=SimpleNamespace(targets=names),
        nonzero_only=(),
    )
    cards: Any = [card]
    candidates = pd.DataFrame(
        {
            "source": ["a", "a", "b"],
            "candidate_id": ["1", "2", "1"],
            "structure_digest": ["x", "y", "z"],
        }
    )
    fast: Any = SimpleNamespace(weights=("7c" * 32,), keep=0.1, desirability="value")
    assert _name_screen(screening, cards, candidates, None) == case["screen_id"]
    assert _name_screen(screening, cards, candidates, fast) == case["prescreened_id"]
    energies, gaps = FIRST["formation_energy_per_atom"], FIRST["band_gap"]
    found = scores(energies, gaps, config)
    expected = first_formula(np.array(energies), np.array(gaps), config)
    assert found.tolist() == expected.tolist()  # to the bit
    # other processors round exp and log in another way
    assert found == pytest.approx(case["scores"], rel=1e-14, abs=0)


@given(st.floats(0, 1), st.floats(-5, 5), st.floats(0, 10))
def test_any_weight_of_the_shorter_spelling_scores_to_the_bit(weight, energy, gap):
    config = ScoreConfig(energy_weight=weight)
    assert score(energy, gap, config) == first_formula(energy, gap, config)


THREE = {
    "criteria": [
        {"kind": "window", "column": "band_gap", "low": 1, "high": 3, "width": 0.5},
        {"kind": "above", "column": "bulk_modulus", "midpoint": 100, "width": 20},
        {
            "kind": "below",
            "column": "energy_above_hull",
            "midpoint": 0.1,
            "width": 0.02,
            "weight": 2,
        },
    ]
}


def test_three_criteria_by_hand():
    predicted = pd.DataFrame(
        {
            "band_gap": [2.0, 3.5, 2.0],
            "bulk_modulus": [100.0, 120.0, np.nan],
            "energy_above_hull": [0.1, 0.08, 0.0],
        }
    )
    criteria = ScoreConfig.model_validate(THREE).resolve()
    logistic = 1 / (1 + math.exp(-1))
    expected = [
        (1 * 0.5 * 0.5**2) ** (1 / 4),
        (math.exp(-0.5) * logistic * logistic**2) ** (1 / 4),
        np.nan,
    ]
    found = score_candidates(predicted, criteria)
    assert found == pytest.approx(expected, nan_ok=True)
    true = predicted.add_suffix("_true")
    assert score_candidates(true, criteria, suffix="_true") == pytest.approx(
        expected, nan_ok=True
    )
    # only the gap has a range that is bounded on both sides
    assert is_in_windows(predicted, criteria).tolist() == [True, False, True]


def test_a_weight_of_zero_reports_a_criterion_without_counting_it():
    idle = {"kind": "above", "column": "shear_modulus", "midpoint": 50, "width": 9}
    settings = {"criteria": [*THREE["criteria"], idle | {"weight": 0}]}
    config = ScoreConfig.model_validate(settings)
    assert config.targets[-1] == "shear_modulus"
    predicted = pd.DataFrame({name: [1.0] for name in config.targets})
    without = score_candidates(predicted, ScoreConfig.model_validate(THREE).resolve())
    assert score_candidates(predicted, config.resolve()).tolist() == without.tolist()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (THREE | {"gap_window": [1, 3]}, "criteria and gap_window are both given"),
        (
            THREE | {"energy_weight": 0.5, "gap_width": 1},
            "energy_weight, gap_width are both",
        ),
        ({"criteria": [THREE["criteria"][0] | {"weight": 0}]}, "weight above 0"),
        (
            {"criteria": [{"kind": "near", "column": "band_gap"}]},
            "'above', 'below', 'window'",
        ),
        ({"gap_window": [1, math.inf]}, "finite number"),
    ],
)
def test_a_score_that_says_nothing_or_two_things_is_refused(settings, words):
    with pytest.raises(ValidationError, match=words):
        ScoreConfig.model_validate(settings)


@pytest.mark.parametrize("settings", [THREE, {"gap_window": [0.5, 2.0]}, {}])
def test_a_score_survives_being_written_and_read(settings):
    config = ScoreConfig.model_validate(settings)
    assert ScoreConfig.model_validate(config.model_dump(mode="json")) == config
    assert ScoreConfig.model_validate_json(config.model_dump_json()) == config
    # one spelling is written, so that the digest is that of what counts
    assert ("criteria" in config.model_dump()) == bool(config.criteria)
    assert ("gap_window" in config.model_dump()) != bool(config.criteria)


def test_a_column_that_no_model_predicts_is_refused_with_what_would_provide_it():
    config = ScoreConfig.model_validate(THREE)
    known = [("cgcnn-1", ("band_gap", "energy_above_hull"))]
    with pytest.raises(ModelError) as caught:
        check_targets(known, config)
    message = str(caught.value)
    assert "bulk_modulus is predicted by 0 of the models (cgcnn-1)" in message
    assert "add bulk_modulus to training.targets" in message
    moduli = ("trees-2", ("bulk_modulus", "shear_modulus"))
    check_targets([*known, moduli], config)
    with pytest.raises(ModelError, match="leave all but one of them"):
        check_targets([*known, moduli, moduli], config)
