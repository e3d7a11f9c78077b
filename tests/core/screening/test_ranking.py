import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crystalgnn_core.screening.config import ScoreConfig
from crystalgnn_core.screening.ranking import (
    describe_score,
    rank_candidates,
    score_candidates,
)

CONFIG = ScoreConfig(
    energy_midpoint=-1.0,
    energy_width=0.5,
    gap_window=(1.0, 3.0),
    gap_width=0.5,
    energy_weight=0.25,
)


def score(energy, gap, config=CONFIG):
    return float(score_candidates(np.array([energy]), np.array([gap]), config)[0])


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
    scores = score_candidates(energies, gaps, CONFIG)  # warnings are errors here
    assert scores.tolist() == [1.0, 0.0, 0.0, 0.0, 0.0]


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
    for part in ("d_E^0.25", "d_gap^0.75", "(-1)", "/ 0.5", "from 1 to 3 eV"):
        assert part in text
