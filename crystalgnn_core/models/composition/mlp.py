"""A multilayer perceptron that sees the composition alone."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from crystalgnn_core.models.composition.features import batch_features, property_table
from crystalgnn_core.models.network import Network

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor
    from torch_geometric.data import Batch

    from crystalgnn_core.models.composition.config import CompositionMLPConfig

FRACTION_SCALE = 10.0  # most fractions are small; as large as the other inputs


class CompositionMLP(Network):
    """Predict crystal properties from statistics of element properties.

    The statistics are those of Ward et al., npj Comput. Mater. 2, 16028 (2016), see
    `batch_features`, on the scale of the element table: means, minima and maxima as
    standard scores among the elements, deviations and ranges in units of the elements'
    spread. What no element of the crystal has is 0, and one more input a property says so.
    The fractions of the elements beside them are the inputs of ElemNet, Jha et al., Sci.
    Rep. 8, 17593 (2018); on MP-20 they take more than half of the energy's error away.

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
        self.with_fractions = config.with_fractions
        n_elements, n_properties = property_table().shape
        n_inputs = 6 * n_properties + (n_elements if config.with_fractions else 0)
        widths = (n_inputs, *config.widths, n_targets)
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(widths))

    def forward(self, batch: Batch) -> Tensor:
        """Return predictions on the model's internal scale, shape (n_graphs, n_targets)."""
        numbers, pointer = batch.atomic_numbers.cpu().numpy(), batch.ptr.cpu().numpy()
        inputs = torch.from_numpy(self._inputs(numbers, pointer))
        layers = cast("list[nn.Linear]", list(self.layers))
        weight = layers[0].weight
        dtype = weight.dtype if self.training else torch.float64
        hidden = inputs.to(weight.device, dtype)
        for index, layer in enumerate(layers):
            values = functional.silu(hidden) if index else hidden
            hidden = functional.linear(values, layer.weight.to(dtype), layer.bias.to(dtype))
        return hidden.to(weight.dtype)

    def _inputs(
        self, atomic_numbers: NDArray[np.int64], pointer: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Describe the compositions of a batch, shape (n_graphs, n_inputs)."""
        features = batch_features(atomic_numbers, pointer)
        scaled = (features - self.center) / self.scale
        is_unknown = np.isnan(features[:, ::5])  # all statistics of a property are, or none
        inputs = [np.nan_to_num(scaled), is_unknown]
        if self.with_fractions:
            inputs.append(FRACTION_SCALE * _fractions(atomic_numbers, pointer))
        return np.concatenate(inputs, axis=1)


def _fractions(
    atomic_numbers: NDArray[np.int64], pointer: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the fraction of each element, shape (n_graphs, n_elements)."""
    n_graphs, n_elements = len(pointer) - 1, len(property_table())
    sizes = np.diff(pointer)
    cells = np.repeat(np.arange(n_graphs) * n_elements, sizes) + atomic_numbers
    counts = np.bincount(cells, minlength=n_graphs * n_elements)
    return counts.reshape(n_graphs, n_elements) / sizes[:, None]


def _element_scale() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the offset and the unit of every feature, both of shape (n_features,)."""
    table = property_table()
    mean, spread = np.nanmean(table, axis=0), np.nanstd(table, axis=0)
    has_offset = np.array([1.0, 0.0, 1.0, 1.0, 0.0])  # not the deviation and the range
    return np.outer(mean, has_offset).ravel(), np.repeat(spread, 5)
