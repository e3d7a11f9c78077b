"""Which materials of the Materials Project are wanted."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from crystalgnn_core.base import FrozenModel

Count = Annotated[int, Field(ge=1)]


class MaterialsFilter(FrozenModel):
    """Conditions that all wanted materials meet; deprecated ones are never among them.

    There is none on the distance to the hull: the service compares the mixed one.

    Attributes:
        chemsys: Chemical systems such as `Li-Fe-O` or `Si-*`; one of them.
        formula: Formulas such as `Fe2O3`, `ABO3` or `Si*`; one of them.
        elements: Elements that a material holds; all of them.
        exclude_elements: Elements that it does not hold.
        n_elements: Fewest and most elements.
        n_sites: Fewest and most atoms in the cell.
        has_props: Properties for which there is data, such as `elasticity`; all of them.
        is_theoretical: False takes only what was observed in experiments, True the others.
    """

    chemsys: tuple[str, ...] = ()
    formula: tuple[str, ...] = ()
    elements: tuple[str, ...] = ()
    exclude_elements: tuple[str, ...] = ()
    n_elements: tuple[Count, Count] | None = None
    n_sites: tuple[Count, Count] | None = None
    has_props: tuple[str, ...] = ()
    is_theoretical: bool | None = None

    def search_arguments(self) -> dict[str, Any]:
        """Return the arguments of the client's `summary.search`."""
        given: dict[str, Any] = {
            **self._lists(),
            "num_elements": self.n_elements,
            "num_sites": self.n_sites,
            "theoretical": self.is_theoretical,
            "deprecated": False,
        }
        return {name: value for name, value in given.items() if value is not None}

    def route_parameters(self) -> dict[str, Any]:
        """Return the same conditions as parameters of the route."""
        given: dict[str, Any] = {
            name: ",".join(values) for name, values in self._lists().items()
        }
        for name, bounds in (("nelements", self.n_elements), ("nsites", self.n_sites)):
            if bounds is not None:
                given |= {f"{name}_min": bounds[0], f"{name}_max": bounds[1]}
        if self.is_theoretical is not None:
            given["theoretical"] = self.is_theoretical
        return {**given, "deprecated": False}

    def _lists(self) -> dict[str, list[str]]:
        names = ("chemsys", "formula", "elements", "exclude_elements", "has_props")
        return {name: list(getattr(self, name)) for name in names if getattr(self, name)}
