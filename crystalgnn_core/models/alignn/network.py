"""Atomistic line graph neural network, Choudhary & DeCost 2021."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import nn
from torch.nn import functional

from crystalgnn_core.graphs.line_graph import pair_along_paths
from crystalgnn_core.models.adjacency import Adjacency
from crystalgnn_core.models.cpu.edge_gate import MEAN_GATE, GatedMean
from crystalgnn_core.models.cpu.residual import add_activated
from crystalgnn_core.models.cpu.threads import runs_fused
from crystalgnn_core.models.element_layers import embed_atoms, embed_elements
from crystalgnn_core.models.layers import GaussianExpansion, spread_to_edges, sum_by_center
from crystalgnn_core.models.network import LayerNames, Network
from crystalgnn_core.models.readout import make_readout

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor
    from torch_geometric.data import Batch

    from crystalgnn_core.models.alignn.config import ALIGNNConfig
    from crystalgnn_core.models.alignn.inference import FastALIGNN


class Edges(NamedTuple):
    """Features of bonds or angles, and what becomes of them in the next convolution.

    Attributes:
        features: Shape (n_edges, width).
        terms: Their products with the convolution's matrix C and its offset, shape
            (n_edges, width), which are overwritten; None where they are yet to be computed.
    """

    features: Tensor
    terms: Tensor | None = None


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
        self, nodes: Tensor, edges: Edges, adjacency: Adjacency
    ) -> tuple[Tensor, Edges]:
        """Return the updated nodes and edges.

        Args:
            nodes: Shape (n_nodes, width).
            edges: Features and perhaps terms, shape (n_edges, width) each, grouped by
                receiving node.
            adjacency: Senders and receivers of the edges.
        """
        projected = self._project(nodes)
        mixed = self.edge_gate(edges.features) if edges.terms is None else edges.terms
        if runs_fused(projected, mixed):
            mixed, updated = GatedMean.apply(mixed, projected, adjacency)  # type: ignore[no-untyped-call]
        else:
            mixed, updated = gated_mean(mixed, projected, adjacency)
        nodes = add_activated(updated, nodes, self.bn_nodes)
        if self.bn_edges is None:
            return nodes, edges
        return nodes, Edges(add_activated(mixed, edges.features, self.bn_edges))

    def _project(self, nodes: Tensor) -> Tensor:
        """Return A h, V h, B h and U h side by side, shape (n_nodes, 4 width)."""
        maps = (self.src_gate, self.dst_update, self.dst_gate, self.src_update)
        weight = torch.cat([linear.weight for linear in maps])
        return functional.linear(nodes, weight, torch.cat([map_.bias for map_ in maps]))


def gated_mean(
    edge_terms: Tensor, projected: Tensor, adjacency: Adjacency
) -> tuple[Tensor, Tensor]:
    """Do what `crystalgnn_core.models.cpu.edge_gate.GatedMean` does, anywhere."""
    width = edge_terms.shape[1]
    sent, received, own = torch.split(projected, [2 * width, width, width], dim=1)
    gate, message = sent.index_select(0, adjacency.sender).chunk(2, dim=1)
    degree = adjacency.degree
    mixed = edge_terms + gate + spread_to_edges(received, degree, len(edge_terms))
    share = torch.sigmoid(mixed)
    total = sum_by_center(share, degree) + MEAN_GATE
    return mixed, own + sum_by_center(message * share, degree) / total


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
        self, features: tuple[Tensor, Edges, Edges], crystal: Adjacency, line: Adjacency
    ) -> tuple[Tensor, Edges, Edges]:
        """Return the updated atoms, bonds and angles.

        Args:
            features: Of atoms (n_atoms, width), of bonds (n_edges, width) grouped by
                centre, and of angles (n_pairs, width) grouped by receiving bond.
            crystal: Neighbours of every atom.
            line: Bonds that send to every bond.
        """
        atoms, bonds, angles = features
        atoms, bonds = self.node_update(atoms, bonds, crystal)
        updated, angles = self.edge_update(bonds.features, angles, line)
        return atoms, Edges(updated), angles


class Embedding(nn.Module):
    """Linear map, normalisation and SiLU.

    Args:
        first: The linear map, or an equal of it.
        width: Features coming out.
        normalization: `batch` or `layer`.
    """

    def __init__(self, first: nn.Module, width: int, normalization: str) -> None:
        super().__init__()
        self.layer = nn.Sequential(first, make_normalization(normalization, width))

    def forward(self, features: Tensor) -> Tensor:
        """Map what `first` takes, n rows, to (n, width)."""
        return add_activated(self.layer[0](features), None, self.layer[1])


class ALIGNN(Network):
    """Predict crystal properties from a crystal graph and its line graph.

    Choudhary & DeCost, npj Comput. Mater. 7, 185 (2021), https://github.com/usnistgov/alignn.
    Parameters have the names of that code. Differences: normalisations whose output nothing
    reads do not exist, and any number of targets.

    Batch fields read: `atomic_numbers`, `edge_index`, `edge_vector`, `degree`, `ptr`.

    Args:
        config: Sizes.
        n_targets: Columns of the output.
    """

    layer_names = LayerNames(embedding="atom_embedding", output="fc")

    def __init__(self, config: ALIGNNConfig, n_targets: int) -> None:
        super().__init__()
        self.angle_cutoff = config.angle_cutoff
        width, kind = config.hidden_width, config.normalization
        self.atom_width = width
        self.atom_embedding = Embedding(
            embed_elements(config.node_features, width, config.n_embedded), width, kind
        )
        self.edge_embedding = _embedding(
            config,
            (config.basis_start, config.basis_stop),
            config.n_distance_features,
            config.distance_width,
        )
        self.angle_embedding = _embedding(
            config, (-1.0, 1.0), config.n_angle_features, config.angle_width
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
        self.readout = make_readout(
            config.readout, width, config.query_width, config.n_passes
        )
        self.fc = nn.Linear(self.readout.n_outputs, n_targets)

    def forward(self, batch: Batch) -> Tensor:
        """Return predictions on the model's internal scale, shape (n_graphs, n_targets)."""
        embed_angles = self._embed_angles if len(self.alignn_layers) else None
        return self.convolve(batch, self._embed_bonds, embed_angles)

    def cpu_form(self) -> FastALIGNN:
        """Return this network with functions of one variable read from tables."""
        from crystalgnn_core.models.alignn.inference import FastALIGNN

        return FastALIGNN(self)

    def convolve(
        self,
        batch: Batch,
        embed_bonds: Callable[[Tensor], Edges],
        embed_angles: Callable[[Tensor], Edges] | None,
    ) -> Tensor:
        """Do what `forward` does with given embeddings of distances and cosines.

        Args:
            batch: As for `forward`.
            embed_bonds: Maps distances in angstrom, shape (n_edges,).
            embed_angles: Maps cosines, shape (n_pairs,); None where there is no convolution
                on the line graph.
        """
        crystal = Adjacency.of(batch.edge_index[0], batch.degree, batch.ptr)
        atoms = embed_atoms(self.atom_embedding, batch)
        bonds = embed_bonds(batch.edge_vector.norm(dim=1))
        if embed_angles is not None:
            pairs = pair_along_paths(
                batch.edge_index, batch.edge_vector, batch.degree, self.angle_cutoff
            )
            ends = crystal.first.index_select(0, batch.ptr)
            line = Adjacency.of(pairs.bond_pairs[0], pairs.degree, ends)
            angles = embed_angles(pairs.cosine.to(atoms.dtype))
            for layer in self.alignn_layers:
                atoms, bonds, angles = layer((atoms, bonds, angles), crystal, line)
        for layer in self.gcn_layers:
            atoms, bonds = layer(atoms, bonds, crystal)
        return self.fc(self.readout(atoms, batch.ptr.diff()))

    def _embed_bonds(self, distance: Tensor) -> Edges:
        return Edges(self.edge_embedding(distance))

    def _embed_angles(self, cosine: Tensor) -> Edges:
        return Edges(self.angle_embedding(cosine))


def make_normalization(kind: str, width: int) -> nn.Module:
    """Return the layer of a name, `batch` or `layer`."""
    return nn.BatchNorm1d(width) if kind == "batch" else nn.LayerNorm(width)


def _embedding(
    config: ALIGNNConfig, ends: tuple[float, float], n_features: int, width: float | None
) -> nn.Sequential:
    """Embed a distance or cosine; by default gamma = 1 / spacing, as published."""
    start, stop = ends
    spacing = (stop - start) / (n_features - 1)
    gamma = 1.0 / spacing if width is None else 1.0 / width**2
    hidden, kind = config.embedding_width, config.normalization
    return nn.Sequential(
        GaussianExpansion(start, stop, n_features, gamma),
        Embedding(nn.Linear(n_features, hidden), hidden, kind),
        Embedding(nn.Linear(hidden, config.hidden_width), config.hidden_width, kind),
    )
