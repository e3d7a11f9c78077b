import math

import numpy as np
import pytest

from crystalgnn_core.learning.metrics import (
    Metrics,
    compare,
    compare_target,
    compare_targets,
    describe_error,
    describe_errors,
    history_columns,
    scaled_error,
)
from crystalgnn_core.learning.scores import ZeroMetrics


def test_errors_by_hand():
    # errors 1, -1, 2 against labels 0, 2, 4 (mean 2, deviations 2, 0, 2)
    metrics = compare(np.array([0.0, 2.0, 4.0]), np.array([1.0, 1.0, 6.0]))
    assert metrics.n == 3
    assert metrics.mae == pytest.approx(4 / 3)
    assert metrics.rmse == pytest.approx(math.sqrt(6 / 3))
    assert metrics.mad == pytest.approx(4 / 3)
    assert metrics.r2 == pytest.approx(1 - 6 / 8)


def test_missing_labels_are_left_out():
    metrics = compare(np.array([np.nan, 1.0, 3.0]), np.array([99.0, 1.0, 2.0]))
    assert (metrics.n, metrics.mae) == (2, 0.5)


def test_without_labels_there_are_no_errors():
    metrics = compare(np.array([np.nan]), np.array([1.0]))
    assert metrics == Metrics(n=0, mae=None, rmse=None, r2=None, mad=None)


def test_labels_that_do_not_vary_have_no_r2_and_no_spread():
    # the mean of three times 0.1 is not 0.1 in floating point
    metrics = compare(np.full(3, 0.1), np.full(3, 0.3))
    assert metrics.r2 is None
    assert metrics.mad == 0.0
    assert scaled_error([metrics]) == pytest.approx(0.2)


def test_a_prediction_that_is_no_number_is_not_hidden():
    mae = compare(np.array([1.0, 2.0]), np.array([1.0, np.nan])).mae
    assert mae is not None
    assert math.isnan(mae)


def metrics_of(mae, mad):
    return Metrics(n=2, mae=mae, rmse=0.0, r2=None, mad=mad)


def test_the_scaled_error_averages_over_targets_not_units():
    assert scaled_error([metrics_of(0.1, 0.5), metrics_of(30.0, 50.0)]) == pytest.approx(
        0.4
    )


def test_the_scaled_error_leaves_out_targets_without_labels():
    nothing = Metrics(n=0, mae=None, rmse=None, r2=None, mad=None)
    assert scaled_error([metrics_of(0.1, 0.5), nothing]) == pytest.approx(0.2)
    assert scaled_error([nothing]) == math.inf


def test_scores_of_classes_follow_their_definitions():
    true = np.array([1.0, 1.0, 0.0, 0.0, 0.0, np.nan])
    said = np.array([0.9, 0.4, 0.6, 0.1, 0.2, 0.7])
    scores = compare(true, said, are_classes=True).classes
    assert scores is not None
    assert scores.share == pytest.approx(2 / 5)
    assert scores.accuracy == pytest.approx(3 / 5)
    assert scores.balanced_accuracy == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert scores.f1 == pytest.approx(1 / 2)  # precision 1/2, recall 1/2
    assert scores.auc == pytest.approx(5 / 6)  # of 6 pairs only (0.4, 0.6) is wrong
    logs = np.log([0.9, 0.4, 0.4, 0.9, 0.8])
    assert scores.log_loss == pytest.approx(-logs.mean())
    assert scores.brier == pytest.approx((0.01 + 0.36 + 0.36 + 0.01 + 0.04) / 5)


def test_the_scaled_error_of_a_class_is_one_for_its_share_and_zero_if_perfect():
    true = np.array([1.0, 0.0, 0.0, 0.0])
    for said, expected in ((np.full(4, 0.25), 1.0), (true, 0.0), (1 - true, 4 / 0.75)):
        metrics = compare(true, said, are_classes=True)
        assert scaled_error([metrics]) == pytest.approx(expected)
        both = scaled_error([metrics, metrics_of(0.1, 0.5)])
        assert both == pytest.approx((expected + 0.2) / 2)


