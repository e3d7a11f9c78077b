"""Sizes of the models that see the composition alone; reading them does not load torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, field_validator

from crystalgnn_core.base import ADDED_LATER
from crystalgnn_core.graphs.config import GraphConfig
from crystalgnn_core.models.base import Count, Layers, NetworkConfig

Positive = Annotated[int, Field(ge=1)]
Widths = Annotated[tuple[Count, ...], Field(min_length=1, max_length=1000)]

if TYPE_CHECKING:
    from crystalgnn_core.models.composition.gnn import CompositionGNN
    from crystalgnn_core.models.composition.mlp import CompositionMLP
    from crystalgnn_core.models.composition.trees import CompositionTrees


class CompositionConfig(NetworkConfig):
    """Base of the models that see the composition alone."""

    @field_validator("composition")
    @classmethod
    def _is_not_joined(cls, given: object) -> object:
        if given is not None:
            raise ValueError("this model reads the composition already; leave it out")
        return given

    def default_graph(self) -> GraphConfig:
        """Return the graphs that it learns from: without edges."""
        return GraphConfig(strategy="none")


class CompositionMLPConfig(CompositionConfig):
    """Size of a multilayer perceptron on statistics of element properties.

    Attributes:
        widths: Features after each hidden layer.
        with_fractions: Whether the fraction of each element is an input, too.
        charge_balance: Whether it is an input, too, how near the formula is to being
            neutral by the oxidation states of its elements.
    """

    kind: Literal["composition_mlp"] = "composition_mlp"
    widths: Widths = (256, 256, 128)
    with_fractions: bool = True
    charge_balance: Annotated[bool, ADDED_LATER] = False

    def build(self, n_targets: int) -> CompositionMLP:
        """Create the network with fresh weights from torch's global generator."""
        from crystalgnn_core.models.composition.mlp import CompositionMLP

        return CompositionMLP(self, n_targets)


class CompositionGNNConfig(CompositionConfig):
    """Size of a graph network whose nodes are the elements of the formula.

    Attributes:
        element_width: Features per element.
        message_width: Features per message between two elements.
        n_rounds: Times that the elements hear of each other.
        hidden_width: Features per crystal, and after each of the two hidden layers.
        charge_balance: Whether it is an input, too, how near the formula is to being
            neutral by the oxidation states of its elements.
    """

    kind: Literal["composition_gnn"] = "composition_gnn"
    element_width: Count = 128
    message_width: Count = 128
    n_rounds: Layers = 2
    hidden_width: Count = 256
    charge_balance: Annotated[bool, ADDED_LATER] = False

    def build(self, n_targets: int) -> CompositionGNN:
        """Create the network with fresh weights from torch's global generator."""
        from crystalgnn_core.models.composition.gnn import CompositionGNN

        return CompositionGNN(self, n_targets)


class CompositionTreesConfig(CompositionConfig):
    """Size of gradient-boosted trees on statistics of element properties.

    The defaults are those of the baseline that every model is reported beside. They are
    fitted, one ensemble per target, not trained by epochs.

    Attributes:
        n_trees: Trees per target.
        n_class_trees: Trees of a class, whose probabilities more of them would drive
            towards 0 and 1.
        learning_rate: Share of its correction that each tree adds.
        max_leaves: Most leaves of a tree.
        min_leaf_rows: Fewest training rows of a leaf.
        l2_regularization: Weight of the squared values of the leaves.
    """

    kind: Literal["composition_trees"] = "composition_trees"
    n_trees: Positive = 400
    n_class_trees: Positive = 100
    learning_rate: Annotated[float, Field(gt=0)] = 0.1
    max_leaves: Annotated[int, Field(ge=2)] = 31
    min_leaf_rows: Positive = 20
    l2_regularization: Annotated[float, Field(ge=0)] = 0.0

    def build(self, n_targets: int) -> CompositionTrees:
        """Create the model without trees, as it is before it is fitted or loaded."""
        from crystalgnn_core.models.composition.trees import CompositionTrees

        return CompositionTrees(self, n_targets)
