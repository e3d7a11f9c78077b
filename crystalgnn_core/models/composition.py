"""Statistics of element properties, and the trees on them that every model is held against.

They answer whether the structure is needed at all: a graph network that is not better than
these has learned nothing from the geometry.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit

from crystalgnn_core.models._statistics import element_statistics
from crystalgnn_core.models.composition_config import CompositionTreesConfig
from crystalgnn_core.models.decision_trees import Forest, forest_of, predict_forest
from crystalgnn_core.models.elements import property_of_elements

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from crystalgnn_core.models.choices import ElementProperty
    from crystalgnn_core.models.decision_trees import AnyEnsemble

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
CERTAIN = 40.0  # a logit whose probability is 1 to the last bit
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
    sizes = [len(numbers) for numbers in atomic_numbers]
    flat = np.concatenate([np.empty(0, np.int64), *map(np.asarray, atomic_numbers)])
    pointer = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
    return batch_features(flat.astype(np.int64), pointer.astype(np.int64), reduced=False)


def batch_features(
    atomic_numbers: NDArray[np.int64], pointer: NDArray[np.int64], *, reduced: bool = True
) -> NDArray[np.float64]:
    """Describe compositions laid end to end; see `composition_features`.

    The sums run over the elements in order of atomic number, so that the order of the atoms
    does not change a single bit.

    Args:
        atomic_numbers: Shape (n_atoms,).
        pointer: First atom of each crystal and the end, shape (n_crystals + 1,).
        reduced: Count the atoms of the reduced formula, so that a supercell does not change
            a single bit either. Trees turn the last bit of a value at a threshold into
            another leaf.

    Returns:
        Shape (n_crystals, 5 * n_properties), NaN where no element has the property.

    Raises:
        ValueError: An atomic number is not one of an element.
    """
    table = property_table()
    if len(atomic_numbers) and not 0 < atomic_numbers.min() <= atomic_numbers.max() < len(
        table
    ):
        raise ValueError(
            f"atomic numbers from {atomic_numbers.min()} to {atomic_numbers.max()} found; "
            f"those of elements are 1 to {len(table) - 1}"
        )
    return element_statistics(atomic_numbers, pointer, table, reduced)


def fit_trees(
    features: NDArray[np.float64],
    labels: NDArray[np.float64],
    config: CompositionTreesConfig,
    *,
    classes: Sequence[bool] = (),
    seed: int = 0,
) -> Forest:
    """Fit one ensemble of trees a target on the rows that have its label.

    Args:
        features: Shape (n_rows, n_features), NaN unknown.
        labels: NaN missing, shape (n_rows, n_targets).
        config: Number, size and shrinkage of the trees.
        classes: Whether each target is a class, with labels 0 and 1, of which the trees
            give the logit; none are by default.
        seed: Of the binning of the features.
    """
    from threadpoolctl import threadpool_limits

    ensembles: list[AnyEnsemble | float] = []
    # trees of this size gain nothing from threads, and spinning ones starve everything else
    with threadpool_limits(limits=1, user_api="openmp"):
        for index, column in enumerate(labels.T):
            known = np.isfinite(column)
            is_class = index < len(classes) and classes[index]
            if is_class and len(set(column[known])) == 1:  # nothing to learn: it is certain
                ensembles.append(CERTAIN if column[known][0] else -CERTAIN)
                continue
            ensemble = _make_ensemble(config, seed, is_class=is_class)
            ensembles.append(ensemble.fit(features[known], column[known]))
    return forest_of(ensembles)


def _make_ensemble(
    config: CompositionTreesConfig, seed: int, *, is_class: bool
) -> AnyEnsemble:
    """Create what is fitted to one target; scikit-learn is needed for nothing else."""
    from sklearn.ensemble import (
        HistGradientBoostingClassifier,
        HistGradientBoostingRegressor,
    )

    kind = HistGradientBoostingClassifier if is_class else HistGradientBoostingRegressor
    return kind(
        max_iter=config.n_class_trees if is_class else config.n_trees,
        learning_rate=config.learning_rate,
        max_leaf_nodes=config.max_leaves,
        min_samples_leaf=config.min_leaf_rows,
        l2_regularization=config.l2_regularization,
        early_stopping=False,
        random_state=seed,
    )


def fit_predict(
    train_features: NDArray[np.float64],
    train_labels: NDArray[np.float64],
    test_features: NDArray[np.float64],
    *,
    classes: Sequence[bool] = (),
    seed: int = 0,
) -> NDArray[np.float64]:
    """Fit the trees of the baseline on the labelled rows and predict the test rows.

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
    forest = fit_trees(
        train_features, train_labels, CompositionTreesConfig(), classes=classes, seed=seed
    )
    predicted = predict_forest(test_features, forest)
    for index in np.flatnonzero(classes):
        predicted[:, index] = expit(predicted[:, index])
    return predicted
