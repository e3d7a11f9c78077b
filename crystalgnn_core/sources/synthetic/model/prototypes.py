"""Structure prototypes as data: conventional cell, centring, sites by role, free numbers.

Coordinates and space groups follow the AFLOW encyclopedia of prototypes, Mehl et al.,
Comput. Mater. Sci. 136, S1 (2017).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

Point = tuple[float, float, float]
Sites = dict[str, list[Point]]
Range = tuple[float, float]
F = TypeVar("F", bound="Callable[..., Sites]")

# rows are the primitive vectors in the basis of the conventional cell
CENTRINGS: dict[str, NDArray[np.float64]] = {
    "P": np.eye(3),
    "F": np.array([[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]]),
    "I": np.array([[-0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.5, 0.5, -0.5]]),
    "R": np.array([[2.0, 1.0, 1.0], [-1.0, 1.0, 1.0], [-1.0, -2.0, 1.0]]) / 3.0,
}
CUBIC: Range = (1.0, 1.0)

ORIGIN: Point = (0.0, 0.0, 0.0)
CENTRE: Point = (0.5, 0.5, 0.5)
QUARTER: Point = (0.25, 0.25, 0.25)
THREE_QUARTERS: Point = (0.75, 0.75, 0.75)
FACES: list[Point] = [(0.5, 0.5, 0.0), (0.5, 0.0, 0.5), (0.0, 0.5, 0.5)]
EDGES: list[Point] = [(0.5, 0.0, 0.0), (0.0, 0.5, 0.0), (0.0, 0.0, 0.5)]
THIRD, TWO_THIRDS = 1.0 / 3.0, 2.0 / 3.0


@dataclass(frozen=True, slots=True)
class Prototype:
    """A structure type whose sites carry roles that elements can take.

    Attributes:
        name: Mineral name or Strukturbericht symbol.
        space_group: International number of a crystal with generic free numbers.
        centring: Key of `CENTRINGS`.
        sites: Maps the free numbers to role -> conventional fractional coordinates.
        c_over_a: Range of the axial ratio, (1, 1) for cubic cells.
        free: Range of each free internal coordinate.
        anions: Roles taken by anions; empty for a metal, where all roles are metals.
        larger: Two roles of which the first takes the larger radius, either because the
            site is larger or because the two are equivalent; empty if there is no rule.
        weight: Relative frequency within its family.
    """

    name: str
    space_group: int
    centring: str
    sites: Callable[..., Sites]
    c_over_a: Range
    free: tuple[Range, ...]
    anions: str
    larger: str
    weight: float

    @property
    def is_metallic(self) -> bool:
        """Whether all roles are taken by metals."""
        return not self.anions

    def roles(self) -> dict[str, int]:
        """Return the roles and how many sites of the primitive cell each takes."""
        middle = [0.5 * (low + high) for low, high in self.free]
        return {role: len(points) for role, points in self.sites(*middle).items()}

    def build(
        self, c_over_a: float, free: Sequence[float]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], list[str]]:
        """Build the primitive cell for a conventional a of 1.

        Returns:
            Row vectors in units of a, shape (3, 3); fractional coordinates in [0, 1), shape
            (n_atoms, 3); the role of every atom.
        """
        sites = self.sites(*free)
        centring = CENTRINGS[self.centring]
        points = np.array([point for group in sites.values() for point in group])
        roles = [role for role, group in sites.items() for _ in group]
        frac = points @ np.linalg.inv(centring)
        return centring @ self._conventional_cell(c_over_a), frac % 1.0, roles

    def _conventional_cell(self, c_over_a: float) -> NDArray[np.float64]:
        if 143 <= self.space_group < 195:  # trigonal and hexagonal
            return np.array([[1.0, 0.0, 0.0], [-0.5, 0.75**0.5, 0.0], [0.0, 0.0, c_over_a]])
        return np.diag([1.0, 1.0, c_over_a])


class Family(dict[str, Prototype]):
    """Prototypes by name; crystals are drawn by their order, so new ones go to the end.

    Args:
        anions: Roles that anions take in most of them.
    """

    def __init__(self, anions: str) -> None:
        super().__init__()
        self._anions = anions

    def prototype(
        self,
        space_group: int,
        centring: str,
        c_over_a: Range = CUBIC,
        *free: Range,
        name: str | None = None,
        anions: str | None = None,
        larger: str = "",
        weight: float = 1.0,
    ) -> Callable[[F], F]:
        """Add a prototype with the sites of a function, and with its name unless given."""

        def add(sites: F) -> F:
            own = name or sites.__name__
            roles = self._anions if anions is None else anions
            self[own] = Prototype(
                own, space_group, centring, sites, c_over_a, free, roles, larger, weight
            )
            return sites

        return add


def both_signs(*points: Point) -> list[Point]:
    """Return every point and its inverse."""
    return [(s * x, s * y, s * z) for x, y, z in points for s in (1.0, -1.0)]
