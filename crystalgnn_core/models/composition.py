"""The composition-only baseline: gradient-boosted trees on element statistics.

It answers whether the structure is needed at all: a graph network that is not better than
this has learned nothing from the geometry.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)
from threadpoolctl import threadpool_limits

from crystalgnn_core.models.elements import property_of_elements

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from crystalgnn_core.models.choices import ElementProperty

_PROPERTIES: tuple[ElementProperty, ...] = (
    "atomic_number",
    "atomic_mass",
    "group",
    "row",
    "mendeleev_number",
    "electronegativity",
    "atomic_radius",
    "ionization_energy",
    "electron_affinity",
    "melting_point",
)
_STATISTICS = ("mean", "deviation", "minimum", "maximum", "range")


@cache
def property_table() -> NDArray[np.float64]:
    """Return element properties, shape (119, n_properties), NaN where unknown."""
    return np.stack([property_of_elements(name) for name in _PROPERTIES], axis=1)


def feature_names() -> list[str]:
    """Name the columns of `composition_features`."""
    return [f"{name}_{statistic}" for name in _PROPERTIES for statistic in _STATISTICS]


def composition_features(
    atomic_numbers: Sequence[NDArray[np.int16]],
) -> NDArray[np.float64]:
    """Describe compositions by statistics of element properties (Ward et al. 2016).

    Ward et al., npj Comput. Mater. 2, 16028 (2016): fraction-weighted mean and mean
    absolute deviation, minimum, maximum and range.

    Args:
        atomic_numbers: Atomic numbers of the atoms of each crystal.

    Returns:
        Shape (n_crystals, 5 * n_properties), NaN where no element has the property.
    """
    table = property_table()
    rows = np.full((len(atomic_numbers), len(_STATISTICS) * len(_PROPERTIES)), np.nan)
    for index, numbers in enumerate(atomic_numbers):
        elements, counts = np.unique(np.asarray(numbers), return_counts=True)
        values = table[elements]
        known = np.isfinite(values)
        weights = counts[:, None] * known
        total = weights.sum(axis=0)
        has_any = total > 0
        filled = np.where(known, values, 0.0)
        mean = np.divide(
            (filled * weights).sum(0),
            total,
            where=has_any,
            out=np.full_like(total, np.nan, dtype=float),
        )
        spread = (np.abs(filled - mean) * weights).sum(0)
        deviation = np.divide(
            spread, total, where=has_any, out=np.full_like(total, np.nan, dtype=float)
        )
        low = np.where(has_any, np.where(known, values, np.inf).min(axis=0), np.nan)
        high = np.where(has_any, np.where(known, values, -np.inf).max(axis=0), np.nan)
        rows[index] = np.stack([mean, deviation, low, high, high - low], axis=1).ravel()
    return rows


def fit_predict(
    train_features: NDArray[np.float64],
    train_labels: NDArray[np.float64],
    test_features: NDArray[np.float64],
    *,
    classes: Sequence[bool] = (),
    seed: int = 0,
) -> NDArray[np.float64]:
    """Fit one tree ensemble a target on the labelled rows and predict the test rows.

    Args:
        train_features: Shape (n_train, n_features).
        train_labels: NaN missing, shape (n_train, n_targets).
        test_features: Shape (n_test, n_features).
        classes: Whether each target is a class, for which the probability of 1 is
            predicted; none are by default.
        seed: Of the binning of the features.

    Returns:
        Shape (n_test, n_targets).
    """
    columns = []
    # trees of this size gain nothing from threads, and spinning ones starve everything else
    with threadpool_limits(limits=1, user_api="openmp"):
        for index, labels in enumerate(train_labels.T):
            known = np.isfinite(labels)
            if index < len(classes) and classes[index]:
                columns.append(
                    _class_probability(
                        train_features[known], labels[known], test_features, seed
                    )
                )
                continue
            trees = HistGradientBoostingRegressor(
                max_iter=400, learning_rate=0.1, early_stopping=False, random_state=seed
            )
            trees.fit(train_features[known], labels[known])
            columns.append(trees.predict(test_features))
    return np.stack(columns, axis=1)


def _class_probability(
    features: NDArray[np.float64],
    labels: NDArray[np.float64],
    test_features: NDArray[np.float64],
    seed: int,
) -> NDArray[np.float64]:
    """Return the probability of 1; where only one class is known, that one is certain."""
    if labels.min() == labels.max():
        return np.full(len(test_features), labels[0])
    trees = HistGradientBoostingClassifier(
        max_iter=100, learning_rate=0.1, early_stopping=False, random_state=seed
    )
    trees.fit(features, labels)
    return trees.predict_proba(test_features)[:, 1]
