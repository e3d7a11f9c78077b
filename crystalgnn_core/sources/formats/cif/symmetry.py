"""Symmetry operations as a CIF lists them, and the sites that they make of a few."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from crystalgnn_core.compiled import compiled
from crystalgnn_core.sources.formats.cif.elements import NUMBER_OF_RANK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

# pymatgen's tolerances, in fractional coordinates
_IDEAL_TOLERANCE = 1e-4  # 0.3333 is read as 1/3
SITE_TOLERANCE = 1e-4  # images this close are one site
_DECIMAL_TOLERANCE = 4e-3
_NEAR_IMAGE = 0.02  # images this close may be one on a special position in few digits
_NEAR_SITE = 0.005  # and sites may be one that is listed twice
_UNSURE_BAND = 1e-9  # rounding decides within this distance of a tolerance or an integer
_MAX_IMAGES = 5_000  # comparing all with all takes a part of a second

# a doubled cell of a hexagonal one may have -2x+y
_TERM = r"(?:[23]?\*?[xyz]|\d*\.\d+|\d+(?:/[1-9]\d*)?)"
_COMPONENT = re.compile(rf"[+-]?{_TERM}(?:[+-]{_TERM})*")
_SIGNED_TERM = re.compile(rf"([+-]?)({_TERM})")


class Operations(NamedTuple):
    """Symmetry operations on fractional coordinates, the identity first.

    Attributes:
        rotations: Shape (n_operations, 3, 3).
        translations: Shape (n_operations, 3).
    """

    rotations: NDArray[np.float64]
    translations: NDArray[np.float64]


@lru_cache(maxsize=1000)
def read_operations(texts: tuple[str, ...]) -> Operations | None:
    """Read operations such as `-x, y+1/2, z`, with or without quotes.

    Returns:
        The operations, or None unless all are plain and the first is the identity.
    """
    read = [read_operation(text) for text in texts]
    rows = [row for row in read if row is not None]
    if not rows or len(rows) < len(read):
        return None
    operations = operations_of(rows)
    first = operations.rotations[0]
    if operations.translations[0].any() or not np.array_equal(first, np.eye(3)):
        return None
    return operations


def operations_of(rows: Sequence[NDArray[np.float64]]) -> Operations:
    """Stack operations, each a rotation with its translation as fourth column."""
    stacked = np.array(rows)
    return Operations(
        np.ascontiguousarray(stacked[:, :, :3]), np.ascontiguousarray(stacked[:, :, 3])
    )


def read_operation(text: str) -> NDArray[np.float64] | None:
    """Return the rotation and, as fourth column, the translation; None if not plain."""
    is_quoted = text[:1] in {"'", '"'}
    words = text[1:-1] if is_quoted else text
    components = words.replace(" ", "").lower().split(",")
    if len(components) != 3 or not all(map(_COMPONENT.fullmatch, components)):
        return None
    matrix = np.zeros((3, 4))
    for row, component in zip(matrix, components, strict=True):
        for sign, term in _SIGNED_TERM.findall(component):
            column = "xyz".find(term[-1]) if term[-1] in "xyz" else 3
            if row[column]:
                return None
            row[column] = (-1.0 if sign == "-" else 1.0) * _value_of(term)
    is_usual = np.abs(matrix[:, :3]).max() <= 1.0
    return matrix if is_usual or keeps_volume(matrix) else None


def keeps_volume(operation: NDArray[np.float64]) -> bool:
    """Return whether an operation, shape (3, 4), has the determinant 1 or -1."""
    return bool(abs(abs(np.linalg.det(operation[:, :3])) - 1.0) < 1e-6)


def _value_of(term: str) -> float:
    if term[-1] in "xyz":
        return float(term[:-1].rstrip("*") or 1)
    numerator, slash, denominator = term.partition("/")
    if slash:
        return float(numerator) / float(denominator)
    exact = round(24 * float(numerator)) / 24  # 0.3333 is a third
    is_rounded = abs(float(numerator) - exact) < _DECIMAL_TOLERANCE
    return exact if is_rounded else float(numerator)


def expand_sites(
    ranks: Sequence[bytes], fractions: NDArray[np.float64], operations: Sequence[Operations]
) -> list[tuple[NDArray[np.int16], NDArray[np.float64]] | None]:
    """Apply symmetry operations to sites as pymatgen does, and sort as it does.

    Thirds are made exact, images are wrapped into the cell, and images of a site on a
    special position are merged.

    Args:
        ranks: For each crystal the place of each site's element in the order of elements.
        fractions: For each crystal all x, then all y, then all z of its sites, end to end.
        operations: For each crystal its operations, the identity first.

    Returns:
        For each crystal the atomic numbers, shape (n_atoms,), and coordinates, shape
        (n_atoms, 3), by rank; None without sites, where pymatgen might merge two different
        sites, or where rounding would decide.
    """
    if not ranks:
        return []
    distinct = {id(entry): entry for entry in operations}
    place = {key: number for number, key in enumerate(distinct)}
    ends = np.cumsum([0, *[len(entry.rotations) for entry in distinct.values()]])
    chosen = np.array([place[id(entry)] for entry in operations])
    sizes = np.array([len(entry) for entry in ranks])
    n_images = sizes * np.diff(ends)[chosen]
    n_images[n_images > _MAX_IMAGES] = 0
    starts = np.cumsum([0, *n_images])
    numbers, coords, n_atoms = _expand_all(
        (np.frombuffer(b"".join(ranks), np.uint8), np.cumsum([0, *sizes]), fractions),
        np.concatenate([entry.rotations for entry in distinct.values()]),
        np.concatenate([entry.translations for entry in distinct.values()]),
        (ends[chosen], ends[chosen + 1]),
        starts,
    )
    rows = zip(starts.tolist(), (starts[:-1] + n_atoms).tolist(), strict=False)
    return [
        (numbers[first:last], coords[first:last]) if last > first else None
        for first, last in rows
    ]


@compiled
def _expand_all(
    sites: tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.float64]],
    rotations: NDArray[np.float64],
    translations: NDArray[np.float64],
    used: tuple[NDArray[np.int64], NDArray[np.int64]],
    starts: NDArray[np.int64],
) -> tuple[NDArray[np.int16], NDArray[np.float64], NDArray[np.int64]]:
    """Expand the sites of each crystal from its start on; none if one is not certain."""
    ranks, ends, fractions = sites
    numbers = np.empty(starts[-1], np.int16)
    places = np.empty((starts[-1], 3))
    n_atoms = np.zeros(len(starts) - 1, np.int64)
    for index in range(len(n_atoms)):
        if starts[index] == starts[index + 1]:
            continue
        own = slice(starts[index], starts[index + 1])
        operations = slice(used[0][index], used[1][index])
        n_atoms[index] = _expand(
            ranks[ends[index] : ends[index + 1]],
            fractions[3 * ends[index] : 3 * ends[index + 1]],
            (rotations[operations], translations[operations]),
            numbers[own],
            places[own],
        )
    return numbers, places, n_atoms


@compiled
def _expand(
    ranks: NDArray[np.uint8],
    fractions: NDArray[np.float64],
    operations: tuple[NDArray[np.float64], NDArray[np.float64]],
    numbers: NDArray[np.int16],
    places: NDArray[np.float64],
) -> int:
    """Write the expanded sites and return their number, zero if one is not certain."""
    rotations, translations = operations
    site = np.empty(3)
    n_atoms = 0
    for index in np.argsort(ranks, kind="mergesort"):
        for axis in range(3):
            site[axis] = ideal(fractions[axis * len(ranks) + index])
        first = n_atoms
        for operation in range(len(rotations)):
            image = places[n_atoms]
            if not _is_mapped(site, rotations[operation], translations[operation], image):
                return 0
            is_new = _is_new(places, first, n_atoms)
            if is_new < 0:
                return 0
            numbers[n_atoms] = NUMBER_OF_RANK[ranks[index]]
            n_atoms += is_new
    return n_atoms


@compiled
def _is_new(places: NDArray[np.float64], first: int, last: int) -> int:
    """Compare the image at `last` with those before it, of the same site from `first`.

    Returns:
        1 for a new place, 0 for one of the same site, -1 where that is not certain.
    """
    for other in range(last):
        distance = _distance(places[last], places[other])
        if other >= first and distance < SITE_TOLERANCE - _UNSURE_BAND:
            return 0
        if distance < (_NEAR_SITE if other < first else _NEAR_IMAGE):
            return -1
    return 1


@compiled
def ideal(value: float) -> float:
    """Return a third for its decimals, such as 0.3333, and any other number as it is."""
    for third in (1 / 3, 2 / 3):
        if abs(value / third - 1.0) <= _IDEAL_TOLERANCE:
            return third
    return value


@compiled
def _is_mapped(
    site: NDArray[np.float64],
    rotation: NDArray[np.float64],
    translation: NDArray[np.float64],
    image: NDArray[np.float64],
) -> bool:
    """Write the wrapped image of a site; False if it depends on the order of summation.

    pymatgen leaves the order to the linear algebra library, so the last bit of three terms
    is its own.
    """
    for axis in range(3):
        value = translation[axis]
        n_terms = 1 if value != 0.0 else 0
        for column in range(3):
            term = rotation[axis, column] * site[column]
            value += term
            n_terms += 1 if term != 0.0 else 0
        if n_terms > 2:
            return False
        image[axis] = value - np.floor(value)
    return True


@compiled
def _distance(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Return the largest difference along an axis, nearest images taken."""
    largest = 0.0
    for axis in range(3):
        offset = first[axis] - second[axis]
        largest = max(largest, abs(offset - np.rint(offset)))
    return largest
