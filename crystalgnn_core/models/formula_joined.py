"""A network of the graph whose atoms know the formula that they are part of."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from crystalgnn_core.models.composition.elements import elements_of
from crystalgnn_core.models.composition.reader import FormulaReader
from crystalgnn_core.models.element_layers import ATOM_CONTEXT
from crystalgnn_core.models.graph_join import GraphJoin
from crystalgnn_core.models.network import NetworkInParts
from crystalgnn_core.models.normalization import normalize_columns

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor
    from torch_geometric.data import Batch

    from crystalgnn_core.models.base import CompositionJoinConfig, NetworkConfig


class FormulaJoinedNetwork(GraphJoin, NetworkInParts):
    """Predict from the formula, and from graph and formula; the mean of both counts.

    A `FormulaReader` reads the formula. What it says of an element is added to the first
    features of the atoms of that element, where the network of the graph has such
    (`Network.atom_width`), and what it says of the crystal goes before the output beside
    the features of the graph, which are normalised over the batch. The two predictions are
    trained each on its own (see `parts`): their mean errs less than either, and the one of
    the formula alone is as good as that of a network of its own after few epochs. Where the
    formula says little, as of crystals whose elements change places, it is to count less
    (see `weigh_parts`).

    Batch fields read: those of the network of the graph, `atomic_numbers`, `batch`, `ptr`.

    Args:
        config: Sizes of the network of the graph.
        join: Sizes of what reads the composition, and of the layers of both.
        n_targets: Columns of the output.
    """

    def __init__(
        self, config: NetworkConfig, join: CompositionJoinConfig, n_targets: int
    ) -> None:
        width, n_features = join.width, join.n_features
        super().__init__(config, n_features)
        self.reader = FormulaReader(
            width, width, join.n_rounds, n_features, with_charges=join.charge_balance
        )
        of_atoms = self.graph.atom_width
        self.context = None if of_atoms is None else nn.Linear(width, of_atoms)
        self.of_formula = _hidden_layers(n_features, n_features)
        self.of_both = _hidden_layers(2 * n_features, n_features)
        self.output = nn.Linear(2 * n_features, n_targets)
        self.name_layers(
            ("reader.pooled", "of_formula", "of_both"),
            ("reader.embedding", "reader.from_properties"),
        )

    def join(self, batch: Batch, graph: Callable[[Batch], Tensor]) -> Tensor:
        """Return predictions on the model's internal scale, shape (n_graphs, n_targets)."""
        return self.output(torch.cat(self._read(batch, graph), dim=1))

    def parts(self, batch: Batch) -> Tensor:
        """Return both predictions, of the formula first: (2, n_graphs, n_targets)."""
        weights = self.output.weight.chunk(2, dim=1)
        found = zip(self._read(batch, self.graph), weights, strict=True)
        return torch.stack(
            [functional.linear(hidden, 2 * w, self.output.bias) for hidden, w in found]
        )

    @torch.no_grad()
    def weigh_parts(self, shares: Tensor) -> None:
        """Make `forward` another mean of both, by factors of the output layer."""
        each = torch.stack((shares, 1 - shares), dim=1).to(self.output.weight)
        self.output.weight *= 2 * each.repeat_interleave(self.output.in_features // 2, 1)

    def _read(
        self, batch: Batch, graph: Callable[[Batch], Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Return the last hidden features of both predictions, (n_graphs, n_features)."""
        elements = elements_of(batch)
        formula = self.reader(elements)
        if self.context is not None:
            batch = copy.copy(batch)
            rows = self.context(formula.elements)
            batch[ATOM_CONTEXT] = rows.index_select(0, elements.of_atom)
        of_graph = functional.silu(normalize_columns(graph(batch), self.norm))
        both = torch.cat((of_graph, formula.crystals), dim=1)
        return self.of_formula(formula.crystals), self.of_both(both)


def _hidden_layers(n_inputs: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(n_inputs, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()
    )
