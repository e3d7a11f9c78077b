"""ALIGNN for prediction: first bonds and angles, and what they add, read from tables."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, cast

import torch

from crystalgnn_core.models.alignn.network import Edges
from crystalgnn_core.models.cpu.tables import Table, distance_end, tabulate

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch_geometric.data import Batch

    from crystalgnn_core.models.alignn.network import (
        ALIGNN,
        EdgeGatedConvolution,
        LineGraphConvolution,
    )
    from crystalgnn_core.models.layers import GaussianExpansion


class FastALIGNN:
    """Predict what an ALIGNN predicts.

    The embedding of a distance or a cosine, and the product of it with the first matrix
    that it meets, are functions of one number.

    Args:
        network: In evaluation mode; its weights are used as they are now.
    """

    def __init__(self, network: ALIGNN) -> None:
        self.network = network
        end = distance_end(cast("GaussianExpansion", network.edge_embedding[0]))
        self._angles: _EdgesTable | None = None
        if len(network.alignn_layers):
            first = cast("LineGraphConvolution", network.alignn_layers[0])
            self._bonds = _table(network.edge_embedding, first.node_update, (0.0, end))
            self._angles = _table(network.angle_embedding, first.edge_update, (-1.0, 1.0))
        else:
            only = cast("EdgeGatedConvolution", network.gcn_layers[0])
            self._bonds = _table(network.edge_embedding, only, (0.0, end))

    def __call__(self, batch: Batch) -> Tensor:
        """Return predictions on the model's internal scale, shape (n_graphs, n_targets)."""
        with torch.no_grad():
            return self.network.convolve(batch, self._bonds, self._angles)


def _table(
    embedding: nn.Module, first: EdgeGatedConvolution, ends: tuple[float, float]
) -> _EdgesTable:
    dtype = first.edge_gate.weight.dtype
    embed = copy.deepcopy(embedding).double()
    product = copy.deepcopy(first.edge_gate).double()

    def both(values: Tensor) -> Tensor:
        features = embed(values)
        return torch.cat((features, product(features)), dim=1)

    with torch.no_grad():
        return _EdgesTable(tabulate(both, *ends, dtype))


class _EdgesTable:
    """A table of features and terms side by side."""

    def __init__(self, table: Table) -> None:
        features, terms = table.split()
        self._features, self._terms = features, terms

    def __call__(self, values: Tensor) -> Edges:
        """Read features and terms of distances or cosines, shape (n,)."""
        return Edges(self._features.read(values), self._terms.read(values))
