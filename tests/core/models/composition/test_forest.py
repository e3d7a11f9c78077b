import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor

from crystalgnn_core.models.composition.forest import (
    check_forest,
    empty_forest,
    forest_of,
    predict_forest,
)


def make_rows(seed, n=700):
    """Make rows of which a tenth of the values are unknown, in one column most."""
    generator = np.random.default_rng(seed)
    rows = generator.normal(size=(n, 6))
    rows[generator.random(rows.shape) < 0.1] = np.nan
    rows[:, 3] = np.round(rows[:, 3], 1)  # values that equal thresholds
    rows[generator.random(n) < 0.9, 5] = np.nan
    return rows


def fitted(rows, labels, **settings):
    return HistGradientBoostingRegressor(
        max_iter=40, early_stopping=False, random_state=0, **settings
    ).fit(rows, labels)


@pytest.fixture(scope="module")
def ensembles():
    rows = make_rows(0)
    filled = np.nan_to_num(rows)
    return [
        fitted(rows, filled[:, 0] * filled[:, 3] + np.isnan(rows[:, 1])),
        fitted(rows, np.sin(3 * filled[:, 2]), max_leaf_nodes=5),
        fitted(rows, np.full(len(rows), 2.5)),  # trees that are one leaf
    ]


@pytest.mark.parametrize("seed", [0, 1])
def test_values_are_those_of_scikit_learn(ensembles, seed):
    rows = make_rows(seed)
    rows[0] = np.nan
    expected = np.stack([ensemble.predict(rows) for ensemble in ensembles], axis=1)
    # the same sums in the same order
    assert np.array_equal(predict_forest(rows, forest_of(ensembles)), expected)


def test_rows_do_not_depend_on_each_other(ensembles):
    rows, forest = make_rows(2, n=130), forest_of(ensembles)
    together = predict_forest(rows, forest)
    alone = np.concatenate([predict_forest(row[None], forest) for row in rows])
    assert np.array_equal(together, alone)
    assert predict_forest(rows[:0], forest).shape == (0, 3)


def test_no_trees_predict_zero():
    assert np.array_equal(predict_forest(make_rows(0), empty_forest(2)), np.zeros((700, 2)))


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("left", 0, ""),
        ("left", 10**6, "does not stand behind"),
        ("right", 1, "does not stand behind"),
        ("feature", 6, "feature is not one of 6"),
        ("feature", -1, "not one of 6"),
        ("root", 10**6, "root is not one of"),
        ("target", 3, "target is not one of 3"),
    ],
)
def test_damaged_trees_are_recognised(ensembles, name, value, problem):
    forest = forest_of(ensembles)
    column = getattr(forest, name).copy()
    column[1] = value
    found = check_forest(forest._replace(**{name: column}), n_features=6)
    assert problem in found
    assert bool(found) == bool(problem)
    assert check_forest(forest, n_features=6) == ""


def test_columns_of_different_length_are_recognised(ensembles):
    forest = forest_of(ensembles)
    shorter = forest._replace(value=forest.value[:-1])
    assert "differ in length" in check_forest(shorter, n_features=6)
    fewer = forest._replace(target=forest.target[:-1])
    assert "one root and one target" in check_forest(fewer, n_features=6)
