import numpy as np
import pytest
from scipy.stats import laplace

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


GAP, ENERGY = "band_gap", "formation_energy_per_atom"
LABELS = np.array([[-1.0, 0.0], [0.5, 2.0], [-2.0, 6.0], [1.5, np.nan], [np.nan, 0.0]])


def in_two_parts():
    return TargetScaler.fit((ENERGY, GAP), LABELS, hurdle=(GAP,))


def test_a_hurdle_target_has_a_column_for_its_value_and_one_for_being_not_zero():
    scaler = in_two_parts()
    assert (scaler.mean[1], scaler.std[1]) == (4.0, 2.0)  # of 2 and 6, the zeros left out
    assert scaler.n_outputs == 3
    assert scaler.output_classes == (False, False, True)
    assert scaler.output_weights == (1.0, 0.5, 0.5)
    learned = scaler.scale(LABELS)
    nan = np.nan
    assert learned[:, 1] == pytest.approx([nan, -1.0, 1.0, nan, nan], nan_ok=True)
    assert learned[:, 2] == pytest.approx([0.0, 1.0, 1.0, nan, 0.0], nan_ok=True)
    plain = TargetScaler.fit((ENERGY,), LABELS[:, :1])
    assert np.array_equal(learned[:, 0], plain.scale(LABELS[:, :1])[:, 0], equal_nan=True)


def test_a_hurdle_target_is_the_median_of_both_parts_and_never_negative():
    scaler = in_two_parts()
    # probabilities 1/4, 3/4, 3/4, 1; values 10, 3, -2, 3 eV
    logits = np.log([1 / 3, 3.0, 3.0, 1e15])
    outputs = np.stack([np.zeros(4), [3.0, -0.5, -3.0, -0.5], logits], axis=1)
    columns = scaler.columns(outputs)
    assert list(columns) == list(scaler.column_names)
    assert scaler.column_names == (
        *(ENERGY, GAP),
        *("band_gap_nonzero_probability", "band_gap_if_nonzero"),
    )
    width = scaler.std[1] / 3
    median = laplace.ppf(1 - 0.5 / 0.75, loc=3.0, scale=width)
    assert columns[GAP] == pytest.approx([0.0, median, 0.0, 3.0])
    assert (columns[GAP][0], columns[GAP][2]) == (0.0, 0.0)
    probability = columns["band_gap_nonzero_probability"]
    assert probability == pytest.approx([0.25, 0.75, 0.75, 1.0])
    assert columns["band_gap_if_nonzero"].tolist() == [10.0, 3.0, 0.0, 3.0]
    assert scaler.unscale(outputs)[:, 1].tolist() == columns[GAP].tolist()


def test_a_hurdle_target_has_no_jump_where_it_becomes_more_probable():
    logits = np.linspace(-1.0, 8.0, 10001)
    outputs = np.stack([logits, np.full(len(logits), -1.0), logits], axis=1)
    gaps = in_two_parts().columns(outputs)[GAP]
    assert (np.diff(gaps) >= 0).all()
    assert gaps[logits <= 0].tolist() == [0.0] * (logits <= 0).sum()
    assert np.diff(gaps).max() < 0.02
    assert gaps[-1] == pytest.approx(2.0, abs=1e-3)


def test_an_output_that_is_no_number_is_not_hidden():
    outputs = np.array([[0.0, 1.0, np.nan], [0.0, np.nan, 2.0]])
    assert np.isnan(in_two_parts().columns(outputs)[GAP]).all()


def test_labels_of_a_hurdle_target_come_back():
    scaler = in_two_parts()
    learned = scaler.scale(LABELS[[0, 1, 2]])
    logits = np.where(learned[:, 2] > 0, 40.0, -40.0)
    outputs = np.column_stack([learned[:, 0], np.nan_to_num(learned[:, 1]), logits])
    assert scaler.unscale(outputs) == pytest.approx(LABELS[[0, 1, 2]], rel=1e-12)


@pytest.mark.parametrize(
    ("gaps", "said"), [([1.0, 2.0, 3.0], "none of the 3"), ([0.0, 0.0], "all of the 2")]
)
def test_labels_of_one_kind_are_learned_as_one_number_and_the_log_says_so(
    gaps, said, caplog
):
    labels = np.array(gaps)[:, None]
    scaler = TargetScaler.fit((GAP,), labels, hurdle=(GAP,))
    assert scaler == TargetScaler.fit((GAP,), labels)
    assert f"band_gap: {said} training labels are zero" in caplog.text


def test_scalers_without_hurdle_have_the_digest_that_they_had():
    scaler = TargetScaler(targets=(GAP,), mean=(1.0,), std=(2.0,))
    assert "hurdle" not in scaler.digest_content()
    assert "hurdle" in in_two_parts().digest_content()
