"""Size of a coGN; reading it does not load torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

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
    from crystalgnn_core.models.cogn.network import COGN


class COGNConfig(ElementNetworkConfig):
    """Size of a coGN; the defaults are those of the authors' code.

    Attributes:
        width: Features of atoms, edges and messages.
        n_blocks: Rounds of messages.
        n_message_layers: Layers of the function that makes a message.
        n_gaussians: Gaussians of a distance.
        basis_start: First Gaussian centre in angstrom.
        basis_stop: Last Gaussian centre in angstrom.
        gaussian_width: Width of the Gaussians in angstrom.
        node_features: What it knows of an element beside a trained embedding, which stands
            alone for `embedding`.
        readout: From atoms to crystals; `mean` in the paper.
    """

    kind: Literal["cogn"] = "cogn"
    width: Count = 128
    n_blocks: Layers = 5
    n_message_layers: Layers = 5
    n_gaussians: Grid = 32
    basis_start: Start = 0.25
    basis_stop: Length = 8.0
    gaussian_width: Length = 0.5**0.5
    node_features: NodeFeatures = (
        "atomic_mass",
        "atomic_radius",
        "electronegativity",
        "ionization_energy",
        "oxidation_state",
    )
    readout: Literal["mean", "sum", "max"] = "mean"

    def default_graph(self) -> GraphConfig:
        """Return the graphs that it learns from: 24 neighbours, shells kept whole."""
        return GraphConfig(n_neighbors=24)

    def build(self, n_targets: int) -> COGN:
        """Create the network with fresh weights from torch's global generator."""
        from crystalgnn_core.models.cogn.network import COGN

        return COGN(self, n_targets)
