"""MEGNet for prediction: equivalent atoms and bonds once, the first bonds from a table."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch

from crystalgnn_core.models.cpu.tables import distance_end, tabulate
from crystalgnn_core.models.merging import merge_equivalent

if TYPE_CHECKING:
    from torch import Tensor
    from torch_geometric.data import Batch

    from crystalgnn_core.models.megnet.network import MEGNet


class FastMEGNet:
    """Predict what a MEGNet predicts.

    Args:
        network: In evaluation mode; its weights are used as they are now.
    """

    def __init__(self, network: MEGNet) -> None:
        self.network = network
        exact = copy.deepcopy(network).double()
        dtype = next(network.parameters()).dtype
        with torch.no_grad():
            self._bonds = tabulate(
                exact.enter_bonds, 0.0, distance_end(network.basis), dtype
            )

    def __call__(self, batch: Batch) -> Tensor:
        """Return predictions on the model's internal scale, shape (n_graphs, n_targets)."""
        with torch.no_grad():
            merged = merge_equivalent(batch, self.network.equivalence_rounds)
            return self.network.update(merged, self._bonds.read)
