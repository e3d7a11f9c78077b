"""coGN: messages from deep functions of two atoms and their distance, Ruff et al. 2024."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import nn
from torch.nn import functional

from crystalgnn_core.models.adjacency import Adjacency, atom_weight
from crystalgnn_core.models.element_layers import ElementFeatures, embed_atoms
from crystalgnn_core.models.layers import GaussianExpansion, spread_to_edges, sum_by_center
from crystalgnn_core.models.network import LayerNames, Network
from crystalgnn_core.models.readout import Pool

if TYPE_CHECKING:
    from torch import Tensor
    from torch_geometric.data import Batch

    from crystalgnn_core.models.base import NodeFeatures
    from crystalgnn_core.models.cogn.config import COGNConfig
    from crystalgnn_core.models.cogn.inference import FastCOGN


class ElementMixing(nn.Module):
    """Map a trained embedding of an element and what else is known of it linearly.

    Args:
        features: What stands beside the embedding; nothing for `embedding`.
        width: Features of the embedding, and coming out.
        n_embedded: Rows of the embedding.
    """

    def __init__(self, features: NodeFeatures, width: int, n_embedded: int) -> None:
        super().__init__()
        self.known = None if features == "embedding" else ElementFeatures(features)
        n_known = 0
        if self.known is not None:
            n_embedded, n_known = len(self.known.table), self.known.n_features
        self.embedding = nn.Embedding(n_embedded, width)
        self.linear = nn.Linear(width + n_known, width)

    def forward(self, atomic_numbers: Tensor) -> Tensor:
        """Map atomic numbers (n_atoms,), int64, to features (n_atoms, width)."""
        rows = self.embedding.weight
        if self.known is not None:
            rows = torch.cat((rows, self.known.table), dim=1)
        return self.linear(rows).index_select(0, atomic_numbers)


class COGNBlock(nn.Module):
    """Add to each atom what its neighbours send.

    m_ij = phi_e(e_ij, v_i, v_j), v_i <- v_i + phi_v(sum_j m_ij), where both functions are
    stacks of linear layers with swish behind each. An edge e_ij stays what its distance
    made it. The product of the first matrix with the three is taken for distances, centres
    and neighbours apart, which is equal and spares the concatenation.

    Args:
        width: Features of atoms, edges and messages.
        n_layers: Layers of phi_e; phi_v has one.
    """

    def __init__(self, width: int, n_layers: int) -> None:
        super().__init__()
        self.phi_e = nn.ModuleList(
            nn.Linear(width if index else 3 * width, width) for index in range(n_layers)
        )
        self.phi_v = nn.Linear(width, width)

    def forward(
        self, atoms: Tensor, expanded: Tensor, edges: nn.Linear, adjacency: Adjacency
    ) -> Tensor:
        """Return the updated atom features, shape (n_atoms, width).

        Args:
            atoms: Shape (n_atoms, width).
            expanded: Gaussians of the distances, shape (n_edges, n_gaussians), grouped by
                centre.
            edges: Makes edges of Gaussians; its product with the first matrix is taken
                first, as it is narrow.
            adjacency: Neighbours of every atom.
        """
        first, *others = (cast("nn.Linear", layer) for layer in self.phi_e)
        of_edge, of_center, of_neighbor = first.weight.chunk(3, dim=1)
        at_center = functional.linear(atoms, of_center, first.bias + of_edge @ edges.bias)
        at_neighbor = functional.linear(atoms, of_neighbor)
        mixed = at_neighbor.index_select(0, adjacency.sender)
        mixed = mixed + spread_to_edges(at_center, adjacency.degree, len(expanded))
        mixed = torch.addmm(mixed, expanded, (of_edge @ edges.weight).T)
        messages = _swish(mixed)
        for layer in others:
            messages = _swish(layer(messages))
        received = sum_by_center(messages, adjacency.degree, adjacency.edge_weight)
        return atoms + _swish(self.phi_v(received))


def _swish(values: Tensor) -> Tensor:
    """Return x s(x), in place of x where no gradient needs that: memory costs time."""
    return functional.silu(values, inplace=not torch.is_grad_enabled())


class COGN(Network):
    """Predict crystal properties from elements and distances.

    coGN, the variant without nested line graphs of Ruff, Reiser, Stuehmer & Friederich,
    Digital Discovery 3, 594 (2024), https://github.com/aimat-lab/gcnn_keras: layers,
    widths, activations, sums, Gaussians and first weights are those of that code, which
    draws them as Glorot does. Differences:

    * The code knows 14 oxidation states of an element, here it is the one met most often;
      it has van der Waals radii, here Slater's; what is unknown it takes as the mean, here
      another number says so.
    * It works on the asymmetric unit and weighs the mean with multiplicities, which equals
      the mean over the whole cell. Its shells are 1e-9 angstrom wide, by default 0.01 here.
    * Any number of targets.

    The output jumps when a neighbour enters or leaves a shell of the default graph.

    Batch fields read: `atomic_numbers`, `edge_index`, `edge_vector`, `degree`, `ptr`.

    Args:
        config: Sizes.
        n_targets: Columns of the output.
    """

    layer_names = LayerNames(embedding="embedding", output="output")

    def __init__(self, config: COGNConfig, n_targets: int) -> None:
        super().__init__()
        self.atom_width = width = config.width
        self.embedding = ElementMixing(config.node_features, width, config.n_embedded)
        self.basis = GaussianExpansion(
            config.basis_start,
            config.basis_stop,
            config.n_gaussians,
            1.0 / config.gaussian_width**2,
        )
        self.edges = nn.Linear(config.n_gaussians, width)
        self.blocks = nn.ModuleList(
            COGNBlock(width, config.n_message_layers) for _ in range(config.n_blocks)
        )
        self.readout = Pool(config.readout, width)
        self.output = nn.Linear(width, n_targets)
        self._reset()

    def _reset(self) -> None:
        """Draw weights as Keras does."""
        nn.init.uniform_(self.embedding.embedding.weight, -0.05, 0.05)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, batch: Batch) -> Tensor:
        """Return predictions on the model's internal scale, shape (n_graphs, n_targets)."""
        expanded = self.basis(batch.edge_vector.norm(dim=1))
        atoms = embed_atoms(self.embedding, batch)
        adjacency = Adjacency.of_batch(batch)
        for block in self.blocks:
            atoms = block(atoms, expanded, self.edges, adjacency)
        return self.output(self.readout(atoms, batch.ptr.diff(), atom_weight(batch)))

    @property
    def equivalence_rounds(self) -> int:
        """Steps in which the atoms hear of each other."""
        return len(self.blocks)

    def cpu_form(self) -> FastCOGN:
        """Return this network for crystals whose equivalent atoms are computed once."""
        from crystalgnn_core.models.cogn.inference import FastCOGN

        return FastCOGN(self)
