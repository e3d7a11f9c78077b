"""Crystal graph convolutional neural network, Xie & Grossman 2018."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import nn
from torch.nn import functional

from crystalgnn_core.base import FrozenModel
from crystalgnn_core.models.layers import (
    N_ELEMENT_FEATURES,
    GaussianBasis,
    element_table,
    mean_by_graph,
    spread_to_edges,
    sum_by_center,
)

if TYPE_CHECKING:
    from torch import Tensor
    from torch_geometric.data import Batch


class CGCNNConfig(FrozenModel):
    """Size of a CGCNN; the defaults are those of the authors' code.

    Attributes:
        atom_width: Features an atom inside the convolutions.
        n_convolutions: Gated convolutions.
        hidden_width: Features after pooling.
        n_hidden: Fully connected layers after pooling.
        basis_start: First Gaussian centre in angstrom.
        basis_stop: Last Gaussian centre in angstrom.
        basis_step: Spacing and width of the Gaussians in angstrom.
    """

    kind: Literal["cgcnn"] = "cgcnn"
    atom_width: Annotated[int, Field(ge=1)] = 64
    n_convolutions: Annotated[int, Field(ge=1)] = 3
    hidden_width: Annotated[int, Field(ge=1)] = 128
    n_hidden: Annotated[int, Field(ge=1)] = 1
    basis_start: Annotated[float, Field(ge=0)] = 0.0
    basis_stop: Annotated[float, Field(gt=0)] = 8.0
    basis_step: Annotated[float, Field(gt=0)] = 0.2

    @model_validator(mode="after")
    def _basis_is_not_empty(self) -> Self:
        if self.basis_stop <= self.basis_start:
            raise ValueError(
                f"basis_stop {self.basis_stop} is not above basis_start "
                f"{self.basis_start}; raise it"
            )
        return self

    def build(self, n_targets: int) -> CGCNN:
        """Create the network with fresh weights from torch's global generator."""
        return CGCNN(self, n_targets)


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

    elements: Tensor

    def __init__(self, config: CGCNNConfig, n_targets: int) -> None:
        super().__init__()
        self.basis = GaussianBasis(config.basis_start, config.basis_stop, config.basis_step)
        self.register_buffer(
            "elements", torch.from_numpy(element_table()), persistent=False
        )
        self.embedding = nn.Linear(N_ELEMENT_FEATURES, config.atom_width)
        self.convs = nn.ModuleList(
            GatedConvolution(config.atom_width, self.basis.n_features)
            for _ in range(config.n_convolutions)
        )
        self.conv_to_fc = nn.Linear(config.atom_width, config.hidden_width)
        self.fcs = nn.ModuleList(
            nn.Linear(config.hidden_width, config.hidden_width)
            for _ in range(config.n_hidden - 1)
        )
        self.fc_out = nn.Linear(config.hidden_width, n_targets)

    def forward(self, batch: Batch) -> Tensor:
        """Return predictions on the model's internal scale, shape (n_graphs, n_targets)."""
        edges = self.basis(batch.edge_vector.norm(dim=1))
        atoms = self.embedding(self.elements).index_select(0, batch.atomic_numbers)
        for convolution in self.convs:
            atoms = convolution(atoms, edges, batch.edge_index[0], batch.degree)
        crystals = mean_by_graph(atoms, batch.ptr)
        hidden = functional.softplus(self.conv_to_fc(functional.softplus(crystals)))
        for layer in self.fcs:
            hidden = functional.softplus(layer(hidden))
        return self.fc_out(hidden)
