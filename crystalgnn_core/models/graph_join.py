"""What networks share that read the composition beside a graph."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

import torch
from torch import nn

from crystalgnn_core.models.network import LayerNames, Network

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor
    from torch_geometric.data import Batch

    from crystalgnn_core.models.base import NetworkConfig


class GraphJoin(Network):
    """Base of the networks that join the composition with the features of a graph.

    A network of the graph gives a vector of features in place of targets, which `norm`
    normalises over the batch: fresh ones tell crystals of like composition apart by 1e-5
    alone. The last layer of a subclass is called `output`.

    Args:
        config: Sizes of the network of the graph.
        n_features: Features that it gives.
    """

    def __init__(self, config: NetworkConfig, n_features: int) -> None:
        super().__init__()
        self.graph = config.build(n_features)
        self.norm = nn.BatchNorm1d(n_features)

    @abstractmethod
    def join(self, batch: Batch, graph: Callable[[Batch], Tensor]) -> Tensor:
        """Return predictions on the model's internal scale, shape (n_graphs, n_targets).

        Args:
            batch: Crystals.
            graph: The network of the graph, or its fast form.
        """

    def forward(self, batch: Batch) -> Tensor:
        """Return predictions on the model's internal scale, shape (n_graphs, n_targets)."""
        return self.join(batch, self.graph)

    @property
    def equivalence_rounds(self) -> int | None:
        """Steps in which atoms hear of each other, of elements and distances alone."""
        return self.graph.equivalence_rounds

    def cpu_form(self) -> Callable[[Batch], Tensor] | None:
        """Return this network with the fast form of the network of the graph."""
        form = self.graph.cpu_form()
        if form is None:
            return None
        return torch.no_grad()(lambda batch: self.join(batch, form))

    def name_layers(
        self, after_pooling: tuple[str, ...], further_embeddings: tuple[str, ...] = ()
    ) -> None:
        """Set `layer_names` from those of the graph and the layers of a subclass."""
        names = self.graph.layer_names
        if names is None:
            return
        of_graph = (f"graph.{name}" for name in (*names.after_pooling, names.output))
        self.layer_names = LayerNames(
            embedding=f"graph.{names.embedding}",
            output="output",
            after_pooling=("norm", *after_pooling, *of_graph),
            further_embeddings=further_embeddings,
        )
