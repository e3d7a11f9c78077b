"""Settings of the models on features of a potential; reading them does not load torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field

from crystalgnn_core.errors import ModelError
from crystalgnn_core.graphs.config import GraphConfig
from crystalgnn_core.models.base import NetworkConfig
from crystalgnn_core.models.potential.base import find_potential, potential_names
from crystalgnn_core.wording import did_you_mean, show_value

if TYPE_CHECKING:
    from crystalgnn_core.models.potential.model import PotentialModel


def _check_name(name: str) -> str:
    names = potential_names()
    if name not in names:
        raise ValueError(
            f"no installed package has a potential {show_value(name)}; choose from "
            f"{', '.join(names)}{did_you_mean(name, names)}"
        )
    return name


class PotentialConfig(NetworkConfig):
    """Kernel ridge regression on what a trained interatomic potential says of the atoms.

    It is fitted, one target after the other, not trained by epochs.

    Attributes:
        potential: Whose features: `chgnet`, or one of an installed package.
        max_centers: Most training rows that the kernel is spanned by, drawn at random; all
            rows are fitted in any case.
    """

    kind: Literal["potential"] = "potential"
    potential: Annotated[str, AfterValidator(_check_name)] = "chgnet"
    max_centers: Annotated[int, Field(ge=1, le=20_000)] = 2000

    def default_graph(self) -> GraphConfig:
        """Return the graphs that it learns from: without edges; the potential has own."""
        return GraphConfig(strategy="none")

    def build(self, n_targets: int) -> PotentialModel:
        """Create the model as it is before it is fitted or loaded."""
        from crystalgnn_core.models.potential.model import PotentialModel

        return PotentialModel(self, n_targets)

    def check_graph(self, graph: GraphConfig) -> None:  # noqa: ARG002  any will do
        """Refuse to begin without the package of the potential."""
        try:
            find_potential(self.potential).check_installed()
        except ModelError as error:
            raise ValueError(str(error)) from error

    def known_elements(self) -> tuple[int, ...]:
        """Return the atomic numbers that the potential knows."""
        return find_potential(self.potential).elements

    def remarks(self) -> tuple[str, ...]:
        """Return what the weights of the potential have seen."""
        return (find_potential(self.potential).remark,)
