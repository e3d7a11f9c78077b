"""All atoms of a cell from the sites of a CIF and symmetry operations.

Atoms come in the order of pymatgen, and where the operations bring a site to one place
several times within its tolerance, with the same coordinates to the bit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from crystalgnn_core.errors import RecordError
from crystalgnn_core.records.crystal import Crystal
from crystalgnn_core.sources.formats.cif.closeness import GRID, close_pairs
from crystalgnn_core.sources.formats.cif.merging import ROUNDED, Orbit, merged_orbits
from crystalgnn_core.sources.formats.cif.symmetry import SITE_TOLERANCE
from crystalgnn_core.sources.formats.parsing import atomic_number_of, unreadable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from crystalgnn_core.sources.formats.cif.sites import Site
    from crystalgnn_core.sources.formats.cif.symmetry import Operations

MAX_IMAGES = 200_000
_MAX_ATOMS = 65_536  # in one graph
_SNAPPED = 1e-9  # of a multiple of 1/24, where special positions are


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
    kept = list(merged_orbits(orbits, lattice, rounded, has_formula=has_formula))
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
) -> list[Orbit]:
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
        else Orbit(
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
    grid = np.rint(images * GRID).astype(np.int64) % GRID
    codes = grid @ np.array([1, GRID, GRID**2])
    owners = np.repeat(np.arange(n_sites), n_operations)
    order = np.lexsort((np.arange(codes.size), codes.ravel(), owners))
    changes = np.diff(codes.ravel()[order]).astype(bool) | np.diff(owners[order]).astype(
        bool
    )
    return np.sort(order[np.concatenate([[True], changes])])


def _special_orbit(
    site: Site, operations: Operations, lattice: NDArray[np.float64], rounded: float
) -> Orbit:
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
            return Orbit(site, _places(place, operations, np.flatnonzero(is_first)))
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
