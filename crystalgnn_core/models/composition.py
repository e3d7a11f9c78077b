"""The composition-only baseline: gradient-boosted trees on element statistics.

It answers whether the structure is needed at all: a graph network that is not better than
this has learned nothing from the geometry.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from pymatgen.core.periodic_table import Element
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

_PROPERTIES: dict[str, Callable[[Element], float | None]] = {
    "atomic_number": lambda element: element.Z,
    "atomic_mass": lambda element: element.atomic_mass,
    "group": lambda element: element.group,
    "row": lambda element: element.row,
    "mendeleev_number": lambda element: element.mendeleev_no,
    "electronegativity": lambda element: element.X,
    "atomic_radius": lambda element: element.atomic_radius,
    "ionization_energy": lambda element: element.ionization_energy,
    "electron_affinity": lambda element: element.electron_affinity,
    "melting_point": lambda element: element.melting_point,
}
_STATISTICS = ("mean", "deviation", "minimum", "maximum", "range")


@cache
def property_table() -> NDArray[np.float64]:
    """Return element properties, shape (119, n_properties), NaN where unknown."""
    import warnings

    table = np.full((119, len(_PROPERTIES)), np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pymatgen warns for every property it lacks
        for number in range(1, 119):
            element = Element.from_Z(number)
            table[number] = [_value(element, read) for read in _PROPERTIES.values()]
    return table


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


def _value(element: Element, read: Callable[[Element], float | None]) -> float:
    try:
        value = read(element)
    except KeyError:  # pymatgen's table lacks the entry for the heaviest elements
        return np.nan
    return np.nan if value is None else float(value)


def fit_predict(
    train_features: NDArray[np.float64],
    train_labels: NDArray[np.float64],
    test_features: NDArray[np.float64],
    *,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Fit one tree ensemble a target on the labelled rows and predict the test rows.

    Args:
        train_features: Shape (n_train, n_features).
        train_labels: NaN missing, shape (n_train, n_targets).
        test_features: Shape (n_test, n_features).
        seed: Of the binning of the features.

    Returns:
        Shape (n_test, n_targets).
    """
    columns = []
    # trees of this size gain nothing from threads, and spinning ones starve everything else
    with threadpool_limits(limits=1, user_api="openmp"):
        for labels in train_labels.T:
            known = np.isfinite(labels)
            trees = HistGradientBoostingRegressor(
                max_iter=400, learning_rate=0.1, early_stopping=False, random_state=seed
            )
            trees.fit(train_features[known], labels[known])
            columns.append(trees.predict(test_features))
    return np.stack(columns, axis=1)
