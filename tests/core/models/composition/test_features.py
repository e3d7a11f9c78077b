"""The composition baseline."""

import numpy as np
import pytest

from crystalgnn_core.models.composition.features import (
    composition_features,
    feature_names,
    property_table,
)
from crystalgnn_core.models.composition.trees import fit_predict

NACL = np.array([11, 17], np.int16)


def named(numbers):
    return dict(zip(feature_names(), composition_features([numbers])[0], strict=True))


def test_statistics_are_those_of_the_fractions():
    # Pauling electronegativities: Na 0.93, Cl 3.16
    features = named(NACL)
    assert features["electronegativity_mean"] == pytest.approx(2.045)
    assert features["electronegativity_deviation"] == pytest.approx(1.115)
    assert features["electronegativity_range"] == pytest.approx(2.23)
    assert features["atomic_number_minimum"] == 11
    assert features["atomic_number_maximum"] == 17


def test_features_depend_on_fractions_only():
    double = np.array([17, 11, 11, 17], np.int16)
    once, twice = composition_features([NACL, double])
    assert twice == pytest.approx(once, nan_ok=True)
    assert named(np.array([11, 11, 17]))["atomic_number_mean"] == pytest.approx(13)


def test_unknown_property_does_not_spoil_the_others():
    argon = named(np.array([18], np.int16))  # has no electronegativity
    assert np.isnan(argon["electronegativity_mean"])
    assert argon["atomic_number_mean"] == 18
    mixed = named(np.array([18, 11], np.int16))
    assert mixed["electronegativity_mean"] == pytest.approx(0.93)
    assert mixed["electronegativity_deviation"] == pytest.approx(0.0)


def test_table_holds_every_element():
    table = property_table()
    assert np.isfinite(table[1:, feature_names().index("atomic_number_mean")]).all()
    assert np.isnan(table[0]).all()


def test_trees_learn_from_labelled_rows_only_and_repeat():
    generator = np.random.default_rng(0)
    rows = [generator.integers(3, 80, 4).astype(np.int16) for _ in range(150)]
    features = composition_features(rows)
    labels = np.stack([features[:, 0] / 10, np.full(150, 2.0)], axis=1)
    labels[::3, 1] = np.nan
    first, again = (fit_predict(features, labels, features[:20]) for _ in range(2))
    assert np.array_equal(first, again)
    assert first.shape == (20, 2)
    assert np.abs(first[:, 0] - labels[:20, 0]).mean() < 0.2
    assert first[:, 1] == pytest.approx(np.full(20, 2.0))


def test_no_crystals_give_no_rows():
    assert composition_features([]).shape == (0, len(feature_names()))


def test_trees_give_probabilities_for_classes():
    generator = np.random.default_rng(0)
    rows = [generator.integers(3, 80, 4).astype(np.int16) for _ in range(150)]
    features = composition_features(rows)
    heavy = (features[:, 0] > 40).astype(float)
    labels = np.stack([features[:, 0] / 10, heavy, np.ones(150)], axis=1)
    labels[::3, 1] = np.nan
    mixed = fit_predict(features, labels, features[:50], classes=(False, True, True))
    assert ((mixed[:, 1] >= 0) & (mixed[:, 1] <= 1)).all()
    assert ((mixed[:, 1] > 0.5) == (heavy[:50] > 0.5)).mean() > 0.9
    assert mixed[:, 2].tolist() == [1.0] * 50  # one class is all that is known
    alone = fit_predict(features, labels[:, :1], features[:50])
    assert np.array_equal(mixed[:, :1], alone)
