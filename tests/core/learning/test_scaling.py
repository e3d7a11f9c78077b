import numpy as np
import pytest

from crystalgnn_core.learning.scaling import TargetScaler

TARGETS = ("band_gap", "bulk_modulus")


def test_log10_targets_are_scaled_on_their_logarithm():
    labels = np.array([[1.0, 10.0], [3.0, 1000.0]])
    scaler = TargetScaler.fit(TARGETS, labels)
    assert scaler.mean == pytest.approx((2.0, 2.0))  # of 1, 3 and of log10 10, 1000
    assert scaler.std == pytest.approx((1.0, 1.0))
    assert scaler.scale(labels) == pytest.approx(np.array([[-1.0, -1.0], [1.0, 1.0]]))


def test_scaling_and_back_gives_the_labels():
    labels = np.array([[0.0, 0.5], [3.0, 400.0], [7.5, 12.0]])
    scaler = TargetScaler.fit(TARGETS, labels)
    assert scaler.unscale(scaler.scale(labels)) == pytest.approx(labels, rel=1e-12)


def test_missing_labels_stay_missing_and_do_not_enter_the_scale():
    labels = np.array([[1.0, np.nan], [np.nan, 100.0], [3.0, np.nan]])
    scaler = TargetScaler.fit(TARGETS, labels)
    assert scaler.mean == pytest.approx((2.0, 2.0))
    assert np.isnan(scaler.scale(labels)).tolist() == np.isnan(labels).tolist()


def test_labels_that_do_not_vary_are_only_shifted():
    # the standard deviation of three times 0.1 is about 1e-17, not 0
    scaler = TargetScaler.fit(("band_gap",), np.full((3, 1), 0.1))
    assert scaler.std == (1.0,)
    assert scaler.unscale(np.array([[1.0]])) == pytest.approx(np.array([[1.1]]))


def test_unscaling_leaves_the_outputs_as_they_are():
    scaler = TargetScaler(targets=TARGETS, mean=(0.0, 0.0), std=(2.0, 2.0))
    outputs = np.ones((2, 2))
    scaler.unscale(outputs)
    assert outputs.tolist() == [[1.0, 1.0], [1.0, 1.0]]


def test_classes_are_left_alone_and_logits_become_probabilities():
    labels = np.array([[1.0, 1.0], [3.0, 0.0], [5.0, np.nan]])
    scaler = TargetScaler.fit(("band_gap", "is_metal"), labels)
    assert (scaler.mean[1], scaler.std[1]) == (0.0, 1.0)
    assert scaler.scale(labels)[:2, 1].tolist() == [1.0, 0.0]
    assert np.isnan(scaler.scale(labels)[2, 1])
    logits = np.array([[0.0, 0.0], [0.0, np.log(3.0)], [0.0, -800.0]])
    values = scaler.unscale(logits)
    assert values[:, 0] == pytest.approx([3.0] * 3)
    # 1 / (1 + exp(-ln 3)) = 3 / 4
    assert values[:, 1] == pytest.approx([0.5, 0.75, 0.0])
