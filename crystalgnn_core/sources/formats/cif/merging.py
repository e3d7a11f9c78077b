"""Sites that symmetry operations bring to one place: one atom, a mixture, or a mistake."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from crystalgnn_core.errors import RecordError
from crystalgnn_core.records.crystal import OCCUPANCY_TOLERANCE
from crystalgnn_core.sources.formats.cif.closeness import close_pairs

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from crystalgnn_core.sources.formats.cif.sites import Site

ROUNDED = 0.05  # angstrom: images of a special position in 3 or 4 digits are this close


class Orbit(NamedTuple):
    """The places that the operations make of one site, shape (n_places, 3)."""

    site: Site
    places: NDArray[np.float64]


def merged_orbits(
    orbits: Sequence[Orbit],
    lattice: NDArray[np.float64],
    rounded: float,
    *,
    has_formula: bool,
) -> Iterable[Orbit]:
    """Yield the orbits, each place once."""
    together = _coincident(orbits, lattice, rounded)
    for index, orbit in enumerate(orbits):
        others = together.get(index, [])
        if others and others[0] < index:
            if together[others[0]][0] < others[0]:  # near a place near another one
                raise _overlap(orbits[others[0]].site, orbit.site, rounded)
            continue
        group = [orbit, *(orbits[other] for other in others)]
        _check_shares([member.site for member in group], lattice, has_formula=has_formula)
        yield orbit


def _check_shares(
    sites: Sequence[Site], lattice: NDArray[np.float64], *, has_formula: bool
) -> None:
    """Refuse the sites of one place unless it is full, of one element."""
    shares: defaultdict[str, float] = defaultdict(float)
    for site in sites:
        shares[site.element] += site.share
    is_full = [abs(site.share - 1.0) <= OCCUPANCY_TOLERANCE for site in sites]
    total = sum(shares.values())
    is_known = has_formula or not _is_listed_twice(sites, lattice)
    if len(shares) == 1 and (
        abs(total - 1.0) <= OCCUPANCY_TOLERANCE or (all(is_full) and is_known)
    ):
        return
    labels = " and ".join(site.label for site in sites)
    if all(is_full):
        raise RecordError(
            "overlapping_atoms",
            f"sites {labels} are one place under the operations; remove all but one, or "
            "correct the coordinates",
        )
    held = ", ".join(f"{element}{share:.5g}" for element, share in shares.items())
    raise RecordError(
        "disordered_site",
        f"site {labels} is occupied by {held}; order the structure (one full species a "
        "site) first",
    )


def _is_listed_twice(sites: Sequence[Site], lattice: NDArray[np.float64]) -> bool:
    """Return whether two sites have one place without an operation between them."""
    places = np.array([site.place for site in sites])
    offsets = places[:, None] - places
    distances = np.linalg.norm((offsets - np.rint(offsets)) @ lattice, axis=2)
    return bool((distances[np.triu_indices(len(sites), 1)] < ROUNDED).any())


def _coincident(
    orbits: Sequence[Orbit], lattice: NDArray[np.float64], rounded: float
) -> dict[int, list[int]]:
    """Find sites that are one place, by index, those of a group in rising order.

    Raises:
        RecordError: Some images of two sites are one place, others are not.
    """
    places = np.concatenate([orbit.places for orbit in orbits])
    owner = np.repeat(np.arange(len(orbits)), [len(orbit.places) for orbit in orbits])
    pairs = close_pairs(places, lattice, rounded)
    pairs = pairs[owner[pairs[:, 0]] != owner[pairs[:, 1]]]
    shared: defaultdict[tuple[int, int], set[int]] = defaultdict(set)
    for first, second in pairs.tolist():
        one, other = sorted((first, second), key=lambda atom: int(owner[atom]))
        shared[int(owner[one]), int(owner[other])].add(other)
    groups: defaultdict[int, list[int]] = defaultdict(list)
    for (one, other), atoms in sorted(shared.items()):
        sizes = {len(orbits[one].places), len(orbits[other].places), len(atoms)}
        if len(sizes) > 1:
            raise _overlap(orbits[one].site, orbits[other].site, rounded)
        groups[one].append(other)
        groups[other].append(one)
    return {index: sorted(found) for index, found in groups.items()}


def _overlap(first: Site, second: Site, rounded: float) -> RecordError:
    return RecordError(
        "overlapping_atoms",
        f"some images of sites {first.label} and {second.label} are closer than {rounded} "
        "angstrom; remove one of the sites or correct the coordinates",
    )
