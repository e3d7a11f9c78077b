"""Gated attention between neighbours, as in Matformer, and the volume of the cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from crystalgnn_core.models.layers import (
    GaussianExpansion,
    mean_by_graph,
    spread_to_edges,
    sum_by_center,
)
from crystalgnn_core.models.network import LayerNames, Network

if TYPE_CHECKING:
    from torch import Tensor
    from torch_geometric.data import Batch

    from tests.plugins.lattice_network.config import LatticeNetworkConfig


class Attention(nn.Module):
    """Sum messages of the neighbours, each gated by its agreement with the centre."""

    def __init__(self, width: int, n_gaussians: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, width)
        self.of_neighbor = nn.Linear(width, 2 * width)
        self.of_edge = nn.Linear(n_gaussians, 2 * width)
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, width)

    def forward(self, atoms: Tensor, edges: Tensor, batch: Batch) -> Tensor:
        """Return the updated atoms, shape (n_atoms, width)."""
        of_neighbor = self.of_neighbor(atoms).index_select(0, batch.edge_index[0])
        key, message = (of_neighbor + self.of_edge(edges)).chunk(2, dim=1)
        query = spread_to_edges(self.query(atoms), batch.degree, len(edges))
        gate = torch.sigmoid(self.norm(query * key))
        return atoms + self.out(sum_by_center(gate * message, batch.degree))


class LatticeNetwork(Network):
    """Predict crystal properties from neighbours and the volume per atom.

    Batch fields read: `atomic_numbers`, `edge_index`, `edge_vector`, `degree`, `lattice`,
    `ptr`.
    """

    layer_names = LayerNames(embedding="embedding", output="output")

    def __init__(self, config: LatticeNetworkConfig, n_targets: int) -> None:
        super().__init__()
        width = config.width
        self.embedding = nn.Embedding(119, width)
        self.basis = GaussianExpansion(0.0, 8.0, config.n_gaussians, 4.0)
        self.layers = nn.ModuleList(
            Attention(width, config.n_gaussians) for _ in range(config.n_layers)
        )
        self.of_volume = nn.Linear(1, width)
        self.output = nn.Linear(width, n_targets)

    def forward(self, batch: Batch) -> Tensor:
        """Return predictions on the model's internal scale, shape (n_graphs, n_targets)."""
        edges = self.basis(batch.edge_vector.norm(dim=1))
        atoms = self.embedding(batch.atomic_numbers)
        for layer in self.layers:
            atoms = layer(atoms, edges, batch)
        volume = torch.linalg.det(batch.lattice).abs() / batch.ptr.diff()
        known = mean_by_graph(atoms, batch.ptr) + self.of_volume(volume.log().unsqueeze(1))
        return self.output(nn.functional.silu(known))
