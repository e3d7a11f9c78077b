import math

import numpy as np
import pytest

from crystalgnn_core.learning.metrics import Metrics, compare, scaled_error


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
