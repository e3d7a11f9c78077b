"""Gradient-boosted trees on the composition, in the form of a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np
import torch
from scipy.special import expit

from crystalgnn_core.models.composition.config import CompositionTreesConfig
from crystalgnn_core.models.composition.features import batch_features, feature_names
from crystalgnn_core.models.composition.forest import (
    Forest,
    check_forest,
    empty_forest,
    forest_of,
    predict_forest,
)
from crystalgnn_core.models.fitted import CERTAIN, ArrayEstimator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor
    from torch_geometric.data import Batch

    from crystalgnn_core.models.composition.forest import AnyEnsemble


class CompositionTrees(ArrayEstimator):
    """Predict crystal properties by trees on statistics of element properties.

    The statistics are those of Ward et al., npj Comput. Mater. 2, 16028 (2016), see
    `batch_features`; the trees are scikit-learn's histogram gradient boosting, after Ke et
    al., LightGBM, NeurIPS (2017). Fitted trees are kept as arrays, see `Forest`, and
    evaluated on the CPU, in double precision. There are no parameters and no gradients.

    Batch fields read: `atomic_numbers`, `ptr`.

    Args:
        config: Number and size of the trees.
        n_targets: Columns of the output.
    """

    fields = Forest._fields

    def __init__(self, config: CompositionTreesConfig, n_targets: int) -> None:
        super().__init__()
        self.config = config
        self.keep(empty_forest(n_targets)._asdict())

    def fit(
        self,
        batch: Batch,
        labels: NDArray[np.float64],
        *,
        classes: Sequence[bool] = (),
        seed: int = 0,
    ) -> Self:
        """Fit the trees, in place.

        Args:
            batch: Crystals; fields as for `forward`.
            labels: On the scale of the output, NaN missing, shape (n_graphs, n_targets).
            classes: Whether each target is a class; see `fit_trees`.
            seed: Of the binning of the features.
        """
        features = _features(batch)
        forest = fit_trees(features, labels, self.config, classes=classes, seed=seed)
        self.keep(forest._asdict())
        return self

    def forward(self, batch: Batch) -> Tensor:
        """Return predictions on the model's internal scale, shape (n_graphs, n_targets)."""
        values = predict_forest(_features(batch), Forest._make(self.arrays()))
        return torch.from_numpy(values).float().to(batch.atomic_numbers.device)

    def problem(self, columns: list[Tensor]) -> str:
        """Say why stored columns cannot be evaluated; empty when they can."""
        arrays = [column.cpu().numpy() for column in columns]
        for name, own, array in zip(self.fields, self.arrays(), arrays, strict=True):
            expected = np.asarray(own).dtype
            if array.ndim != 1 or array.dtype != expected:
                return f"{name} is not a list of {expected}"
        n_targets = len(self.get_buffer("start"))
        if len(arrays[-1]) != n_targets:
            return f"trees of {len(arrays[-1])} targets, not {n_targets}"
        return check_forest(Forest._make(arrays), n_features=len(feature_names()))


def _features(batch: Batch) -> NDArray[np.float64]:
    return batch_features(batch.atomic_numbers.cpu().numpy(), batch.ptr.cpu().numpy())


def fit_trees(
    features: NDArray[np.float64],
    labels: NDArray[np.float64],
    config: CompositionTreesConfig,
    *,
    classes: Sequence[bool] = (),
    seed: int = 0,
) -> Forest:
    """Fit one ensemble of trees per target on the rows that have its label.

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
