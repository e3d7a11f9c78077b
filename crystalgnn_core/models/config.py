"""Sizes of the networks; reading a configuration does not load torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from crystalgnn_core.base import FrozenModel
from crystalgnn_core.graphs.config import GraphConfig

if TYPE_CHECKING:
    from crystalgnn_core.models.alignn import ALIGNN
    from crystalgnn_core.models.cgcnn import CGCNN
    from crystalgnn_core.models.megnet import MEGNet
    from crystalgnn_core.models.schnet import SchNet


class CGCNNConfig(FrozenModel):
    """Size of a CGCNN; the defaults are those of the authors' code.

    Attributes:
        atom_width: Features an atom inside the convolutions.
        n_convolutions: Gated convolutions.
        hidden_width: Features after pooling.
        n_hidden: Fully connected layers after pooling.
        basis_start: First Gaussian centre in angstrom.
        basis_stop: Last Gaussian centre in angstrom.
        basis_step: Spacing and width of the Gaussians in angstrom.
    """

    kind: Literal["cgcnn"] = "cgcnn"
    atom_width: Annotated[int, Field(ge=1)] = 64
    n_convolutions: Annotated[int, Field(ge=1)] = 3
    hidden_width: Annotated[int, Field(ge=1)] = 128
    n_hidden: Annotated[int, Field(ge=1)] = 1
    basis_start: Annotated[float, Field(ge=0)] = 0.0
    basis_stop: Annotated[float, Field(gt=0)] = 8.0
    basis_step: Annotated[float, Field(gt=0)] = 0.2

    @model_validator(mode="after")
    def _basis_is_not_empty(self) -> Self:
        if self.basis_stop <= self.basis_start:
            raise ValueError(
                f"basis_stop {self.basis_stop} is not above basis_start "
                f"{self.basis_start}; raise it"
            )
        return self

    def default_graph(self) -> GraphConfig:
        """Return the graphs that it learns from unless told otherwise: shells."""
        return GraphConfig()

    def build(self, n_targets: int) -> CGCNN:
        """Create the network with fresh weights from torch's global generator."""
        from crystalgnn_core.models.cgcnn import CGCNN

        return CGCNN(self, n_targets)


class ALIGNNConfig(FrozenModel):
    """Size of an ALIGNN; the defaults are those of Choudhary & DeCost 2021.

    Attributes:
        hidden_width: Features of atoms, bonds and angles.
        embedding_width: Features between the expansion of a distance or angle and these.
        n_line_convolutions: Convolutions on crystal graph and line graph.
        n_convolutions: Convolutions on the crystal graph alone, after these.
        n_distance_features: Gaussians of a distance, from 0 to `basis_stop`.
        n_angle_features: Gaussians of a cosine, from -1 to 1.
        basis_stop: Last Gaussian centre in angstrom.
        angle_cutoff: Longest bond in angstrom that is part of an angle.
        normalization: `batch` as published, or `layer` as in alignn's pure-torch model.
    """

    kind: Literal["alignn"] = "alignn"
    hidden_width: Annotated[int, Field(ge=1)] = 256
    embedding_width: Annotated[int, Field(ge=1)] = 64
    n_line_convolutions: Annotated[int, Field(ge=0)] = 4
    n_convolutions: Annotated[int, Field(ge=1)] = 4
    n_distance_features: Annotated[int, Field(ge=2)] = 80
    n_angle_features: Annotated[int, Field(ge=2)] = 40
    basis_stop: Annotated[float, Field(gt=0)] = 8.0
    angle_cutoff: Annotated[float, Field(gt=0)] = 50.0
    normalization: Literal["batch", "layer"] = "batch"

    def default_graph(self) -> GraphConfig:
        """Return the graphs that it learns from: shells, and edges both ways."""
        return GraphConfig(symmetric=True)

    def build(self, n_targets: int) -> ALIGNN:
        """Create the network with fresh weights from torch's global generator."""
        from crystalgnn_core.models.alignn import ALIGNN

        return ALIGNN(self, n_targets)


class MEGNetConfig(FrozenModel):
    """Size of a MEGNet; the defaults are those of Chen et al. 2019.

    Attributes:
        embedding_width: Features of an element.
        width: Features of atoms, bonds and the global state.
        hidden_width: Features inside the functions of a block.
        n_state: Features of the initial global state, all zero.
        n_blocks: Blocks.
        n_gaussians: Gaussians of a distance, from 0 to `basis_stop`.
        basis_stop: Last Gaussian centre in angstrom.
        gaussian_width: Width of the Gaussians in angstrom.
        query_width: Features of the query of a readout.
        n_passes: Passes of a readout.
    """

    kind: Literal["megnet"] = "megnet"
    embedding_width: Annotated[int, Field(ge=1)] = 16
    width: Annotated[int, Field(ge=1)] = 32
    hidden_width: Annotated[int, Field(ge=1)] = 64
    n_state: Annotated[int, Field(ge=1)] = 2
    n_blocks: Annotated[int, Field(ge=1)] = 3
    n_gaussians: Annotated[int, Field(ge=2)] = 100
    basis_stop: Annotated[float, Field(gt=0)] = 5.0
    gaussian_width: Annotated[float, Field(gt=0)] = 0.5
    query_width: Annotated[int, Field(ge=1)] = 16
    n_passes: Annotated[int, Field(ge=1)] = 3

    def default_graph(self) -> GraphConfig:
        """Return the graphs that it learns from: all within 4 angstrom."""
        return GraphConfig(strategy="radius", cutoff=4.0, too_few="keep")

    def build(self, n_targets: int) -> MEGNet:
        """Create the network with fresh weights from torch's global generator."""
        from crystalgnn_core.models.megnet import MEGNet

        return MEGNet(self, n_targets)


class SchNetConfig(FrozenModel):
    """Size of a SchNet.

    Attributes:
        atom_width: Features an atom.
        filter_width: Features of a continuous filter.
        n_interactions: Interaction blocks.
        n_gaussians: Gaussians of a distance, from 0 to the cutoff.
        cutoff: Distance in angstrom at which a neighbour's influence has gone to zero.
        readout: `mean` over atoms for intensive properties, or `sum`.
    """

    kind: Literal["schnet"] = "schnet"
    atom_width: Annotated[int, Field(ge=1)] = 64
    filter_width: Annotated[int, Field(ge=1)] = 64
    n_interactions: Annotated[int, Field(ge=1)] = 6
    n_gaussians: Annotated[int, Field(ge=2)] = 50
    cutoff: Annotated[float, Field(gt=0)] = 5.0
    readout: Literal["mean", "sum"] = "mean"

    def default_graph(self) -> GraphConfig:
        """Return the graphs that it learns from: all within its cutoff."""
        return GraphConfig(strategy="radius", cutoff=self.cutoff, too_few="keep")

    def build(self, n_targets: int) -> SchNet:
        """Create the network with fresh weights from torch's global generator."""
        from crystalgnn_core.models.schnet import SchNet

        return SchNet(self, n_targets)
