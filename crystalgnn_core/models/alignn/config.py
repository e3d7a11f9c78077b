"""Size of an ALIGNN; reading it does not load torch."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from crystalgnn_core.base import ADDED_LATER
from crystalgnn_core.graphs.config import GraphConfig
from crystalgnn_core.models.base import (
    Count,
    ElementNetworkConfig,
    Grid,
    Layers,
    Length,
    NodeFeatures,
    Readout,
    Start,
)

if TYPE_CHECKING:
    from crystalgnn_core.models.alignn.network import ALIGNN

logger = logging.getLogger(__name__)


class ALIGNNConfig(ElementNetworkConfig):
    """Size of an ALIGNN; the defaults are those of Choudhary & DeCost 2021.

    Attributes:
        hidden_width: Features of atoms, bonds and angles.
        embedding_width: Features between the expansion of a distance or angle and these.
        n_line_convolutions: Convolutions on crystal graph and line graph.
        n_convolutions: Convolutions on the crystal graph alone, after these.
        n_distance_features: Gaussians of a distance.
        n_angle_features: Gaussians of a cosine, from -1 to 1.
        basis_start: First Gaussian centre of a distance in angstrom.
        basis_stop: Last Gaussian centre of a distance in angstrom.
        distance_width: Width of the Gaussians of a distance in angstrom; None takes the
            root of their spacing, as published.
        angle_width: Width of the Gaussians of a cosine; None as for distances.
        angle_cutoff: Longest bond in angstrom that is part of an angle.
        normalization: `batch` as published, or `layer` as in alignn's pure-torch model.
        node_features: What it knows of an element.
        readout: From atoms to crystals; `mean` in the paper.
        query_width: Features of the query of `set2set`.
        n_passes: Passes of `set2set`.
    """

    kind: Literal["alignn"] = "alignn"
    hidden_width: Count = 256
    embedding_width: Count = 64
    n_line_convolutions: Annotated[int, Field(ge=0, le=1000)] = 4
    n_convolutions: Layers = 4
    n_distance_features: Grid = 80
    n_angle_features: Grid = 40
    basis_start: Annotated[Start, ADDED_LATER] = 0.0
    basis_stop: Length = 8.0
    distance_width: Annotated[Length | None, ADDED_LATER] = None
    angle_width: Annotated[Length | None, ADDED_LATER] = None
    angle_cutoff: Length = 50.0
    normalization: Literal["batch", "layer"] = "batch"
    node_features: NodeFeatures = "table"
    readout: Annotated[Readout, ADDED_LATER] = "mean"
    query_width: Annotated[Count, ADDED_LATER] = 64
    n_passes: Annotated[Layers, ADDED_LATER] = 3

    def default_graph(self) -> GraphConfig:
        """Return the graphs that it learns from: shells, and edges both ways."""
        return GraphConfig(symmetric=True)

    def check_graph(self, graph: GraphConfig) -> None:
        """Warn of edges one way, which leave angles out."""
        if graph.strategy.startswith("knn") and not (
            graph.symmetric or graph.strategy == "knn_alignn"
        ):
            logger.warning(
                "graph.symmetric is false, but model.kind alignn makes angles from edges "
                "both ways; leave graph.symmetric out, or take graph.strategy radius"
            )
        super().check_graph(graph)

    def build(self, n_targets: int) -> ALIGNN:
        """Create the network with fresh weights from torch's global generator."""
        from crystalgnn_core.models.alignn.network import ALIGNN

        return ALIGNN(self, n_targets)
