"""What may be chance: known distributions, and models of which the truth is known."""

import numpy as np
import pytest
from scipy.stats import norm, ttest_rel

from crystalgnn_core.learning.metrics import compare_targets, scaled_error
from crystalgnn_core.learning.promotion.evidence import (
    Evidence,
    PairedLosses,
    weigh,
)

ENERGY, GAP, METAL = "formation_energy_per_atom", "band_gap", "is_metal"
LEVEL = 0.05


def judged(n, *, scale=1.0, seed=0, targets=(ENERGY,), groups=None):
    """Errors of two models with normal errors, those of the second as many times larger."""
    random = np.random.default_rng(seed)
    labels = random.normal(size=(n, len(targets)))
    hard = random.gamma(2.0, size=(n, 1))  # what is hard is hard for both
    old, new = (
        labels + s * hard * random.normal(size=labels.shape) for s in (0.1, 0.1 * scale)
    )
    names = [f"row {i}" for i in range(n)] if groups is None else groups
    columns = [dict(zip(targets, each.T, strict=True)) for each in (old, new)]
    return (
        labels,
        columns,
        PairedLosses.of(targets, labels, (columns[0], columns[1]), names),
    )


def test_errors_are_those_that_decide_elsewhere():
    targets = (ENERGY, GAP, METAL)
    labels, columns, _ = judged(60, targets=targets)
    labels[:, 2] = labels[:, 2] > 0
    labels[3:9, 1] = np.nan
    for each in columns:
        each[METAL] = norm.cdf(each[METAL])
    losses = PairedLosses.of(targets, labels, (columns[0], columns[1]), list("ab") * 30)
    found = weigh(losses, LEVEL, 0.0)
    metrics = [compare_targets(targets, labels, each) for each in columns]
    before, after = (scaled_error(list(each.values())) for each in metrics)
    assert found[""].champion_error == pytest.approx(before)
    assert found[""].challenger_error == pytest.approx(after)
    assert found[""].improvement == pytest.approx(1 - after / before)
    assert (found[""].n, found[GAP].n, found[""].n_groups) == (60, 54, 2)
    assert found[GAP].champion_error == pytest.approx(scaled_error([metrics[0][GAP]]))


def test_the_uncertainty_of_independent_rows_is_that_of_a_paired_test():
    _, _, losses = judged(400, scale=0.9)
    found = weigh(losses, LEVEL, 0.0)[""]
    # the champion's mean varies, too, which a test of the difference leaves out
    test = ttest_rel(losses.champion[:, 0], losses.challenger[:, 0])
    of_test = found.improvement / test.statistic
    assert found.uncertainty == pytest.approx(of_test, rel=0.1)
    reach = norm.isf(LEVEL) * found.uncertainty
    assert found.low == pytest.approx(found.improvement - reach, rel=0.01)
    assert found.high == pytest.approx(found.improvement + reach, rel=0.01)


def test_equal_models_pass_for_better_at_the_level_and_better_ones_pass():
    equal = [weigh(judged(200, seed=s)[2], LEVEL, 0.0)[""].is_better for s in range(150)]
    # binomial: 7.5 of 150 expected, 1 to 16 with 99.5 %
    assert 1 <= sum(equal) <= 16
    better = [weigh(judged(200, seed=s, scale=0.6)[2], LEVEL, 0.0)[""] for s in range(20)]
    assert all(one.is_better and not one.is_worse for one in better)
    worse = [weigh(judged(200, seed=s, scale=1.6)[2], LEVEL, 0.0)[""] for s in range(20)]
    assert all(one.is_worse and not one.is_better for one in worse)


def test_copies_of_a_row_are_no_further_evidence():
    labels, columns, losses = judged(40, scale=0.85)
    names = [f"row {i}" for i in range(40)]
    tenfold = PairedLosses.of(
        (ENERGY,),
        np.tile(labels, (10, 1)),
        (
            {ENERGY: np.tile(columns[0][ENERGY], 10)},
            {ENERGY: np.tile(columns[1][ENERGY], 10)},
        ),
        names * 10,
    )
    once, often = (weigh(each, LEVEL, 0.0)[""] for each in (losses, tenfold))
    assert (often.n, often.n_groups) == (400, 40)
    assert often.uncertainty == pytest.approx(once.uncertainty)
    as_others = weigh(tenfold._replace(groups=np.arange(400)), LEVEL, 0.0)[""]
    assert as_others.uncertainty < once.uncertainty / 2


def test_noise_of_retraining_is_added_and_more_rows_do_not_take_it_away():
    small, large = (weigh(judged(n, scale=0.95)[2], LEVEL, 0.04)[""] for n in (100, 10_000))
    assert small.uncertainty > large.uncertainty > 0.04
    assert large.uncertainty < 0.042
    assert not large.is_better
    assert weigh(judged(10_000, scale=0.95)[2], LEVEL, 0.0)[""].is_better


def test_a_lower_level_asks_for_more():
    losses = judged(200, scale=0.9)[2]
    lows = [weigh(losses, LEVEL / n, 0.01)[""].low for n in (1, 10, 100)]
    assert lows[0] > lows[1] > lows[2]
    found = weigh(losses, 0.5, 0.01)[""]
    assert found.low == pytest.approx(found.improvement)  # the smaller error wins


def test_a_prediction_that_is_no_number_is_worse_than_any():
    labels, columns, _ = judged(50)
    columns[1][ENERGY][7] = np.nan
    losses = PairedLosses.of(
        (ENERGY,), labels, (columns[0], columns[1]), list("abcde") * 10
    )
    found = weigh(losses, LEVEL, 0.0)[""]
    assert found.improvement < -100
    assert Evidence.model_validate_json(found.model_dump_json()) == found


def test_models_that_make_no_error_are_equal():
    labels, columns, _ = judged(30)
    right = {ENERGY: labels[:, 0]}
    names = list("abc") * 10
    both = weigh(PairedLosses.of((ENERGY,), labels, (right, right), names), LEVEL, 0.0)[""]
    assert (both.improvement, both.is_better, both.is_worse) == (0.0, False, False)
    lost = weigh(PairedLosses.of((ENERGY,), labels, (right, columns[0]), names), LEVEL, 0.0)
    assert np.isfinite(lost[""].improvement)
    assert lost[""].is_worse


def test_one_composition_or_no_label_shows_nothing():
    labels, columns, _ = judged(30, targets=(ENERGY, GAP))
    labels[:, 1] = np.nan
    pair = columns[0], columns[1]
    assert weigh(PairedLosses.of((ENERGY, GAP), labels, pair, ["a"] * 30), LEVEL, 0.0) == {}
    found = weigh(PairedLosses.of((ENERGY, GAP), labels, pair, list("ab") * 15), LEVEL, 0.0)
    assert set(found) == {"", ENERGY}
    assert found[""].improvement == pytest.approx(found[ENERGY].improvement)
