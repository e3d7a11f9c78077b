"""Crystal graph convolutional neural network, Xie & Grossman 2018."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from crystalgnn_core.models.inputs import embed_elements
from crystalgnn_core.models.layers import GaussianBasis, spread_to_edges, sum_by_center
from crystalgnn_core.models.readout import make_readout

if TYPE_CHECKING:
    from torch import Tensor
    from torch_geometric.data import Batch

    from crystalgnn_core.models.config import CGCNNConfig


class GatedConvolution(nn.Module):
    """Update atoms by gated messages from their neighbours.

    v_i <- softplus(v_i + BN(sum_j sigmoid(BN(z W_f + b_f)) * softplus(BN(z W_s + b_s))))
    with z = [v_i, v_j, u_ij], eq. 5 of Phys. Rev. Lett. 120, 145301 (2018) with the batch
    normalisations of the authors' code. The product with W = [W_i, W_j, W_u] is evaluated
    as v_i W_i + v_j W_j + u_ij W_u, which is equal and spares the concatenation.

    Args:
        atom_width: Features an atom.
        edge_width: Features an edge.
    """

    def __init__(self, atom_width: int, edge_width: int) -> None:
        super().__init__()
        self.atom_width = atom_width
        self.fc_full = nn.Linear(2 * atom_width + edge_width, 2 * atom_width)
        self.bn1 = nn.BatchNorm1d(2 * atom_width)
        self.bn2 = nn.BatchNorm1d(atom_width)

    def forward(
        self, atoms: Tensor, edges: Tensor, neighbor: Tensor, degree: Tensor
    ) -> Tensor:
        """Return the updated atom features.

        Args:
            atoms: Shape (n_atoms, atom_width).
            edges: Shape (n_edges, edge_width), grouped by centre.
            neighbor: Neighbour of every edge, shape (n_edges,), int64.
            degree: Edges of every atom, shape (n_atoms,), int64.
        """
        width = self.atom_width
        weight = self.fc_full.weight
        at_center = functional.linear(atoms, weight[:, :width], self.fc_full.bias)
        at_neighbor = functional.linear(atoms, weight[:, width : 2 * width])
        gated = functional.linear(edges, weight[:, 2 * width :])
        gated = gated + at_neighbor.index_select(0, neighbor)
        gated = gated + spread_to_edges(at_center, degree, len(edges))
        gate, core = self.bn1(gated).chunk(2, dim=1)
        messages = torch.sigmoid(gate) * functional.softplus(core)
        return functional.softplus(atoms + self.bn2(sum_by_center(messages, degree)))


class CGCNN(nn.Module):
    """Predict crystal properties from a crystal graph.

    Xie & Grossman, Phys. Rev. Lett. 120, 145301 (2018), https://github.com/txie-93/cgcnn.
    Parameters have the names of that code. Differences: any number of edges an atom
    (the reference pads to 12), and any number of targets.

    Batch fields read: `atomic_numbers`, `edge_index`, `edge_vector`, `degree`, `ptr`.

    Args:
        config: Sizes.
        n_targets: Columns of the output.
    """

    def __init__(self, config: CGCNNConfig, n_targets: int) -> None:
        super().__init__()
        self.basis = GaussianBasis(
            config.basis_start,
            config.basis_stop,
            config.n_centers,
            config.gaussian_width or config.basis_step,
        )
        self.embedding = embed_elements(
            config.node_features, config.atom_width, config.n_embedded
        )
        self.convs = nn.ModuleList(
            GatedConvolution(config.atom_width, self.basis.n_features)
            for _ in range(config.n_convolutions)
        )
        self.readout = make_readout(
            config.readout, config.atom_width, config.query_width, config.n_passes
        )
        self.conv_to_fc = nn.Linear(self.readout.n_outputs, config.hidden_width)
        self.fcs = nn.ModuleList(
            nn.Linear(config.hidden_width, config.hidden_width)
            for _ in range(config.n_hidden - 1)
        )
        self.fc_out = nn.Linear(config.hidden_width, n_targets)

    def forward(self, batch: Batch) -> Tensor:
        """Return predictions on the model's internal scale, shape (n_graphs, n_targets)."""
        edges = self.basis(batch.edge_vector.norm(dim=1))
        atoms = self.embedding(batch.atomic_numbers)
        for convolution in self.convs:
            atoms = convolution(atoms, edges, batch.edge_index[0], batch.degree)
        crystals = self.readout(atoms, batch.ptr.diff())
        hidden = functional.softplus(self.conv_to_fc(functional.softplus(crystals)))
        for layer in self.fcs:
            hidden = functional.softplus(layer(hidden))
        return self.fc_out(hidden)
