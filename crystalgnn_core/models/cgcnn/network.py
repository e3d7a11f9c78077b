"""Crystal graph convolutional neural network, Xie & Grossman 2018."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from crystalgnn_core.models.adjacency import Adjacency, atom_weight
from crystalgnn_core.models.cpu.gated_sum import GatedSum
from crystalgnn_core.models.cpu.threads import runs_fused
from crystalgnn_core.models.element_layers import embed_atoms, embed_elements
from crystalgnn_core.models.layers import GaussianExpansion, spread_to_edges, sum_by_center
from crystalgnn_core.models.network import LayerNames, Network
from crystalgnn_core.models.normalization import is_shared, normalize_columns
from crystalgnn_core.models.readout import make_readout

if TYPE_CHECKING:
    from torch import Tensor
    from torch_geometric.data import Batch

    from crystalgnn_core.models.cgcnn.config import CGCNNConfig
    from crystalgnn_core.models.cgcnn.inference import FastCGCNN


class GatedConvolution(nn.Module):
    """Update atoms by gated messages from their neighbours.

    v_i <- softplus(v_i + BN(sum_j sigmoid(BN(z W_f + b_f)) * softplus(BN(z W_s + b_s))))
    with z = [v_i, v_j, u_ij], eq. 5 of Phys. Rev. Lett. 120, 145301 (2018) with the batch
    normalisations of the authors' code. The product with W = [W_i, W_j, W_u] is evaluated
    as v_i W_i + v_j W_j + u_ij W_u, which is equal and spares the concatenation.

    Args:
        atom_width: Features per atom.
        edge_width: Features per edge.
    """

    def __init__(self, atom_width: int, edge_width: int) -> None:
        super().__init__()
        self.atom_width, self.edge_width = atom_width, edge_width
        self.fc_full = nn.Linear(2 * atom_width + edge_width, 2 * atom_width)
        self.bn1 = nn.BatchNorm1d(2 * atom_width)
        self.bn2 = nn.BatchNorm1d(atom_width)

    def forward(self, atoms: Tensor, edges: Tensor, adjacency: Adjacency) -> Tensor:
        """Return the updated atom features.

        Args:
            atoms: Shape (n_atoms, atom_width).
            edges: Shape (n_edges, edge_width), grouped by centre.
            adjacency: Neighbours of every atom.
        """
        projected, edge_terms = self._project(atoms), self._edge_terms(edges)
        norm, n_needed = self.bn1, 2 if self.bn1.training else 1
        is_fused = runs_fused(projected, edge_terms) and not is_shared(norm)
        if len(edges) >= n_needed and is_fused:
            messages = GatedSum.apply(  # type: ignore[no-untyped-call]
                edge_terms, projected, norm.weight, norm.bias, norm, adjacency
            )
        else:
            messages = gated_sum(edge_terms, projected, adjacency, norm)
        messages = normalize_columns(messages, self.bn2, adjacency.node_weight)
        return functional.softplus(atoms + messages)

    def split_weight(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return W_i, W_j and W_u, shape (2 atom_width, ...) each."""
        widths = [self.atom_width, self.atom_width, self.edge_width]
        of_center, of_neighbor, of_edge = torch.split(self.fc_full.weight, widths, dim=1)
        return of_center, of_neighbor, of_edge

    def _project(self, atoms: Tensor) -> Tensor:
        """Return v W_j and v W_i + b side by side, shape (n_atoms, 4 atom_width)."""
        of_center, of_neighbor, _ = self.split_weight()
        bias = torch.cat((torch.zeros_like(self.fc_full.bias), self.fc_full.bias))
        return functional.linear(atoms, torch.cat((of_neighbor, of_center)), bias)

    def _edge_terms(self, edges: Tensor) -> Tensor:
        return functional.linear(edges, self.split_weight()[2])


def gated_sum(
    edge_terms: Tensor, projected: Tensor, adjacency: Adjacency, norm: nn.BatchNorm1d
) -> Tensor:
    """Do what `crystalgnn_core.models.cpu.gated_sum.GatedSum` does, anywhere."""
    at_neighbor, at_center = projected.chunk(2, dim=1)
    mixed = edge_terms + at_neighbor.index_select(0, adjacency.sender)
    mixed = mixed + spread_to_edges(at_center, adjacency.degree, len(edge_terms))
    gate, core = normalize_columns(mixed, norm, adjacency.weights()).chunk(2, dim=1)
    messages = torch.sigmoid(gate) * functional.softplus(core)
    return sum_by_center(messages, adjacency.degree, adjacency.edge_weight)


class CGCNN(Network):
    """Predict crystal properties from a crystal graph.

    Xie & Grossman, Phys. Rev. Lett. 120, 145301 (2018), https://github.com/txie-93/cgcnn.
    Parameters have the names of that code. Differences: any number of edges per atom
    (the reference pads to 12), and any number of targets.

    Batch fields read: `atomic_numbers`, `edge_index`, `edge_vector`, `degree`, `ptr`.

    Args:
        config: Sizes.
        n_targets: Columns of the output.
    """

    layer_names = LayerNames(
        embedding="embedding", output="fc_out", after_pooling=("conv_to_fc", "fcs")
    )

    def __init__(self, config: CGCNNConfig, n_targets: int) -> None:
        super().__init__()
        self.atom_width = config.atom_width
        width = config.gaussian_width or config.basis_step
        self.basis = GaussianExpansion(
            config.basis_start, config.basis_stop, config.n_centers, 1.0 / width**2
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
        atoms = embed_atoms(self.embedding, batch)
        adjacency = Adjacency.of_batch(batch)
        for convolution in self.convs:
            atoms = convolution(atoms, edges, adjacency)
        return self.read(atoms, batch)

    @property
    def equivalence_rounds(self) -> int:
        """Steps in which the atoms hear of each other."""
        return len(self.convs)

    def cpu_form(self) -> FastCGCNN:
        """Return this network with functions of one variable read from tables."""
        from crystalgnn_core.models.cgcnn.inference import FastCGCNN

        return FastCGCNN(self)

    def read(self, atoms: Tensor, batch: Batch) -> Tensor:
        """Return predictions from the last features of the atoms (n_atoms, atom_width)."""
        crystals = self.readout(atoms, batch.ptr.diff(), atom_weight(batch))
        hidden = functional.softplus(self.conv_to_fc(functional.softplus(crystals)))
        for layer in self.fcs:
            hidden = functional.softplus(layer(hidden))
        return self.fc_out(hidden)
