"""MatErials Graph Network, Chen et al. 2019: atoms, bonds and a global state."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, cast

import torch
from torch import nn
from torch.nn import functional

from crystalgnn_core.models.adjacency import Adjacency
from crystalgnn_core.models.element_layers import ElementFeatures, embed_atoms
from crystalgnn_core.models.layers import (
    GaussianExpansion,
    ShiftedSoftplus,
    mean_by_center,
    mean_by_graph,
    spread_to_edges,
)
from crystalgnn_core.models.network import LayerNames, Network
from crystalgnn_core.models.readout import make_readout

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor
    from torch_geometric.data import Batch

    from crystalgnn_core.models.megnet.config import MEGNetConfig
    from crystalgnn_core.models.megnet.inference import FastMEGNet


def dense(widths: Sequence[int], *, ends_linear: bool) -> nn.Sequential:
    """Stack linear layers with shifted softplus between them, and behind unless linear."""
    layers: list[nn.Module] = []
    for n_inputs, n_outputs in itertools.pairwise(widths):
        layers += [nn.Linear(n_inputs, n_outputs), ShiftedSoftplus()]
    return nn.Sequential(*layers[: -1 if ends_linear else None])


class Inputs(nn.Module):
    """Map atoms, bonds and state, each on its own, before a block.

    Args:
        n_inputs: Features of an atom, of a bond and of the state.
        hidden_width: Features in between.
        width: Features coming out.
    """

    def __init__(
        self, n_inputs: tuple[int, int, int], hidden_width: int, width: int
    ) -> None:
        super().__init__()
        self.atoms, self.bonds, self.state = (
            dense((n, hidden_width, width), ends_linear=False) for n in n_inputs
        )

    def forward(
        self, features: tuple[Tensor, Tensor, Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Map (n_atoms, ...), (n_edges, ...) and (n_graphs, ...) to `width` features."""
        atoms, bonds, state = features
        return self.atoms(atoms), self.bonds(bonds), self.state(state)


