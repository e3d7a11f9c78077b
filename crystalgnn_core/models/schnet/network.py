"""SchNet: continuous-filter convolutions, Schuett et al. 2018, with periodic neighbours."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn

from crystalgnn_core.models.adjacency import Adjacency, atom_weight
from crystalgnn_core.models.element_layers import embed_atoms, embed_elements
from crystalgnn_core.models.layers import GaussianExpansion, ShiftedSoftplus, sum_by_center
from crystalgnn_core.models.network import LayerNames, Network
from crystalgnn_core.models.readout import Pool

if TYPE_CHECKING:
    from torch import Tensor
    from torch_geometric.data import Batch

    from crystalgnn_core.models.schnet.config import SchNetConfig
    from crystalgnn_core.models.schnet.inference import FastSchNet


class ContinuousFilterConvolution(nn.Module):
    """Sum the neighbours' features, each times a filter made from its distance.

    Args:
        width: Features per atom.
        filter_width: Features of a filter.
    """

    def __init__(self, width: int, filter_width: int) -> None:
        super().__init__()
        self.lin1 = nn.Linear(width, filter_width, bias=False)
        self.lin2 = nn.Linear(filter_width, width)

    def forward(self, atoms: Tensor, filters: Tensor, adjacency: Adjacency) -> Tensor:
        """Return what each atom receives, shape (n_atoms, width).

        Args:
            atoms: Shape (n_atoms, width).
            filters: Shape (n_edges, filter_width), grouped by centre.
            adjacency: Neighbours of every atom.
        """
        messages = self.lin1(atoms).index_select(0, adjacency.sender) * filters
        return self.lin2(sum_by_center(messages, adjacency.degree, adjacency.edge_weight))


class InteractionBlock(nn.Module):
    """Make filters from distances, convolve, and mix the features of each atom.

    Args:
        width: Features per atom.
        n_gaussians: Features of a distance.
        filter_width: Features of a filter.
    """

    def __init__(self, width: int, n_gaussians: int, filter_width: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(n_gaussians, filter_width),
            ShiftedSoftplus(),
            nn.Linear(filter_width, filter_width),
        )
        self.conv = ContinuousFilterConvolution(width, filter_width)
        self.act = ShiftedSoftplus()
        self.lin = nn.Linear(width, width)

    def forward(
        self, atoms: Tensor, edges: tuple[Tensor, Tensor], adjacency: Adjacency
    ) -> Tensor:
        """Return what is added to the atoms, shape (n_atoms, width).

        Args:
            atoms: Shape (n_atoms, width).
            edges: Expanded distances (n_edges, n_gaussians), and the values (n_edges, 1) of
                the cutoff function.
            adjacency: Neighbours of every atom.
        """
        filters = self.filters(edges)
        return self.lin(self.act(self.conv(atoms, filters, adjacency)))

    def filters(self, edges: tuple[Tensor, Tensor]) -> Tensor:
        """Return the filters of edges as `forward` takes them, (n_edges, filter_width)."""
        expanded, share = edges
        return self.mlp(expanded) * share


class SchNet(Network):
    """Predict crystal properties from distances alone.

    Schuett, Sauceda, Kindermans, Tkatchenko & Mueller, J. Chem. Phys. 148, 241722 (2018),
    with the cosine cutoff. Parameters have the names of `torch_geometric.nn.SchNet`, to
    which this is equal on the same edges (readout `sum`). Crystals have intensive
    properties, for which `mean` over the atoms is the default.

    Batch fields read: `atomic_numbers`, `edge_index`, `edge_vector`, `degree`, `ptr`.

    Args:
        config: Sizes.
        n_targets: Columns of the output.
    """

    def __init__(self, config: SchNetConfig, n_targets: int) -> None:
        super().__init__()
        self.cutoff = config.cutoff
        self.atom_width = width = config.atom_width
        self.embedding = embed_elements(config.node_features, width, config.n_embedded)
        self.distance_expansion = _expansion(config)
        self.interactions = nn.ModuleList(
            InteractionBlock(width, config.n_gaussians, config.filter_width)
            for _ in range(config.n_interactions)
        )
        self.lin1 = nn.Linear(width, max(width // 2, 1))
        self.act = ShiftedSoftplus()
        self.lin2 = nn.Linear(max(width // 2, 1), n_targets)
        self.readout = Pool(config.readout, n_targets)
        self.layer_names = LayerNames(
            embedding="embedding",
            output="lin2",
            sums_atoms=config.readout == "sum",
            after_pooling=("lin1",),
        )
        self._reset()

    def _reset(self) -> None:
        """Draw weights as PyG does: Glorot, offsets zero."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, batch: Batch) -> Tensor:
        """Return predictions on the model's internal scale, shape (n_graphs, n_targets)."""
        edges = self.expand(batch.edge_vector.norm(dim=1))
        atoms = embed_atoms(self.embedding, batch)
        adjacency = Adjacency.of_batch(batch)
        for interaction in self.interactions:
            atoms = atoms + interaction(atoms, edges, adjacency)
        return self.read(atoms, batch)

    @property
    def equivalence_rounds(self) -> int:
        """Steps in which the atoms hear of each other."""
        return len(self.interactions)

    def cpu_form(self) -> FastSchNet:
        """Return this network with functions of one variable read from tables."""
        from crystalgnn_core.models.schnet.inference import FastSchNet

        return FastSchNet(self)

    def expand(self, distance: Tensor) -> tuple[Tensor, Tensor]:
        """Return Gaussians (n_edges, n_gaussians) and cutoff function (n_edges, 1)."""
        share = 0.5 * (torch.cos(distance * (math.pi / self.cutoff)) + 1.0)
        share = share * (distance <= self.cutoff)  # an enlarged graph has longer edges
        return self.distance_expansion(distance), share.unsqueeze(1)

    def read(self, atoms: Tensor, batch: Batch) -> Tensor:
        """Return predictions from the last features of the atoms (n_atoms, atom_width)."""
        outputs = self.lin2(self.act(self.lin1(atoms)))
        return self.readout(outputs, batch.ptr.diff(), atom_weight(batch))


def _expansion(config: SchNetConfig) -> GaussianExpansion:
    """Return the Gaussians of a distance; as in PyG gamma is 1 / (2 spacing^2)."""
    start, stop, number = config.basis_start, config.last_center, config.n_gaussians
    spacing = (stop - start) / (number - 1)
    width = config.gaussian_width
    gamma = 0.5 / spacing**2 if width is None else 1.0 / width**2
    return GaussianExpansion(start, stop, number, gamma)
