"""Kernel ridge regression on the features of a potential, in the form of a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np
import torch

from crystalgnn_core.models.composition.inputs import inputs_of
from crystalgnn_core.models.fitted import ArrayEstimator
from crystalgnn_core.models.potential.base import find_potential
from crystalgnn_core.models.potential.cache import mean_features
from crystalgnn_core.models.potential.kernel import (
    Kernel,
    empty_kernel,
    fit_kernel,
    predict_kernel,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor
    from torch_geometric.data import Batch

    from crystalgnn_core.models.potential.config import PotentialConfig


class PotentialModel(ArrayEstimator):
    """Predict crystal properties by what a potential says of the atoms.

    The mean of its features over the atoms, which depends neither on the order of the atoms
    nor on the cell, stands beside statistics of the composition (see `inputs_of`) in a
    kernel ridge regression, see `Kernel`. The weights of the potential do not change and
    are not part of the model. There are no parameters and no gradients.

    Batch fields read: `atomic_numbers`, `lattice`, `frac_coords`, `ptr`.

    Args:
        config: Which potential, and the size of the kernel.
        n_targets: Columns of the output.

    Raises:
        ModelError: The package of the potential is not installed.
    """

    fields = Kernel._fields

    def __init__(self, config: PotentialConfig, n_targets: int) -> None:
        super().__init__()
        find_potential(config.potential).check_installed()
        self.config = config
        self.keep(empty_kernel(n_targets)._asdict())

    def fit(
        self,
        batch: Batch,
        labels: NDArray[np.float64],
        *,
        classes: Sequence[bool] = (),
        seed: int = 0,
    ) -> Self:
        """Fit the kernel, in place; crystals without features are left out.

        Args:
            batch: Crystals; fields as for `forward`.
            labels: On the scale of the output, NaN missing, shape (n_graphs, n_targets).
            classes: Whether each target is the logit of a class; none are by default.
            seed: Of the draw of the centers.
        """
        features = self._features(batch)
        sound = np.isfinite(features).all(axis=1)
        kernel = fit_kernel(
            features[sound],
            labels[sound],
            classes=classes or [False] * labels.shape[1],
            max_centers=self.config.max_centers,
            seed=seed,
        )
        self.keep(kernel._asdict())
        return self

    def forward(self, batch: Batch) -> Tensor:
        """Return predictions on the model's internal scale, shape (n_graphs, n_targets)."""
        values = predict_kernel(self._features(batch), Kernel._make(self.arrays()))
        return torch.from_numpy(values).float().to(batch.atomic_numbers.device)

    def _features(self, batch: Batch) -> NDArray[np.float64]:
        means = mean_features(batch, self.config.potential)
        return np.concatenate([means, inputs_of(batch, with_fractions=False).numpy()], 1)

    def problem(self, columns: list[Tensor]) -> str:
        """Say why stored columns cannot be evaluated; empty when they can."""
        for name, column in zip(self.fields, columns, strict=True):
            own = self.get_buffer(name)
            if column.dtype != own.dtype or column.ndim != own.ndim:
                return f"{name} is no array of {own.dtype} in {own.ndim} dimensions"
        n_features, n_centers = len(columns[0]), len(columns[2])
        targets = (len(self.get_buffer("start")),)
        expected = [(n_features,)] * 2 + [(n_centers, n_features), (*targets, n_centers)]
        expected += [targets] * 2
        found = [tuple(column.shape) for column in columns]
        return "" if found == expected else f"arrays of {found}, not {expected}"
