"""A graph network whose nodes are the elements of the formula."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from torch import nn

from crystalgnn_core.models.composition.elements import elements_of
from crystalgnn_core.models.composition.reader import FormulaReader
from crystalgnn_core.models.network import LayerNames, Network

if TYPE_CHECKING:
    from torch import Tensor
    from torch_geometric.data import Batch

    from crystalgnn_core.models.composition.config import CompositionGNNConfig
    from crystalgnn_core.models.composition.elements import Elements


class CompositionGNN(Network):
    """Predict crystal properties from messages between the elements of the formula.

    See `FormulaReader`. In evaluation mode the layers work in double precision, for the
    reason that those of `CompositionMLP` do.

    Batch fields read: `atomic_numbers`, `batch`, `ptr`.

    Args:
        config: Sizes.
        n_targets: Columns of the output.
    """

    layer_names = LayerNames(
        embedding="body.reader.embedding",
        output="body.output.4",
        after_pooling=("body.reader.pooled", "body.output"),
        further_embeddings=("body.reader.from_properties",),
    )

    def __init__(self, config: CompositionGNNConfig, n_targets: int) -> None:
        super().__init__()
        self.body = _Body(config, n_targets)

    def forward(self, batch: Batch) -> Tensor:
        """Return predictions on the model's internal scale, shape (n_graphs, n_targets)."""
        elements = elements_of(batch)
        if self.training:
            return self.body(elements)
        # a copy: several threads may predict with one network
        predicted: Tensor = copy.deepcopy(self.body).double()(elements)
        return predicted.to(self.body.reader.properties.dtype)


class _Body(nn.Module):
    def __init__(self, config: CompositionGNNConfig, n_targets: int) -> None:
        super().__init__()
        width = config.hidden_width
        self.reader = FormulaReader(
            config.element_width,
            config.message_width,
            config.n_rounds,
            width,
            with_charges=config.charge_balance,
        )
        self.output = nn.Sequential(
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Linear(width, n_targets),
        )

    def forward(self, elements: Elements) -> Tensor:
        predicted: Tensor = self.output(self.reader(elements).crystals)
        return predicted
