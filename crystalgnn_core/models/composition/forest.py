"""Ensembles of decision trees as plain arrays, and their evaluation by a kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from crystalgnn_core.compiled import compiled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from sklearn.ensemble import (
        HistGradientBoostingClassifier,
        HistGradientBoostingRegressor,
    )

    AnyEnsemble: TypeAlias = HistGradientBoostingRegressor | HistGradientBoostingClassifier

BLOCK = 64  # rows that pass through a tree together, while it lies in the fastest cache


class Forest(NamedTuple):
    """Trees of all targets, laid end to end.

    A row goes left in a node when its feature is not above the threshold, or is unknown and
    `unknown_left` is set. Children stand behind their parent; a leaf has none and holds the
    value that its tree adds.

    Attributes:
        feature: Feature that a node looks at, shape (n_nodes,), int32.
        threshold: Shape (n_nodes,), float64.
        unknown_left: Where rows without the feature go, shape (n_nodes,), uint8.
        left: Index of the left child, 0 for a leaf, shape (n_nodes,), int32.
        right: Index of the right child, 0 for a leaf, shape (n_nodes,), int32.
        value: What a leaf adds, shape (n_nodes,), float64.
        root: First node of each tree, shape (n_trees,), int32.
        target: Target of each tree, shape (n_trees,), int32.
        start: Prediction before the first tree, shape (n_targets,), float64.
    """

    feature: NDArray[np.int32]
    threshold: NDArray[np.float64]
    unknown_left: NDArray[np.uint8]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    value: NDArray[np.float64]
    root: NDArray[np.int32]
    target: NDArray[np.int32]
    start: NDArray[np.float64]


def empty_forest(n_targets: int) -> Forest:
    """Return a forest without trees, which predicts 0."""
    whole, real = np.empty(0, np.int32), np.empty(0)
    flags = np.empty(0, np.uint8)
    start = np.zeros(n_targets)
    return Forest(whole, real, flags, whole, whole, real, whole, whole, start)


def forest_of(ensembles: Sequence[AnyEnsemble | float]) -> Forest:
    """Lay out fitted ensembles, one per target, that have no categorical features.

    Those of two classes give the logit of the second one. A number in place of an ensemble
    is what is predicted of every row.
    """
    parts, roots, targets = [], [], []
    n_nodes = 0
    for column, ensemble in enumerate(ensembles):
        predictors = () if isinstance(ensemble, float) else ensemble._predictors
        for (tree,) in predictors:
            nodes = tree.nodes
            is_inner = nodes["is_leaf"] == 0
            roots.append(n_nodes)
            targets.append(column)
            parts.append(
                (
                    nodes["feature_idx"],
                    nodes["num_threshold"],
                    nodes["missing_go_to_left"],
                    np.where(is_inner, nodes["left"].astype(np.int64) + n_nodes, 0),
                    np.where(is_inner, nodes["right"].astype(np.int64) + n_nodes, 0),
                    nodes["value"],
                )
            )
            n_nodes += len(nodes)
    empty = empty_forest(len(ensembles))
    columns = [
        np.concatenate([default, *pieces]).astype(default.dtype)
        for default, *pieces in zip(empty[:6], *parts, strict=True)
    ]
    starts = [
        ensemble if isinstance(ensemble, float) else ensemble._baseline_prediction.item()
        for ensemble in ensembles
    ]
    return Forest._make(
        [*columns, np.array(roots, np.int32), np.array(targets, np.int32), np.array(starts)]
    )


def check_forest(forest: Forest, *, n_features: int) -> str:
    """Say why arrays are no forest that can be evaluated; empty when they are one."""
    n_nodes, n_targets = len(forest.feature), len(forest.start)
    if any(len(column) != n_nodes for column in forest[:6]):
        return "the columns of the nodes differ in length"
    if len(forest.root) != len(forest.target):
        return "the trees have not one root and one target each"
    limits = {"feature": n_features, "root": n_nodes, "target": n_targets}
    for name, limit in limits.items():
        indices = getattr(forest, name)
        if ((indices < 0) | (indices >= limit)).any():
            return f"a {name} is not one of {limit}"
    # the kernel walks on while there is a left child: it must get to an end
    inner = np.flatnonzero(forest.left)
    children = np.stack([forest.left[inner], forest.right[inner]])
    if (children <= inner).any() or (children >= n_nodes).any():
        return "a node has a child that does not stand behind it"
    return ""


def predict_forest(features: NDArray[np.float64], forest: Forest) -> NDArray[np.float64]:
    """Add up what the trees say of each row; equal to scikit-learn's own prediction.

    Args:
        features: Shape (n_rows, n_features), NaN unknown.
        forest: Sound trees, see `check_forest`.

    Returns:
        Shape (n_rows, n_targets); a row's values do not depend on the other rows.
    """
    return _predict(np.ascontiguousarray(features), forest)


@compiled
def _predict(features: NDArray[np.float64], forest: Forest) -> NDArray[np.float64]:
    n_rows = len(features)
    output = np.empty((n_rows, len(forest.start)))
    for row in range(n_rows):
        output[row] = forest.start
    for first in range(0, n_rows, BLOCK):
        stop = min(first + BLOCK, n_rows)
        for tree in range(len(forest.root)):
            target = forest.target[tree]
            for row in range(first, stop):
                node = forest.root[tree]
                while forest.left[node]:
                    value = features[row, forest.feature[node]]
                    if np.isnan(value):
                        is_left = forest.unknown_left[node] != 0
                    else:
                        is_left = value <= forest.threshold[node]
                    node = forest.left[node] if is_left else forest.right[node]
                output[row, target] += forest.value[node]
    return output
