"""Gradient-boosted trees on the composition, in the form of a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from crystalgnn_core.models.composition import batch_features, feature_names, fit_trees
from crystalgnn_core.models.decision_trees import (
    Forest,
    check_forest,
    empty_forest,
    predict_forest,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor
    from torch_geometric.data import Batch

    from crystalgnn_core.models.composition_config import CompositionTreesConfig


class CompositionTrees(nn.Module):
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

    def __init__(self, config: CompositionTreesConfig, n_targets: int) -> None:
        super().__init__()
        self.config = config
        self._keep(empty_forest(n_targets))

    def fit(
        self,
        batch: Batch,
        labels: NDArray[np.float64],
        *,
        classes: Sequence[bool] = (),
        seed: int = 0,
    ) -> CompositionTrees:
        """Fit the trees, in place.

        Args:
            batch: Crystals; fields as for `forward`.
            labels: On the scale of the output, NaN missing, shape (n_graphs, n_targets).
            classes: Whether each target is a class; see `fit_trees`.
            seed: Of the binning of the features.
        """
        features = _features(batch)
        self._keep(fit_trees(features, labels, self.config, classes=classes, seed=seed))
        return self

    def forward(self, batch: Batch) -> Tensor:
        """Return predictions on the model's internal scale, shape (n_graphs, n_targets)."""
        values = predict_forest(_features(batch), self._forest())
        return torch.from_numpy(values).float().to(batch.atomic_numbers.device)

    def _forest(self) -> Forest:
        columns = (self.get_buffer(name).cpu() for name in Forest._fields)
        return Forest._make(column.contiguous().numpy() for column in columns)

    def _keep(self, forest: Forest) -> None:
        for name, column in forest._asdict().items():
            self.register_buffer(name, torch.from_numpy(column))

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        *args: Any,  # noqa: ANN401  torch's own lists, of which the last takes errors
    ) -> None:
        """Take over trees of any number, but none that would lead out of their arrays."""
        errors: list[str] = args[-1]
        names = {own: f"{prefix}{own}" for own in Forest._fields}
        if all(name in state_dict for name in names.values()):
            problem = self._problem([state_dict[name] for name in names.values()])
            if problem:
                errors.append(problem)
                return
            for own, name in names.items():
                self.register_buffer(own, torch.empty_like(state_dict[name]))
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _problem(self, columns: list[Tensor]) -> str:
        """Say why stored columns cannot be evaluated; empty when they can."""
        arrays = [column.cpu().numpy() for column in columns]
        for name, own, array in zip(Forest._fields, self._forest(), arrays, strict=True):
            expected = np.asarray(own).dtype
            if array.ndim != 1 or array.dtype != expected:
                return f"{name} is not a list of {expected}"
        n_targets = len(self.get_buffer("start"))
        if len(arrays[-1]) != n_targets:
            return f"trees of {len(arrays[-1])} targets, not {n_targets}"
        return check_forest(Forest._make(arrays), n_features=len(feature_names()))


def _features(batch: Batch) -> NDArray[np.float64]:
    return batch_features(batch.atomic_numbers.cpu().numpy(), batch.ptr.cpu().numpy())
