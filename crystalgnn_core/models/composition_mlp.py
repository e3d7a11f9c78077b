"""A multilayer perceptron that sees the composition alone."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from crystalgnn_core.models.composition import batch_features, property_table

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor
    from torch_geometric.data import Batch

    from crystalgnn_core.models.composition_config import CompositionMLPConfig


class CompositionMLP(nn.Module):
    """Predict crystal properties from statistics of element properties.

    The statistics are those of Ward et al., npj Comput. Mater. 2, 16028 (2016), see
    `batch_features`, on the scale of the element table: means, minima and maxima as
    standard scores among the elements, deviations and ranges in units of the elements'
    spread. What no element of the crystal has is 0, and one more input a property says so.

    In evaluation mode the layers work in double precision, so that rounding does not make a
    crystal's values depend on the size of its batch: a pre-screen cuts at some value.

    Batch fields read: `atomic_numbers`, `ptr`.

    Args:
        config: Sizes.
        n_targets: Columns of the output.
    """

    def __init__(self, config: CompositionMLPConfig, n_targets: int) -> None:
        super().__init__()
        self.center, self.scale = _element_scale()
        n_properties = property_table().shape[1]
        widths = (len(self.center) + n_properties, *config.widths, n_targets)
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(widths))

    def forward(self, batch: Batch) -> Tensor:
        """Return predictions on the model's internal scale, shape (n_graphs, n_targets)."""
        features = batch_features(
            batch.atomic_numbers.cpu().numpy(), batch.ptr.cpu().numpy()
        )
        layers = cast("list[nn.Linear]", list(self.layers))
        weight = layers[0].weight
        dtype = weight.dtype if self.training else torch.float64
        hidden = torch.from_numpy(self._inputs(features)).to(weight.device, dtype)
        for index, layer in enumerate(layers):
            values = functional.silu(hidden) if index else hidden
            hidden = functional.linear(values, layer.weight.to(dtype), layer.bias.to(dtype))
        return hidden.to(weight.dtype)

    def _inputs(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Put features (n_graphs, n_features) on the scale of the elements."""
        scaled = (features - self.center) / self.scale
        is_unknown = np.isnan(features[:, ::5])  # all statistics of a property are, or none
        return np.concatenate([np.nan_to_num(scaled), is_unknown], axis=1)


def _element_scale() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the offset and the unit of every feature, both of shape (n_features,)."""
    table = property_table()
    mean, spread = np.nanmean(table, axis=0), np.nanstd(table, axis=0)
    has_offset = np.array([1.0, 0.0, 1.0, 1.0, 0.0])  # not the deviation and the range
    return np.outer(mean, has_offset).ravel(), np.repeat(spread, 5)