@pytest.mark.parametrize("there", [0.0, 1.0])
def test_rows_of_one_class_have_no_curve_and_no_balance(there):
    metrics = compare(np.full(3, there), np.full(3, 0.9), are_classes=True)
    assert metrics.classes is not None
    assert (metrics.classes.auc, metrics.classes.balanced_accuracy) == (None, None)
    assert metrics.classes.accuracy == there
    assert scaled_error([metrics]) == pytest.approx((0.9 - there) ** 2)
    assert "AUC" not in describe_error("is_metal", metrics)


def test_probabilities_that_are_no_numbers_give_no_error_to_compare_by():
    metrics = compare(np.array([1.0, 0.0]), np.array([np.nan, 0.1]), are_classes=True)
    assert math.isnan(scaled_error([metrics]))


def test_errors_are_told_in_words_with_units_where_there_are_any():
    metrics = compare_targets(
        ("band_gap", "poisson_ratio", "is_metal", "bulk_modulus"),
        np.array([[1.0, 0.2, 1.0, np.nan], [2.0, 0.3, 0.0, np.nan]]),
        {
            "band_gap": np.array([1.5, 2.5]),
            "poisson_ratio": np.array([0.25, 0.35]),
            "is_metal": np.array([0.75, 0.25]),
            "bulk_modulus": np.array([1.0, 1.0]),
        },
    )
    assert describe_errors(metrics) == (
        "band_gap MAE 0.5000 eV, poisson_ratio MAE 0.0500, "
        "is_metal accuracy 1.0000 AUC 1.0000"
    )
    assert history_columns(metrics) == {
        "val_mae_band_gap": 0.5,
        "val_mae_poisson_ratio": pytest.approx(0.05),
        "val_brier_is_metal": pytest.approx(0.0625),
        "val_accuracy_is_metal": 1.0,
        "val_auc_is_metal": 1.0,
        "val_mae_bulk_modulus": None,
    }


GAPS = np.array([0.0, 0.0, 1.0, 3.0, np.nan])
SAID = np.array([0.0, 0.5, 0.0, 2.0, 9.0])


def test_metals_and_non_metals_are_judged_apart():
    said = {
        "band_gap": SAID,
        "band_gap_nonzero_probability": np.array([0.1, 0.6, 0.3, 0.9, 1]),
    }
    metrics = compare_target("band_gap", GAPS, said)
    assert metrics.mae == pytest.approx((0.5 + 1 + 1) / 4)
    assert metrics.zeros is not None
    assert metrics.zeros.model_dump() == {
        "n_zero": 2,
        "mae_zero": pytest.approx(0.25),
        "mae_nonzero": pytest.approx(1.0),
        "auc": pytest.approx(3 / 4),  # of four pairs only (0.6, 0.3) is in the wrong order
        "balanced_accuracy": pytest.approx(1 / 2),
        "brier": pytest.approx((0.01 + 0.36 + 0.49 + 0.01) / 4),
    }


def test_a_model_without_probability_ranks_by_its_value():
    zeros = compare_target("band_gap", GAPS, {"band_gap": SAID}).zeros
    assert zeros is not None
    # (0, 0) is half a pair in order, (0.5, 0) none, both pairs with 2 are
    assert zeros.auc == pytest.approx(2.5 / 4)
    assert (zeros.balanced_accuracy, zeros.brier) == (None, None)


@pytest.mark.parametrize("label", [0.0, 2.0])
def test_rows_of_one_kind_have_one_error_and_no_curve(label):
    zeros = compare_target("band_gap", np.full(2, label), {"band_gap": np.ones(2)}).zeros
    expected = {"mae_zero": 1.0} if label == 0 else {"mae_nonzero": 1.0}
    assert zeros == ZeroMetrics(n_zero=2 if label == 0 else 0, **expected)


def test_no_rows_and_no_numbers_are_judged_without_a_failure():
    empty, nan = np.full(2, np.nan), np.array([np.nan, 0.2])
    said = {"band_gap": nan, "band_gap_nonzero_probability": nan}
    assert compare_target("band_gap", empty, said).zeros == ZeroMetrics(n_zero=0)
    zeros = compare_target("band_gap", np.array([0.0, 1.0]), said).zeros
    assert zeros is not None
    assert zeros.auc is None
    assert zeros.brier == pytest.approx(math.nan, nan_ok=True)


def test_only_targets_with_many_zeros_have_such_errors():
    energy = "formation_energy_per_atom"
    assert compare_target(energy, GAPS, {energy: SAID}).zeros is None
