"""Atomistic line graph neural network, Choudhary & DeCost 2021."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from crystalgnn_core.graphs.line_graph import pair_along_paths
from crystalgnn_core.models.layers import (
    N_ELEMENT_FEATURES,
    GaussianExpansion,
    element_table,
    mean_by_graph,
    spread_to_edges,
    sum_by_center,
)

if TYPE_CHECKING:
    from torch import Tensor
    from torch_geometric.data import Batch

    from crystalgnn_core.graphs.line_graph import LineGraph
    from crystalgnn_core.models.config import ALIGNNConfig

MEAN_GATE = 1e-6  # keeps the mean over no gate finite


class EdgeGatedConvolution(nn.Module):
    """Update nodes by messages that their edges gate, and the edges with them.

    m_ij = A h_i + B h_j + C e_ij, h_i <- h_i + silu(N(U h_i + sum_j s(m_ij) V h_j /
    (sum_j s(m_ij) + 1e-6))), e_ij <- e_ij + silu(N(m_ij)) with the logistic function s and
    a normalisation N: eqs. 3 to 5 of npj Comput. Mater. 7, 185 (2021). Nodes are atoms
    joined by bonds, or bonds joined by angles. Parameters are named as in the authors'
    code.

    Args:
        width: Features of a node and of an edge.
        normalization: `batch` or `layer`.
        updates_edges: Whether the edges are used afterwards; if not, they are not updated.
    """

    def __init__(self, width: int, normalization: str, *, updates_edges: bool) -> None:
        super().__init__()
        self.src_gate = nn.Linear(width, width)
        self.dst_gate = nn.Linear(width, width)
        self.edge_gate = nn.Linear(width, width)
        self.src_update = nn.Linear(width, width)
        self.dst_update = nn.Linear(width, width)
        self.bn_nodes = make_normalization(normalization, width)
        self.bn_edges = make_normalization(normalization, width) if updates_edges else None

    def forward(
        self, nodes: Tensor, edges: Tensor, sender: Tensor, degree: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the updated nodes and edges.

        Args:
            nodes: Shape (n_nodes, width).
            edges: Shape (n_edges, width), grouped by receiving node.
            sender: Sending node of every edge, shape (n_edges,), int64.
            degree: Edges that each node receives, shape (n_nodes,), int64.
        """
        sent = self._sent(nodes).index_select(0, sender)
        gate, message = sent.chunk(2, dim=1)
        received = spread_to_edges(self.dst_gate(nodes), degree, len(edges))
        # in place: no gradient needs what was there, and memory is what takes the time
        mixed = self.edge_gate(edges).add_(gate).add_(received)
        share = torch.sigmoid(mixed)
        total = sum_by_center(share, degree) + MEAN_GATE
        mean = sum_by_center(message * share, degree) / total
        updated = self.bn_nodes(self.src_update(nodes).add_(mean))
        updated = functional.silu(updated).add_(nodes)
        if self.bn_edges is None:
            return updated, edges
        return updated, functional.silu(self.bn_edges(mixed)).add_(edges)

    def _sent(self, nodes: Tensor) -> Tensor:
        """Return what nodes send, gate and message side by side, shape (n_nodes, 2 width).

        One product and one gathering of rows in place of two.
        """
        weight = torch.cat((self.src_gate.weight, self.dst_update.weight))
        bias = torch.cat((self.src_gate.bias, self.dst_update.bias))
        return functional.linear(nodes, weight, bias)


