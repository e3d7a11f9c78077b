"""All atoms of a cell from the sites of a CIF and symmetry operations.

Atoms come in the order of pymatgen, and where the operations bring a site to one place
several times within its tolerance, with the same coordinates to the bit.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from crystalgnn_core.errors import RecordError
from crystalgnn_core.records.crystal import Crystal
from crystalgnn_core.sources.formats.cif.symmetry import SITE_TOLERANCE
from crystalgnn_core.sources.formats.parsing import atomic_number_of, unreadable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from crystalgnn_core.sources.formats.cif.sites import Site
    from crystalgnn_core.sources.formats.cif.symmetry import Operations

ROUNDED = 0.05  # angstrom: images of a special position in 3 or 4 digits are this close
MAX_IMAGES = 200_000
SHARE_TOLERANCE = 1e-3
_MAX_ATOMS = 65_536  # in one graph
_SNAPPED = 1e-9  # of a multiple of 1/24, where special positions are


class _Orbit(NamedTuple):
    """The places that the operations make of one site, shape (n_places, 3)."""

    site: Site
    places: NDArray[np.float64]


def expand(
    sites: Sequence[Site],
    operations: Operations,
    lattice: NDArray[np.float64],
    rounded: float = ROUNDED,
) -> Crystal:
    """Apply the operations to all sites.

    Args:
        sites: In pymatgen's order.
        operations: With the identity.
        lattice: Row vectors in angstrom, shape (3, 3).
        rounded: Images of one site within this distance, angstrom, are one atom; it
            stands at their mean, which is the special position.

    Raises:
        RecordError: There are too many images; two sites are one place and not both full
            atoms of one element; a site is partially occupied.
    """
    n_images = len(sites) * len(operations.rotations)
    if n_images > MAX_IMAGES:
        raise unreadable(
            f"{len(sites)} sites under {len(operations.rotations)} operations make "
            f"{n_images} images, expected at most {MAX_IMAGES}; give a smaller cell"
        )
    orbits = [_orbit(site, operations, lattice, rounded) for site in sites]
    if sum(len(orbit.places) for orbit in orbits) > _MAX_ATOMS:
        raise unreadable(f"the cell holds more than {_MAX_ATOMS} atoms; give a smaller one")
    kept = list(_merged(orbits, lattice, rounded))
    numbers = [atomic_number_of(orbit.site.element) for orbit in kept]
    return Crystal(
        np.repeat(np.array(numbers, np.int16), [len(orbit.places) for orbit in kept]),
        lattice,
        np.concatenate([orbit.places for orbit in kept]),
    )


def _orbit(
    site: Site, operations: Operations, lattice: NDArray[np.float64], rounded: float
) -> _Orbit:
    """Return the different images of a site, the first of each as pymatgen computes it."""
    place = np.array(site.place)
    for _ in range(3):
        images = operations.rotations @ place + operations.translations
        offsets = images[:, None] - images
        offsets -= np.rint(offsets)
        is_same = np.abs(offsets).max(axis=2) < SITE_TOLERANCE
        is_close = np.linalg.norm(offsets @ lattice, axis=2) < rounded
        if not (is_close & ~is_same).any():
            return _Orbit(site, _first_images(place, operations, is_same))
        from_place = images - place
        from_place -= np.rint(from_place)
        identity = int(np.abs(from_place).max(axis=1).argmin())
        place = _special(place, offsets, is_close, identity)
    raise RecordError(
        "overlapping_atoms",
        f"symmetry images of site {site.label} lie closer than {rounded} angstrom, at "
        "no special position; correct its coordinates or the operations",
    )


def _special(
    place: NDArray[np.float64],
    offsets: NDArray[np.float64],
    is_close: NDArray[np.bool_],
    identity: int,
) -> NDArray[np.float64]:
    """Return the mean of the images near a place, which is the special position."""
    mean = place - offsets[identity][is_close[identity]].mean(axis=0)
    simple = np.rint(mean * 24.0) / 24.0
    return np.where(np.abs(mean - simple) < _SNAPPED, simple, mean)


def _first_images(
    place: NDArray[np.float64], operations: Operations, is_same: NDArray[np.bool_]
) -> NDArray[np.float64]:
    affine = np.zeros((4, 4))
    affine[3, 3] = 1.0
    point = np.append(place, 1.0)
    kept: list[int] = []
    rows = []
    for index in range(len(is_same)):
        if is_same[index, kept].any():
            continue
        kept.append(index)
        affine[:3, :3] = operations.rotations[index]
        affine[:3, 3] = operations.translations[index]
        image = np.dot(affine, point)[:3]  # pymatgen's sum, whose last bit is its own
        rows.append(image - np.floor(image))
    return np.array(rows)


def _merged(
    orbits: Sequence[_Orbit], lattice: NDArray[np.float64], rounded: float
) -> Iterable[_Orbit]:
    """Yield the orbits, each place once."""
    together = _coincident(orbits, lattice, rounded)
    for index, orbit in enumerate(orbits):
        others = together.get(index, [])
        if others and others[0] < index:
            if together[others[0]][0] < others[0]:  # near a place near another one
                raise _overlap(orbits[others[0]].site, orbit.site, rounded)
            continue
        group = [orbit, *(orbits[other] for other in others)]
        _check_shares([member.site for member in group])
        yield orbit


def _check_shares(sites: Sequence[Site]) -> None:
    """Refuse the sites of one place unless it is full, of one element."""
    shares: defaultdict[str, float] = defaultdict(float)
    for site in sites:
        shares[site.element] += site.share
    is_full = [abs(site.share - 1.0) <= SHARE_TOLERANCE for site in sites]
    total = sum(shares.values())
    if len(shares) == 1 and (all(is_full) or abs(total - 1.0) <= SHARE_TOLERANCE):
        return
    labels = " and ".join(site.label for site in sites)
    if all(is_full):
        raise RecordError(
            "overlapping_atoms",
            f"sites {labels} are one place under the operations, but not one element; "
            "remove one or correct the coordinates",
        )
    held = ", ".join(f"{element}{share:.5g}" for element, share in shares.items())
    raise RecordError(
        "disordered_site",
        f"site {labels} is occupied by {held}; order the structure (one full species a "
        "site) first",
    )


def _coincident(
    orbits: Sequence[_Orbit], lattice: NDArray[np.float64], rounded: float
) -> dict[int, list[int]]:
    """Find sites that are one place, by index, those of a group in rising order.

    Raises:
        RecordError: Some images of two sites are one place, others are not.
    """
    from scipy.spatial import cKDTree

    places = np.concatenate([orbit.places for orbit in orbits]) % 1.0
    places[places >= 1.0] = 0.0
    owner = np.repeat(np.arange(len(orbits)), [len(orbit.places) for orbit in orbits])
    heights = 1.0 / np.linalg.norm(np.linalg.inv(lattice), axis=0)
    tree = cKDTree(places, boxsize=1.0)
    pairs = tree.query_pairs(
        min(rounded / heights.min(), 0.49), p=np.inf, output_type="ndarray"
    )
    pairs = pairs[owner[pairs[:, 0]] != owner[pairs[:, 1]]]
    offsets = places[pairs[:, 0]] - places[pairs[:, 1]]
    offsets -= np.rint(offsets)
    is_near = np.linalg.norm(offsets @ lattice, axis=1) < rounded
    shared: defaultdict[tuple[int, int], set[int]] = defaultdict(set)
    for first, second in pairs[is_near].tolist():
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
