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
_MAX_PAIRS = 4_000_000
_MAX_EQUAL = 200  # a tree cannot divide them
_MIN_HEIGHT = 0.5  # angstrom
_GRID = 1_000_000  # images equal on it are one without a look at distances
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
    *,
    has_formula: bool = False,
) -> Crystal:
    """Apply the operations to all sites.

    Args:
        sites: In pymatgen's order.
        operations: With the identity.
        lattice: Row vectors in angstrom, shape (3, 3).
        rounded: Images of one site within this distance, angstrom, are one atom; it
            stands at their mean, which is the special position.
        has_formula: Whether the atoms will be compared with a formula; without one no
            atom that is listed twice at one place is left out.

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
    orbits = _orbits(sites, operations, lattice, rounded)
    if sum(len(orbit.places) for orbit in orbits) > _MAX_ATOMS:
        raise unreadable(f"the cell holds more than {_MAX_ATOMS} atoms; give a smaller one")
    kept = list(_merged(orbits, lattice, rounded, has_formula=has_formula))
    numbers = [atomic_number_of(orbit.site.element) for orbit in kept]
    return Crystal(
        np.repeat(np.array(numbers, np.int16), [len(orbit.places) for orbit in kept]),
        lattice,
        np.concatenate([orbit.places for orbit in kept]),
    )


def _orbits(
    sites: Sequence[Site],
    operations: Operations,
    lattice: NDArray[np.float64],
    rounded: float,
) -> list[_Orbit]:
    """Return the different images of each site."""
    places = np.array([site.place for site in sites])
    images = places @ np.swapaxes(operations.rotations, 1, 2)
    images = np.swapaxes(images, 0, 1) + operations.translations
    firsts = _distinct(images)
    owner = firsts // len(operations.rotations)
    pairs = close_pairs(images.reshape(-1, 3)[firsts], lattice, rounded)
    is_one_site = owner[pairs[:, 0]] == owner[pairs[:, 1]]
    special = set(owner[pairs[is_one_site, 0]].tolist())
    ends = np.searchsorted(owner, np.arange(len(sites) + 1))
    return [
        _special_orbit(site, operations, lattice, rounded)
        if index in special
        else _Orbit(
            site,
            _places(
                places[index],
                operations,
                firsts[ends[index] : ends[index + 1]] % len(operations.rotations),
            ),
        )
        for index, site in enumerate(sites)
    ]


def _distinct(images: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the first of all images of a site that are equal, as flat indices in order."""
    n_sites, n_operations, _ = images.shape
    grid = np.rint(images * _GRID).astype(np.int64) % _GRID
    codes = grid @ np.array([1, _GRID, _GRID**2])
    owners = np.repeat(np.arange(n_sites), n_operations)
    order = np.lexsort((np.arange(codes.size), codes.ravel(), owners))
    changes = np.diff(codes.ravel()[order]).astype(bool) | np.diff(owners[order]).astype(
        bool
    )
    return np.sort(order[np.concatenate([[True], changes])])


def _special_orbit(
    site: Site, operations: Operations, lattice: NDArray[np.float64], rounded: float
) -> _Orbit:
    """Return the images of a site some of which are close to each other."""
    place = np.array(site.place)
    for _ in range(3):
        images = operations.rotations @ place + operations.translations
        offsets = images[:, None] - images
        offsets -= np.rint(offsets)
        is_same = np.abs(offsets).max(axis=2) < SITE_TOLERANCE
        is_close = np.linalg.norm(offsets @ lattice, axis=2) < rounded
        if not (is_close & ~is_same).any():
            is_first = ~np.tril(is_same, -1).any(axis=1)
            return _Orbit(site, _places(place, operations, np.flatnonzero(is_first)))
        from_place = images - place
        from_place -= np.rint(from_place)
        identity = int(np.abs(from_place).max(axis=1).argmin())
        place = _special(place, offsets, is_close, identity)
    raise RecordError(
        "overlapping_atoms",
        f"symmetry images of site {site.label} lie closer than {rounded} angstrom, at "
        "no special position; correct its coordinates or the operations",
    )


def _places(
    place: NDArray[np.float64], operations: Operations, chosen: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the wrapped images of a place, with the bits of pymatgen's sum."""
    rotations, translations = operations.rotations[chosen], operations.translations[chosen]
    images = rotations @ place + translations
    n_terms = (rotations != 0.0).sum(axis=2) + (translations != 0.0)
    point = np.append(place, 1.0)
    affine = np.zeros((4, 4))
    affine[3, 3] = 1.0
    for index in np.flatnonzero((n_terms > 2).any(axis=1)):  # their order counts
        affine[:3, :3], affine[:3, 3] = rotations[index], translations[index]
        images[index] = np.dot(affine, point)[:3]
    return images - np.floor(images)


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


def _merged(
    orbits: Sequence[_Orbit],
    lattice: NDArray[np.float64],
    rounded: float,
    *,
    has_formula: bool,
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
        _check_shares([member.site for member in group], lattice, has_formula=has_formula)
        yield orbit


def _check_shares(
    sites: Sequence[Site], lattice: NDArray[np.float64], *, has_formula: bool
) -> None:
    """Refuse the sites of one place unless it is full, of one element."""
    shares: defaultdict[str, float] = defaultdict(float)
    for site in sites:
        shares[site.element] += site.share
    is_full = [abs(site.share - 1.0) <= SHARE_TOLERANCE for site in sites]
    total = sum(shares.values())
    is_known = has_formula or not _is_listed_twice(sites, lattice)
    if len(shares) == 1 and (
        abs(total - 1.0) <= SHARE_TOLERANCE or (all(is_full) and is_known)
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
    orbits: Sequence[_Orbit], lattice: NDArray[np.float64], rounded: float
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


def close_pairs(
    places: NDArray[np.float64], lattice: NDArray[np.float64], distance: float
) -> NDArray[np.int64]:
    """Find places closer than a distance, in angstrom, that is small against the cell.

    Returns:
        Their indices, shape (n_pairs, 2).

    Raises:
        RecordError: The cell is too thin, or there are too many.
    """
    from scipy.spatial import cKDTree

    height = float((1.0 / np.linalg.norm(np.linalg.inv(lattice), axis=0)).min())
    if height < _MIN_HEIGHT:
        raise RecordError(
            "degenerate_cell",
            f"the cell is {height:.3g} angstrom thick, expected at least {_MIN_HEIGHT}; "
            "check its lengths and angles",
        )
    wrapped = places % 1.0
    wrapped[wrapped >= 1.0] = 0.0
    tree = cKDTree(wrapped, boxsize=1.0)
    radius = min(distance / height, 0.49)
    _, n_equal = np.unique(np.rint(wrapped * _GRID), axis=0, return_counts=True)
    if (
        n_equal.max() > _MAX_EQUAL
        or tree.count_neighbors(tree, radius, p=np.inf) > len(places) + _MAX_PAIRS
    ):
        raise RecordError(
            "overlapping_atoms",
            "very many sites lie on each other; check their coordinates",
        )
    pairs = tree.query_pairs(radius, p=np.inf, output_type="ndarray")
    offsets = wrapped[pairs[:, 0]] - wrapped[pairs[:, 1]]
    offsets -= np.rint(offsets)
    return pairs[np.linalg.norm(offsets @ lattice, axis=1) < distance]


def _overlap(first: Site, second: Site, rounded: float) -> RecordError:
    return RecordError(
        "overlapping_atoms",
        f"some images of sites {first.label} and {second.label} are closer than {rounded} "
        "angstrom; remove one of the sites or correct the coordinates",
    )
