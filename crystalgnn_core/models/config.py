"""Sizes of the networks; reading a configuration does not load torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from crystalgnn_core.base import LATER
from crystalgnn_core.graphs.config import GraphConfig
from crystalgnn_core.models.choices import (
    NetworkConfig,
    NodeFeatures,
    Readout,
    check_range,
)

if TYPE_CHECKING:
    from crystalgnn_core.models.alignn import ALIGNN
    from crystalgnn_core.models.cgcnn import CGCNN
    from crystalgnn_core.models.megnet import MEGNet
    from crystalgnn_core.models.schnet import SchNet


Count = Annotated[int, Field(ge=1)]
Grid = Annotated[int, Field(ge=2)]
Length = Annotated[float, Field(gt=0)]
Start = Annotated[float, Field(ge=0)]


class CGCNNConfig(NetworkConfig):
    """Size of a CGCNN; the defaults are those of the authors' code.

    Attributes:
        atom_width: Features an atom inside the convolutions.
        n_convolutions: Gated convolutions.
        hidden_width: Features after pooling.
        n_hidden: Fully connected layers after pooling.
        basis_start: First Gaussian centre in angstrom.
        basis_stop: Last Gaussian centre in angstrom.
        n_gaussians: Gaussians of a distance, in place of `basis_step`.
        basis_step: Spacing of the Gaussians in angstrom; that of `n_gaussians` if these
            are given.
        gaussian_width: Width of the Gaussians in angstrom; None takes `basis_step`.
        node_features: What it knows of an element.
        readout: From atoms to crystals; `mean` in the paper.
        query_width: Features of the query of `set2set`.
        n_passes: Passes of `set2set`.
    """

    kind: Literal["cgcnn"] = "cgcnn"
    atom_width: Count = 64
    n_convolutions: Count = 3
    hidden_width: Count = 128
    n_hidden: Count = 1
    basis_start: Start = 0.0
    basis_stop: Length = 8.0
    n_gaussians: Annotated[Grid | None, LATER] = None
    basis_step: Length = 0.2
    gaussian_width: Annotated[Length | None, LATER] = None
    node_features: NodeFeatures = "table"
    readout: Annotated[Readout, LATER] = "mean"
    query_width: Annotated[Count, LATER] = 64
    n_passes: Annotated[Count, LATER] = 3

    @model_validator(mode="before")
    @classmethod
    def _step_follows_number(cls, given: Any) -> Any:  # noqa: ANN401  any settings
        """Fill the spacing that a given number of Gaussians has."""
        if not isinstance(given, dict) or "basis_step" in given:
            return given
        try:
            number = int(given["n_gaussians"])
            start, stop = given.get("basis_start", 0.0), given.get("basis_stop", 8.0)
            step = (float(stop) - float(start)) / (number - 1)
        except (KeyError, TypeError, ValueError, ZeroDivisionError):
            return given  # not given, or the field itself tells what is wrong
        return {**given, "basis_step": step} if step > 0 else given

    @property
    def n_centers(self) -> int:
        """Gaussians of a distance."""
        return round((self.basis_stop - self.basis_start) / self.basis_step) + 1

    @model_validator(mode="after")
    def _basis_is_an_even_grid(self) -> Self:
        check_range(self.basis_start, self.basis_stop)
        if self.n_gaussians not in (None, self.n_centers):
            raise ValueError(
                f"n_gaussians {self.n_gaussians} contradicts basis_step {self.basis_step}, "
                f"which makes {self.n_centers}; give one of the two"
            )
        return self

    def default_graph(self) -> GraphConfig:
        """Return the graphs that it learns from unless told otherwise: shells."""
        return GraphConfig()

    def build(self, n_targets: int) -> CGCNN:
        """Create the network with fresh weights from torch's global generator."""
        from crystalgnn_core.models.cgcnn import CGCNN

        return CGCNN(self, n_targets)


class ALIGNNConfig(NetworkConfig):
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
    n_line_convolutions: Annotated[int, Field(ge=0)] = 4
    n_convolutions: Count = 4
    n_distance_features: Grid = 80
    n_angle_features: Grid = 40
    basis_start: Annotated[Start, LATER] = 0.0
    basis_stop: Length = 8.0
    distance_width: Annotated[Length | None, LATER] = None
    angle_width: Annotated[Length | None, LATER] = None
    angle_cutoff: Length = 50.0
    normalization: Literal["batch", "layer"] = "batch"
    node_features: NodeFeatures = "table"
    readout: Annotated[Readout, LATER] = "mean"
    query_width: Annotated[Count, LATER] = 64
    n_passes: Annotated[Count, LATER] = 3

    @model_validator(mode="after")
    def _basis_rises(self) -> Self:
        check_range(self.basis_start, self.basis_stop)
        return self

    def default_graph(self) -> GraphConfig:
        """Return the graphs that it learns from: shells, and edges both ways."""
        return GraphConfig(symmetric=True)

    def build(self, n_targets: int) -> ALIGNN:
        """Create the network with fresh weights from torch's global generator."""
        from crystalgnn_core.models.alignn import ALIGNN

        return ALIGNN(self, n_targets)


class MEGNetConfig(NetworkConfig):
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
    n_blocks: Count = 3
    n_gaussians: Grid = 100
    basis_start: Annotated[Start, LATER] = 0.0
    basis_stop: Length = 5.0
    gaussian_width: Length = 0.5
    node_features: NodeFeatures = "embedding"
    readout: Annotated[Literal["set2set", "mean", "sum"], LATER] = "set2set"
    query_width: Count = 16
    n_passes: Count = 3

    @model_validator(mode="after")
    def _basis_rises(self) -> Self:
        check_range(self.basis_start, self.basis_stop)
        return self

    def default_graph(self) -> GraphConfig:
        """Return the graphs that it learns from: all within 4 angstrom."""
        return GraphConfig(strategy="radius", cutoff=4.0, too_few="keep")

    def build(self, n_targets: int) -> MEGNet:
        """Create the network with fresh weights from torch's global generator."""
        from crystalgnn_core.models.megnet import MEGNet

        return MEGNet(self, n_targets)


class SchNetConfig(NetworkConfig):
    """Size of a SchNet.

    Attributes:
        atom_width: Features an atom.
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
    n_interactions: Count = 6
    n_gaussians: Grid = 50
    basis_start: Annotated[Start, LATER] = 0.0
    basis_stop: Annotated[Length | None, LATER] = None
    gaussian_width: Annotated[Length | None, LATER] = None
    cutoff: Length = 5.0
    node_features: NodeFeatures = "embedding"
    readout: Literal["mean", "sum", "max"] = "mean"

    @property
    def last_center(self) -> float:
        """Last Gaussian centre in angstrom."""
        return self.cutoff if self.basis_stop is None else self.basis_stop

    @model_validator(mode="after")
    def _basis_rises(self) -> Self:
        check_range(self.basis_start, self.last_center)
        return self

    def default_graph(self) -> GraphConfig:
        """Return the graphs that it learns from: all within its cutoff."""
        return GraphConfig(strategy="radius", cutoff=self.cutoff, too_few="keep")

    def build(self, n_targets: int) -> SchNet:
        """Create the network with fresh weights from torch's global generator."""
        from crystalgnn_core.models.schnet import SchNet

        return SchNet(self, n_targets)
