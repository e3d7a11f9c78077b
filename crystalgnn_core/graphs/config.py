"""How a crystal becomes a graph: the settings that decide its edges."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from crystalgnn_core.base import FrozenModel


class GraphConfig(FrozenModel):
    """Edge strategy and its parameters; its digest names the folder of shards.

    Attributes:
        strategy: `knn` exactly `n_neighbors`, `knn_cgcnn` the same with the choice of the
            CGCNN code among equal distances (what its published weights expect; slower),
            `knn_shell` all neighbours no farther than the k-th plus the tolerance, so that
            the graph does not depend on atom order, `knn_alignn` these in both directions,
            and every bond between an atom and an image of itself twice, as the ALIGNN code
            builds them, `radius` all within the cutoff, `none` no edges at all, for models
            that see the composition alone or have edges of their own; the settings below
            mean nothing then.
        cutoff: Search radius in angstrom.
        n_neighbors: k of the four nearest-neighbour strategies.
        shell_tolerance: Width in angstrom within which distances count as one shell.
        too_few: What happens to an atom with fewer than k (radius: no) neighbours:
            `enlarge` the cutoff of its crystal up to `max_cutoff`, `reject` the crystal,
            or `keep` what there is. Edges are never made up.
        max_cutoff: Bound of the enlargement in angstrom.
        symmetric: Whether the reversal of every edge is an edge too (ALIGNN): atom i keeps
            j if i selects j or j selects i. `too_few` judges what an atom selects itself.
    """

    strategy: Literal["knn", "knn_cgcnn", "knn_shell", "knn_alignn", "radius", "none"] = (
        "knn_shell"
    )
    cutoff: Annotated[float, Field(gt=0, le=50)] = 8.0
    n_neighbors: Annotated[int, Field(ge=1, le=1000)] = 12
    shell_tolerance: Annotated[float, Field(ge=0, le=1)] = 0.01
    too_few: Literal["enlarge", "reject", "keep"] = "enlarge"
    max_cutoff: Annotated[float, Field(gt=0, le=50)] = 12.0
    symmetric: bool = False

    @model_validator(mode="after")
    def _bound_is_not_below_cutoff(self) -> Self:
        if self.too_few == "enlarge" and self.max_cutoff < self.cutoff:
            raise ValueError(
                f"max_cutoff {self.max_cutoff} is below cutoff {self.cutoff}; raise it"
            )
        return self
