"""Size of a SchNet; reading it does not load torch."""

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
    from crystalgnn_core.models.schnet.network import SchNet


class SchNetConfig(ElementNetworkConfig):
    """Size of a SchNet.

    Attributes:
        atom_width: Features per atom.
        filter_width: Features of a continuous filter.
        n_interactions: Interaction blocks.
        n_gaussians: Gaussians of a distance.
        basis_start: First Gaussian centre in angstrom.
        basis_stop: Last Gaussian centre in angstrom; None takes the cutoff.
        gaussian_width: Width of the Gaussians in angstrom; None takes that of PyG's SchNet,
            sqrt(2) times their spacing.
        cutoff: Distance in angstrom at which a neighbour's influence has gone to zero.
        node_features: What it knows of an element; `embedding` in the paper.
        readout: Over what each atom gives: `mean` for intensive properties, `sum` or
            `max`.
    """

    n_embedded: ClassVar[int] = 100

    kind: Literal["schnet"] = "schnet"
    atom_width: Count = 64
    filter_width: Count = 64
    n_interactions: Layers = 6
    n_gaussians: Grid = 50
    basis_start: Annotated[Start, ADDED_LATER] = 0.0
    basis_stop: Annotated[Length | None, ADDED_LATER] = None
    gaussian_width: Annotated[Length | None, ADDED_LATER] = None
    cutoff: Length = 5.0
    node_features: NodeFeatures = "embedding"
    readout: Literal["mean", "sum", "max"] = "mean"

    @property
    def last_center(self) -> float:
        """Last Gaussian centre in angstrom."""
        return self.cutoff if self.basis_stop is None else self.basis_stop

    def default_graph(self) -> GraphConfig:
        """Return the graphs that it learns from: all within its cutoff."""
        return GraphConfig(strategy="radius", cutoff=self.cutoff, too_few="keep")

    def check_graph(self, graph: GraphConfig) -> None:
        """Check that neighbours come and go where their influence is zero.

        Raises:
            ValueError: The graphs end below the cutoff.
        """
        if graph.strategy != "none" and graph.cutoff < self.cutoff:
            raise ValueError(
                f"graph.cutoff {graph.cutoff:g} is below model.cutoff {self.cutoff:g}, so "
                "predictions would jump where a neighbour enters; give both one value, or "
                "leave graph.cutoff out"
            )

    def build(self, n_targets: int) -> SchNet:
        """Create the network with fresh weights from torch's global generator."""
        from crystalgnn_core.models.schnet.network import SchNet

        return SchNet(self, n_targets)
