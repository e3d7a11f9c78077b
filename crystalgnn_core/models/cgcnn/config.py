"""Size of a CGCNN; reading it does not load torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import model_validator

from crystalgnn_core.base import ADDED_LATER
from crystalgnn_core.graphs.config import GraphConfig
from crystalgnn_core.models.base import (
    MOST_FEATURES,
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
    from crystalgnn_core.models.cgcnn.network import CGCNN


class CGCNNConfig(ElementNetworkConfig):
    """Size of a CGCNN; the defaults are those of the authors' code.

    Attributes:
        atom_width: Features per atom inside the convolutions.
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
    n_convolutions: Layers = 3
    hidden_width: Count = 128
    n_hidden: Layers = 1
    basis_start: Start = 0.0
    basis_stop: Length = 8.0
    n_gaussians: Annotated[Grid | None, ADDED_LATER] = None
    basis_step: Length = 0.2
    gaussian_width: Annotated[Length | None, ADDED_LATER] = None
    node_features: NodeFeatures = "table"
    readout: Annotated[Readout, ADDED_LATER] = "mean"
    query_width: Annotated[Count, ADDED_LATER] = 64
    n_passes: Annotated[Layers, ADDED_LATER] = 3

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
            return given  # not given, or the field's own error says what is wrong
        return {**given, "basis_step": step} if step > 0 else given

    @property
    def n_centers(self) -> int:
        """Gaussians of a distance."""
        return round((self.basis_stop - self.basis_start) / self.basis_step) + 1

    @model_validator(mode="after")
    def _basis_is_an_even_grid(self) -> Self:
        if self.n_centers > MOST_FEATURES:
            raise ValueError(
                f"basis_step {self.basis_step} makes {self.n_centers} Gaussians"
            )
        if self.n_gaussians not in (None, self.n_centers):
            raise ValueError(
                f"n_gaussians {self.n_gaussians} contradicts basis_step {self.basis_step}, "
                f"which makes {self.n_centers}; give one of the two"
            )
        return self

    def default_graph(self) -> GraphConfig:
        """Return the graphs that it learns from by default: shells."""
        return GraphConfig()

    def build(self, n_targets: int) -> CGCNN:
        """Create the network with fresh weights from torch's global generator."""
        from crystalgnn_core.models.cgcnn.network import CGCNN

        return CGCNN(self, n_targets)
