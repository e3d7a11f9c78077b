"""Size of a MEGNet; reading it does not load torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from crystalgnn_core.base import ADDED_LATER
from crystalgnn_core.graphs.config import GraphConfig
from crystalgnn_core.models.base import (
    Count,
    ElementNetworkConfig,
    Grid,
    Layers,
    Length,
    NodeFeatures,
    Start,
)

if TYPE_CHECKING:
    from crystalgnn_core.models.megnet.network import MEGNet


class MEGNetConfig(ElementNetworkConfig):
    """Size of a MEGNet; the defaults are those of Chen et al. 2019.

    Attributes:
        embedding_width: Features of an element, where they are trained.
        width: Features of atoms, bonds and the global state.
        hidden_width: Features inside the functions of a block.
        n_state: Features of the initial global state, all zero.
        n_blocks: Blocks.
        n_gaussians: Gaussians of a distance.
        basis_start: First Gaussian centre in angstrom.
        basis_stop: Last Gaussian centre in angstrom.
        gaussian_width: Width of the Gaussians in angstrom.
        node_features: What it knows of an element; `embedding` in the paper.
        readout: From atoms and from bonds to crystals; `set2set` in the paper.
        query_width: Features of the query of `set2set`.
        n_passes: Passes of `set2set`.
    """

    n_embedded: ClassVar[int] = 95

    kind: Literal["megnet"] = "megnet"
    embedding_width: Count = 16
    width: Count = 32
    hidden_width: Count = 64
    n_state: Count = 2
    n_blocks: Layers = 3
    n_gaussians: Grid = 100
    basis_start: Annotated[Start, ADDED_LATER] = 0.0
    basis_stop: Length = 5.0
    gaussian_width: Length = 0.5
    node_features: NodeFeatures = "embedding"
    readout: Annotated[Literal["set2set", "mean", "sum"], ADDED_LATER] = "set2set"
    query_width: Count = 16
    n_passes: Layers = 3

    def default_graph(self) -> GraphConfig:
        """Return the graphs that it learns from: all within 4 angstrom."""
        return GraphConfig(strategy="radius", cutoff=4.0, too_few="keep")

    def build(self, n_targets: int) -> MEGNet:
        """Create the network with fresh weights from torch's global generator."""
        from crystalgnn_core.models.megnet.network import MEGNet

        return MEGNet(self, n_targets)
