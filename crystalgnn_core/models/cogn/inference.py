"""coGN for prediction: equivalent atoms, and edges with equal messages, once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from crystalgnn_core.models.merging import merge_equivalent

if TYPE_CHECKING:
    from torch import Tensor
    from torch_geometric.data import Batch

    from crystalgnn_core.models.cogn.network import COGN


class FastCOGN:
    """Predict what a coGN predicts.

    Its time goes into products of matrices, so that functions of a distance from tables
    would save nothing.

    Args:
        network: In evaluation mode.
    """

    def __init__(self, network: COGN) -> None:
        self.network = network

    def __call__(self, batch: Batch) -> Tensor:
        """Return predictions on the model's internal scale, shape (n_graphs, n_targets)."""
        with torch.no_grad():
            return self.network(merge_equivalent(batch, self.network.equivalence_rounds))
