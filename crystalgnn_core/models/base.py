"""What the networks' configurations share; reading them does not load torch."""

from __future__ import annotations

import logging
from abc import abstractmethod
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import BeforeValidator, Field, model_validator

from crystalgnn_core.base import ADDED_LATER, FrozenModel
from crystalgnn_core.records.elements import N_NUMBERS
from crystalgnn_core.wording import did_you_mean, show_value

if TYPE_CHECKING:
    from crystalgnn_core.graphs.config import GraphConfig
    from crystalgnn_core.models.network import Network

logger = logging.getLogger(__name__)
ElementProperty = Literal[
    "atomic_number",
    "atomic_mass",
    "group",
    "row",
    "mendeleev_number",
    "electronegativity",
    "atomic_radius",
    "covalent_radius",
    "ionic_radius",
    "oxidation_state",
    "valence_electrons",
    "ionization_energy",
    "electron_affinity",
    "melting_point",
]
MOST_FEATURES = 2**16  # far beyond any use; a damaged card cannot ask for all memory
Count = Annotated[int, Field(ge=1, le=MOST_FEATURES)]
Layers = Annotated[int, Field(ge=1, le=1000)]
Grid = Annotated[int, Field(ge=2, le=MOST_FEATURES)]
Length = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Start = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Readout = Literal["mean", "sum", "max", "set2set"]


def _check_features(given: object) -> object:
    """Refuse what is no choice of node features in one line, by name."""
    if given in ("table", "embedding"):
        return given
    names = ", ".join(get_args(ElementProperty))
    if not isinstance(given, list | tuple):
        raise ValueError(
            f"{show_value(given)} is no choice of node features; choose table, embedding, "
            f"or a list of {names}{did_you_mean(given, ('table', 'embedding'))}"
        )
    if not given:
        raise ValueError(f"no element property is named; name some of {names}")
    for name in given:
        if name not in get_args(ElementProperty):
            meant = did_you_mean(name, get_args(ElementProperty))
            raise ValueError(
                f"no element property is called {show_value(name)}; choose from "
                f"{names}{meant}"
            )
        if given.count(name) > 1:
            raise ValueError(f"{name} is named twice; name it once")
    return given


NodeFeatures = Annotated[
    Literal["table", "embedding"] | tuple[ElementProperty, ...],
    BeforeValidator(_check_features),
    ADDED_LATER,
]


class CompositionJoinConfig(FrozenModel):
    """How the composition of a crystal joins what a network reads from its graph.

    Attributes:
        width: Features after the two hidden layers that read the composition; for `gnn`
            those of an element and of a message.
        n_features: Features of the graph, of the composition, and of the layer of both.
        reader: What reads the composition: `perceptron`, from statistics of the elements
            and their fractions, or `gnn`, messages between the elements, which reach the
            atoms of the graph, too, and predict beside the joint prediction.
        n_rounds: Times that the elements hear of each other, for `gnn`.
        charge_balance: Whether it is read, too, how near the formula is to being neutral by
            the oxidation states of its elements; whether an ionic crystal has a gap depends
            on it.
    """

    width: Count = 256
    n_features: Count = 128
    reader: Annotated[Literal["perceptron", "gnn"], ADDED_LATER] = "perceptron"
    n_rounds: Annotated[Layers, ADDED_LATER] = 2
    charge_balance: Annotated[bool, ADDED_LATER] = False


class NetworkConfig(FrozenModel):
    """Base of the settings of every network; its values name and rebuild a trained model.

    A subclass adds a field `kind` of one literal, the name of the network in settings,
    model ids and cards, and its sizes. Packages register theirs by an entry point of the
    group `crystalgnn.networks`; nothing else needs to know of it.

    Attributes:
        composition: Joins statistics of the elements and their fractions before the output;
            none by default.
    """

    if TYPE_CHECKING:
        kind: str
    composition: Annotated[CompositionJoinConfig | None, ADDED_LATER] = None

    @abstractmethod
    def default_graph(self) -> GraphConfig:
        """Return the graphs that it learns from where the settings name none."""

    @abstractmethod
    def build(self, n_targets: int) -> Network:
        """Create the network with fresh weights from torch's global generator.

        Its module is imported in here, so that reading settings does not load torch. The
        composition is joined by `crystalgnn_core.models.joined.create_network`.
        """

    def check_graph(self, graph: GraphConfig) -> None:
        """Check settings of the network against those of the graphs that mean the same.

        Raises:
            ValueError: They contradict each other; the message names both keys.
        """

    def known_elements(self) -> tuple[int, ...]:
        """Return the atomic numbers that the network has features for: all of them."""
        return tuple(range(1, N_NUMBERS))

    def remarks(self) -> tuple[str, ...]:
        """Return what the card of every model of this kind must say; nothing by default."""
        return ()


class ElementNetworkConfig(NetworkConfig):
    """Base of the networks whose features of an element are a choice.

    They expand distances in Gaussians from `basis_start` to `basis_stop`, fields of their
    own.

    Attributes:
        n_embedded: Rows of a trained embedding, one per atomic number from 0.
        node_features: What a network knows of an element: `table`, `embedding` or names of
            element properties.
    """

    n_embedded: ClassVar[int] = N_NUMBERS
    if TYPE_CHECKING:
        basis_start: float
        basis_stop: Any
    node_features: NodeFeatures

    @property
    def last_center(self) -> float:
        """Last Gaussian centre of a distance in angstrom."""
        return self.basis_stop

    @model_validator(mode="after")
    def _basis_rises(self) -> Self:
        start, stop = self.basis_start, self.last_center
        if stop <= start:
            raise ValueError(
                f"basis_stop {stop} is not above basis_start {start}; raise it"
            )
        return self

    def check_graph(self, graph: GraphConfig) -> None:
        """Warn of edges so long that no Gaussian of a distance distinguishes them."""
        if graph.strategy != "none" and graph.cutoff > self.last_center:
            logger.warning(
                "graph.cutoff %g is above model.basis_stop %g, beyond which distances are "
                "hardly distinguished; raise the latter, or lower graph.cutoff",
                graph.cutoff,
                self.last_center,
            )

    def known_elements(self) -> tuple[int, ...]:
        """Return the atomic numbers that the network has features for."""
        if self.node_features == "embedding":
            return tuple(range(1, self.n_embedded))
        from crystalgnn_core.models.elements import elements_in, feature_table

        return elements_in(feature_table(self.node_features))