class MEGNetBlock(nn.Module):
    """Update bonds, then atoms, then the state, each from all that is there.

    e' = phi_e(v_i, v_j, e, u), v' = phi_v(mean e', v, u), u' = phi_u(mean e', mean v', u):
    eqs. 1 to 7 of Chem. Mater. 31, 3564 (2019). The products with the first matrix of phi_e
    are taken atom by atom and graph by graph before they are spread to the edges.

    Args:
        width: Features of atoms, bonds and state.
        hidden_width: Features inside the functions.
    """

    def __init__(self, width: int, hidden_width: int) -> None:
        super().__init__()
        hidden = (hidden_width, hidden_width, width)
        self.phi_e = dense((4 * width, *hidden), ends_linear=True)
        self.phi_v = dense((3 * width, *hidden), ends_linear=True)
        self.phi_u = dense((3 * width, *hidden), ends_linear=True)

    def forward(
        self, features: tuple[Tensor, Tensor, Tensor], places: Batch
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the changes of atoms, bonds and state.

        Args:
            features: Of atoms (n_atoms, width), of bonds (n_edges, width), of graphs
                (n_graphs, width).
            places: The batch: `edge_index`, `degree`, `ptr`, `batch`.
        """
        atoms, bonds, state = features
        n_bonds, graph = bonds_of_graphs(places), Adjacency.of_batch(places)
        bonds = self._update_bonds(features, places)
        received = mean_by_center(bonds, graph.degree, graph.edge_weight)
        spread = state.index_select(0, places.batch)
        atoms = self.phi_v(torch.cat((received, atoms, spread), dim=1))
        of_bonds = mean_by_center(bonds, n_bonds, graph.weights())
        of_atoms = mean_by_graph(atoms, places.ptr, graph.node_weight)
        return atoms, bonds, self.phi_u(torch.cat((of_bonds, of_atoms, state), dim=1))

    def _update_bonds(
        self, features: tuple[Tensor, Tensor, Tensor], places: Batch
    ) -> Tensor:
        atoms, bonds, state = features
        first, rest = cast("nn.Linear", self.phi_e[0]), self.phi_e[1:]
        at_center, at_neighbor, at_bond, at_graph = first.weight.chunk(4, dim=1)
        of_graph = functional.linear(state, at_graph, first.bias)
        at_centers = functional.linear(atoms, at_center)
        at_centers = at_centers + of_graph.index_select(0, places.batch)
        mixed = functional.linear(bonds, at_bond)
        neighbors = functional.linear(atoms, at_neighbor)
        mixed = mixed + neighbors.index_select(0, places.edge_index[0])
        mixed = mixed + spread_to_edges(at_centers, places.degree, len(bonds))
        return rest(mixed)


class MEGNet(Network):
    """Predict crystal properties from a crystal graph.

    Chen, Ye, Zuo, Zheng & Ong, Chem. Mater. 31, 3564 (2019), as in the authors' code for
    crystals (https://github.com/materialsvirtuallab/megnet, version 1). Any number of
    targets; the global state starts from zero. Element features other than a trained
    embedding go into the first block as they are.

    Batch fields read: `atomic_numbers`, `edge_index`, `edge_vector`, `degree`, `ptr`,
    `batch`.

    Args:
        config: Sizes.
        n_targets: Columns of the output.
    """

    layer_names = LayerNames(
        embedding="embedding", output="output.4", after_pooling=("output",)
    )

    def __init__(self, config: MEGNetConfig, n_targets: int) -> None:
        super().__init__()
        self.n_state = config.n_state
        width, hidden = config.width, config.hidden_width
        self.embedding, n_features = _element_inputs(config)
        self.atom_width = n_features
        self.basis = GaussianExpansion(
            config.basis_start,
            config.basis_stop,
            config.n_gaussians,
            1.0 / config.gaussian_width**2,
        )
        first = (n_features, config.n_gaussians, config.n_state)
        self.inputs = nn.ModuleList(
            Inputs(first if index == 0 else (width, width, width), hidden, width)
            for index in range(config.n_blocks)
        )
        self.blocks = nn.ModuleList(
            MEGNetBlock(width, hidden) for _ in range(config.n_blocks)
        )
        self.read_atoms, self.read_bonds = (
            make_readout(config.readout, width, config.query_width, config.n_passes)
            for _ in range(2)
        )
        n_read = self.read_atoms.n_outputs + self.read_bonds.n_outputs + width
        self.output = dense(
            (n_read, width, max(width // 2, 1), n_targets), ends_linear=True
        )

    def forward(self, batch: Batch) -> Tensor:
        """Return predictions on the model's internal scale, shape (n_graphs, n_targets)."""
        return self.update(batch, self.enter_bonds)

    @property
    def equivalence_rounds(self) -> int:
        """Steps in which the atoms hear of each other, one of them through the state."""
        return len(self.blocks)

    def cpu_form(self) -> FastMEGNet:
        """Return this network with functions of one variable read from tables."""
        from crystalgnn_core.models.megnet.inference import FastMEGNet

        return FastMEGNet(self)

    def enter_bonds(self, distance: Tensor) -> Tensor:
        """Map distances (n_edges,) in angstrom to bonds (n_edges, width)."""
        return cast("Inputs", self.inputs[0]).bonds(self.basis(distance))

    def update(self, batch: Batch, enter_bonds: Callable[[Tensor], Tensor]) -> Tensor:
        """Do what `forward` does with a given `enter_bonds`."""
        enter = cast("Inputs", self.inputs[0])
        bonds = enter_bonds(batch.edge_vector.norm(dim=1))
        state = bonds.new_zeros(len(batch.ptr) - 1, self.n_state)
        atoms = embed_atoms(self.embedding, batch)
        # the first block has nothing of its width before it: it starts from what it enters
        mapped = features = enter.atoms(atoms), bonds, enter.state(state)
        for index, block in enumerate(self.blocks):
            if index:
                mapped = self.inputs[index](features)
            changes = block(mapped, batch)
            features = (
                features[0] + changes[0],
                features[1] + changes[1],
                features[2] + changes[2],
            )
        atoms, bonds, state = features
        graph = Adjacency.of_batch(batch)
        read = (
            self.read_atoms(atoms, batch.ptr.diff(), graph.node_weight),
            self.read_bonds(bonds, bonds_of_graphs(batch), graph.weights()),
            state,
        )
        return self.output(torch.cat(read, dim=1))


def _element_inputs(config: MEGNetConfig) -> tuple[nn.Module, int]:
    """Return the layer from atomic numbers to features, and how many these are."""
    if config.node_features == "embedding":
        embedding = nn.Embedding(config.n_embedded, config.embedding_width)
        return embedding, config.embedding_width
    features = ElementFeatures(config.node_features)
    return features, features.n_features


def bonds_of_graphs(batch: Batch) -> Tensor:
    """Return the edges of every graph, shape (n_graphs,), int64."""
    ends = functional.pad(batch.degree.cumsum(0), (1, 0))
    return ends.index_select(0, batch.ptr).diff()
