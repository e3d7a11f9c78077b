"""A multilayer perceptron that sees the composition alone."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, cast

import torch
from torch import nn
from torch.nn import functional

from crystalgnn_core.models.composition.inputs import count_inputs, inputs_of
from crystalgnn_core.models.network import Network

if TYPE_CHECKING:
    from torch import Tensor
    from torch_geometric.data import Batch

    from crystalgnn_core.models.composition.config import CompositionMLPConfig


class CompositionMLP(Network):
    """Predict crystal properties from statistics of element properties.

    Its inputs are those of `crystalgnn_core.models.composition.inputs`; the fractions of
    the elements take more than half of the energy's error away on MP-20.

    In evaluation mode the layers work in double precision, so that rounding does not make a
    crystal's values depend on the size of its batch: a pre-screen cuts at some value.

    Batch fields read: `atomic_numbers`, `ptr`.

    Args:
        config: Sizes.
        n_targets: Columns of the output.
    """

    def __init__(self, config: CompositionMLPConfig, n_targets: int) -> None:
        super().__init__()
        self.with_fractions = config.with_fractions
        self.with_charges = config.charge_balance
        n_inputs = count_inputs(self.with_fractions, with_charges=self.with_charges)
        widths = (n_inputs, *config.widths, n_targets)
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(widths))

    def forward(self, batch: Batch) -> Tensor:
        """Return predictions on the model's internal scale, shape (n_graphs, n_targets)."""
        inputs = inputs_of(
            batch, with_fractions=self.with_fractions, with_charges=self.with_charges
        )
        layers = cast("list[nn.Linear]", list(self.layers))
        weight = layers[0].weight
        dtype = weight.dtype if self.training else torch.float64
        hidden = inputs.to(weight.device, dtype)
        for index, layer in enumerate(layers):
            values = functional.silu(hidden) if index else hidden
            hidden = functional.linear(values, layer.weight.to(dtype), layer.bias.to(dtype))
        return hidden.to(weight.dtype)
