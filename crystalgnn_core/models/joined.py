"""Networks from their settings, with the composition joined to what they read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from crystalgnn_core.models.composition.inputs import count_inputs, inputs_of
from crystalgnn_core.models.ensemble import EnsembleNetwork
from crystalgnn_core.models.formula_joined import FormulaJoinedNetwork
from crystalgnn_core.models.graph_join import GraphJoin
from crystalgnn_core.models.normalization import normalize_columns

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor
    from torch_geometric.data import Batch

    from crystalgnn_core.models.base import CompositionJoinConfig, NetworkConfig
    from crystalgnn_core.models.network import Network


def create_network(config: NetworkConfig, n_targets: int, *, n_members: int = 1) -> Network:
    """Create what settings describe, with fresh weights from torch's global generator.

    Returns:
        The network of the settings, joined with the composition where they ask for it, or
        the mean of several such.
    """
    if n_members > 1:
        return EnsembleNetwork(
            [create_network(config, n_targets) for _ in range(n_members)]
        )
    if config.composition is None:
        return config.build(n_targets)
    if config.composition.reader == "gnn":
        return FormulaJoinedNetwork(config, config.composition, n_targets)
    return JoinedNetwork(config, config.composition, n_targets)


class JoinedNetwork(GraphJoin):
    """Predict from the features of the graph and of the composition, side by side.

    The network of the graph gives a vector of features in place of targets. A perceptron
    gives one of the composition (`crystalgnn_core.models.composition.inputs`). A layer of
    both, the former normalised over the batch, goes before the linear output. The
    composition says most of what there is to know of a formation energy, and few epochs are
    needed to learn it.

    Batch fields read: those of the network of the graph, `atomic_numbers`, `ptr`.

    Args:
        config: Sizes of the network of the graph.
        join: Sizes of what reads the composition, and of the layer of both.
        n_targets: Columns of the output.
    """

    def __init__(
        self, config: NetworkConfig, join: CompositionJoinConfig, n_targets: int
    ) -> None:
        width, n_features = join.width, join.n_features
        super().__init__(config, n_features)
        self.composition = nn.Sequential(
            nn.Linear(count_inputs(with_charges=join.charge_balance), width),
            nn.SiLU(),
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Linear(width, n_features),
        )
        self.with_charges = join.charge_balance
        self.joint = nn.Linear(2 * n_features, n_features)
        self.output = nn.Linear(n_features, n_targets)
        self.name_layers(("composition", "joint"))

    def join(self, batch: Batch, graph: Callable[[Batch], Tensor]) -> Tensor:
        """Return predictions on the model's internal scale, shape (n_graphs, n_targets)."""
        of_graph = normalize_columns(graph(batch), self.norm)
        inputs = inputs_of(batch, with_charges=self.with_charges)
        inputs = inputs.to(of_graph.device, of_graph.dtype)
        both = torch.cat((of_graph, self.composition(inputs)), dim=1)
        return self.output(functional.silu(self.joint(functional.silu(both))))
