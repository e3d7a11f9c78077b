"""Settings of a network that reads the cell; reading them does not load torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from crystalgnn_core.graphs.config import GraphConfig
from crystalgnn_core.models.base import Count, NetworkConfig

if TYPE_CHECKING:
    from tests.plugins.lattice_network.network import LatticeNetwork


class LatticeNetworkConfig(NetworkConfig):
    """Size of a network of gated attention that knows the volume per atom.

    Attributes:
        width: Features of an atom.
        n_layers: Layers of attention.
        n_gaussians: Gaussians of a distance.
    """

    kind: Literal["lattice_network"] = "lattice_network"
    width: Count = 64
    n_layers: Count = 3
    n_gaussians: Count = 40

    def default_graph(self) -> GraphConfig:
        """Return the graphs that it learns from: whole shells of neighbours."""
        return GraphConfig(n_neighbors=8)

    def build(self, n_targets: int) -> LatticeNetwork:
        """Create the network with fresh weights."""
        from tests.plugins.lattice_network.network import LatticeNetwork

        return LatticeNetwork(self, n_targets)
