import numpy as np
import pandas as pd
import pytest

from crystalgnn_core.errors import LabelSchemeError
from crystalgnn_core.records.label_schemes import MBJ, MP_2020
from crystalgnn_core.screening.criteria import Below, Window
from crystalgnn_core.screening.quality import RankingQuality, judge_ranking

ENERGY, GAP = "formation_energy_per_atom", "band_gap"
CONFIG = (
    Below(column=ENERGY, midpoint=-1.0, width=0.5),
    Window(column=GAP, low=1.0, high=2.0, width=0.5, weight=0.0),
)


def judge(frame, config, k):
    return judge_ranking(frame, config, k)


def ranking(predicted, true, gaps=None):
    """A ranking in the given order; with weight 1 the score falls with the energy."""
    n = len(true)
    return pd.DataFrame(
        {
            "score": -np.array(predicted),
            ENERGY: predicted,
            f"{ENERGY}_true": true,
            GAP: [1.5] * n,
            f"{GAP}_true": gaps or [1.5] * n,
        }
    )


def test_a_perfect_ranking():
    energies = [-4.0, -3.0, -2.0, -1.0]
    quality = judge(ranking(energies, energies), CONFIG, 2)
    assert (quality.n, quality.k) == (4, 2)
    assert quality.precision == 1.0
    assert quality.enrichment == 2.0  # half of a random order would be right
    energy = quality.targets[ENERGY]
    assert energy.spearman == quality.score_spearman == pytest.approx(1.0)
    assert energy.mae == quality.targets[GAP].mae == 0.0


def test_a_reversed_ranking():
    quality = judge(ranking([-4.0, -3.0, -2.0, -1.0], [-1.0, -2.0, -3.0, -4.0]), CONFIG, 2)
    assert quality.precision == quality.enrichment == 0.0
    energy = quality.targets[ENERGY]
    assert energy.spearman == pytest.approx(-1.0)
    assert energy.mae == pytest.approx(2.0)  # of 3, 1, 1, 3
    assert energy.offset == pytest.approx(0.0)


def test_an_offset_between_schemes_differs_from_scatter():
    true = [-4.0, -3.0, -2.0]
    quality = judge(ranking([e + 0.5 for e in true], true), CONFIG, 2)
    energy = quality.targets[ENERGY]
    assert energy.offset == energy.mae == pytest.approx(0.5)
    assert quality.precision == 1.0


def test_equal_true_scores_do_not_look_like_success():
    quality = judge(ranking([-4.0, -3.0, -2.0, -1.0], [-2.0] * 4), CONFIG, 2)
    assert quality.precision == 0.5  # two places for four equals
    assert quality.enrichment == 1.0
    assert quality.score_spearman == 0.0


def test_shares_in_the_window_are_those_of_the_top_and_of_all():
    energies = [-4.0, -3.0, -2.0, -1.0]
    quality = judge(ranking(energies, energies, [1.0, 9.0, 9.0, 9.0]), CONFIG, 2)
    assert (quality.in_window, quality.in_window_base) == (0.5, 0.25)


def test_candidates_without_a_known_value_are_left_out():
    energies = [-4.0, -3.0, -2.0]
    frame = ranking(energies, [-4.0, np.nan, -2.0])
    assert judge(frame, CONFIG, 50).n == 2
    assert judge(frame.head(2), CONFIG, 50) is None


def test_hull_distances_count_only_when_all_are_known():
    energies = [-4.0, -3.0]
    frame = ranking(energies, energies).assign(energy_above_hull_true=[0.01, 0.2])
    quality = judge(frame, CONFIG, 1)
    assert (quality.near_hull, quality.near_hull_base) == (1.0, 0.5)
    frame.loc[1, "energy_above_hull_true"] = np.nan
    assert judge(frame, CONFIG, 1).near_hull is None


def with_schemes(frame, energies, gaps):
    return frame.assign(
        source="own",
        formation_energy_per_atom_scheme=energies,
        band_gap_scheme=gaps,
    )


def test_known_values_of_two_schemes_are_refused_unless_asked_for():
    energies = [-4.0, -3.0, -2.0]
    plain = ranking(energies, energies)
    mixed = with_schemes(plain, MP_2020, [MP_2020, MBJ, MBJ])
    with pytest.raises(LabelSchemeError) as caught:
        judge(mixed, CONFIG, 2)
    message = str(caught.value)
    assert "band_gap: labels of different schemes" in message
    assert "2 rows of own" in message
    assert "set screening.allow_mixed_schemes: true" in message
    allowed = judge_ranking(mixed, CONFIG, 2, allow_mixed_schemes=True)
    assert allowed == judge(plain, CONFIG, 2)
    # one scheme for each target, and values that are missing, mix nothing
    assert judge(with_schemes(plain, MP_2020, MBJ), CONFIG, 2) == allowed
    lost = ranking(energies, [-4.0, -3.0, np.nan])
    judge(with_schemes(lost, [MP_2020, MP_2020, "own"], MBJ), CONFIG, 2)


def test_a_quality_written_by_an_older_version_is_read():
    older = {
        "n": 100, "k": 10, "energy_mae": 0.05, "energy_offset": -0.01,
        "energy_spearman": 0.9, "gap_mae": 0.3, "gap_spearman": 0.8, "score_spearman": 0.85,
        "precision": 0.4, "enrichment": 4.0, "in_window": 0.7, "in_window_base": 0.3,
    }  # fmt: skip
    quality = RankingQuality.model_validate(older)
    assert (quality.k, quality.in_window) == (10, 0.7)
    assert (quality.targets[ENERGY].mae, quality.targets[ENERGY].offset) == (0.05, -0.01)
    assert (quality.targets[GAP].spearman, quality.targets[GAP].offset) == (0.8, None)
    assert RankingQuality.model_validate_json(quality.model_dump_json()) == quality


def test_criteria_without_a_window_have_no_share_in_it():
    energies = [-4.0, -3.0, -2.0]
    below = Below(column=ENERGY, midpoint=-2.5, width=0.1)
    quality = judge(ranking(energies, energies).drop(columns=GAP), [below], 2)
    assert (quality.in_window, list(quality.targets)) == (None, [ENERGY])
