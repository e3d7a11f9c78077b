"""Sizes of the networks; reading a configuration does not load torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from crystalgnn_core.base import FrozenModel

if TYPE_CHECKING:
    from crystalgnn_core.models.cgcnn import CGCNN


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

    def build(self, n_targets: int) -> CGCNN:
        """Create the network with fresh weights from torch's global generator."""
        from crystalgnn_core.models.cgcnn import CGCNN

        return CGCNN(self, n_targets)