class LineGraphConvolution(nn.Module):
    """Update atoms and bonds on the crystal graph, then bonds and angles on its line graph.

    Args:
        width: Features of atoms, bonds and angles.
        normalization: `batch` or `layer`.
        is_last: Whether the angles are not used afterwards.
    """

    def __init__(self, width: int, normalization: str, *, is_last: bool) -> None:
        super().__init__()
        self.node_update = EdgeGatedConvolution(width, normalization, updates_edges=True)
        self.edge_update = EdgeGatedConvolution(
            width, normalization, updates_edges=not is_last
        )

    def forward(
        self,
        features: tuple[Tensor, Tensor, Tensor],
        crystal: tuple[Tensor, Tensor],
        line: LineGraph,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the updated atoms, bonds and angles.

        Args:
            features: Of atoms (n_atoms, width), of bonds (n_edges, width) grouped by
                centre, and of angles (n_pairs, width) grouped by receiving bond.
            crystal: Neighbour of every bond (n_edges,), and bonds of every atom (n_atoms,).
            line: Pairs of bonds.
        """
        atoms, bonds, angles = features
        atoms, bonds = self.node_update(atoms, bonds, *crystal)
        bonds, angles = self.edge_update(bonds, angles, line.bond_pairs[0], line.degree)
        return atoms, bonds, angles


class Embedding(nn.Module):
    """Linear map, normalisation and SiLU.

    Args:
        n_inputs: Features going in.
        width: Features coming out.
        normalization: `batch` or `layer`.
    """

    def __init__(self, n_inputs: int, width: int, normalization: str) -> None:
        super().__init__()
        self.layer = nn.Sequential(
            nn.Linear(n_inputs, width), make_normalization(normalization, width), nn.SiLU()
        )

    def forward(self, features: Tensor) -> Tensor:
        """Map (n, n_inputs) to (n, width)."""
        return self.layer(features)


class ALIGNN(nn.Module):
    """Predict crystal properties from a crystal graph and its line graph.

    Choudhary & DeCost, npj Comput. Mater. 7, 185 (2021), https://github.com/usnistgov/alignn.
    Parameters have the names of that code. Differences: normalisations whose output nothing
    reads do not exist, and any number of targets.

    Batch fields read: `atomic_numbers`, `edge_index`, `edge_vector`, `degree`, `ptr`.

    Args:
        config: Sizes.
        n_targets: Columns of the output.
    """

    elements: Tensor

    def __init__(self, config: ALIGNNConfig, n_targets: int) -> None:
        super().__init__()
        self.angle_cutoff = config.angle_cutoff
        width, kind = config.hidden_width, config.normalization
        self.register_buffer(
            "elements", torch.from_numpy(element_table()), persistent=False
        )
        self.atom_embedding = Embedding(N_ELEMENT_FEATURES, width, kind)
        self.edge_embedding = _embedding(
            config, start=0.0, stop=config.basis_stop, n_features=config.n_distance_features
        )
        self.angle_embedding = _embedding(
            config, start=-1.0, stop=1.0, n_features=config.n_angle_features
        )
        n_line, n_graph = config.n_line_convolutions, config.n_convolutions
        self.alignn_layers = nn.ModuleList(
            LineGraphConvolution(width, kind, is_last=index == n_line - 1)
            for index in range(n_line)
        )
        self.gcn_layers = nn.ModuleList(
            EdgeGatedConvolution(width, kind, updates_edges=index < n_graph - 1)
            for index in range(n_graph)
        )
        self.fc = nn.Linear(width, n_targets)

    def forward(self, batch: Batch) -> Tensor:
        """Return predictions on the model's internal scale, shape (n_graphs, n_targets)."""
        neighbor, degree = batch.edge_index[0], batch.degree
        atoms = self.atom_embedding(self.elements.index_select(0, batch.atomic_numbers))
        bonds = self.edge_embedding(batch.edge_vector.norm(dim=1))
        if len(self.alignn_layers):
            line = pair_along_paths(
                batch.edge_index, batch.edge_vector, degree, self.angle_cutoff
            )
            angles = self.angle_embedding(line.cosine.to(bonds.dtype))
            for layer in self.alignn_layers:
                features = (atoms, bonds, angles)
                atoms, bonds, angles = layer(features, (neighbor, degree), line)
        for layer in self.gcn_layers:
            atoms, bonds = layer(atoms, bonds, neighbor, degree)
        return self.fc(mean_by_graph(atoms, batch.ptr))


def make_normalization(kind: str, width: int) -> nn.Module:
    """Return the layer of a name, `batch` or `layer`."""
    return nn.BatchNorm1d(width) if kind == "batch" else nn.LayerNorm(width)


def _embedding(
    config: ALIGNNConfig, *, start: float, stop: float, n_features: int
) -> nn.Sequential:
    """Embed a distance or cosine; the Gaussians have gamma = 1 / spacing, as published."""
    spacing = (stop - start) / (n_features - 1)
    return nn.Sequential(
        GaussianExpansion(start, stop, n_features, 1.0 / spacing),
        Embedding(n_features, config.embedding_width, config.normalization),
        Embedding(config.embedding_width, config.hidden_width, config.normalization),
    )
