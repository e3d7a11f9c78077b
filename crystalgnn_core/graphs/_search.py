"""Compiled kernels of the neighbour search."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from crystalgnn_core.compiled import compiled
from crystalgnn_core.graphs._bins import Bins, collect_in_bins, sort_into_bins
from crystalgnn_core.graphs._images import collect_images
from crystalgnn_core.graphs._sphere import (
    KNN,
    KNN_SHELL,
    RADIUS,
    ROUND_OFF,
    NeighborBuffer,
    SearchRule,
    make_buffers,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

OK, ISOLATED, TOO_FEW, TOO_SKEWED, TOO_LARGE = 0, 1, 2, 3, 4
MAX_CELL_OFFSET = 127
MAX_ATOMS, MAX_DEGREE = 65536, 65535  # indices and degrees are stored as uint16
MAX_PLANES = 10_000  # in reach; in flatter cells the near images are past 127 anyway
SURPLUS = 1.5  # the sphere that is searched first holds so many times k neighbours
GROWTH = 1.5  # of a sphere, or of a cutoff, that holds too few
MANY = 32  # from so many values on, sorting by merging is faster than by insertion


class _Edges(NamedTuple):
    """Growing lists of neighbours (n,) and cell offsets (n, 3) of the whole batch."""

    neighbor: NDArray[np.int32]
    offset: NDArray[np.int8]


class _Cell(NamedTuple):
    """A crystal that is searched, its atoms in bins if it is large.

    Attributes:
        frame: Triangular cell in angstrom, shape (3, 3).
        fracs: Fractional coordinates, shape (n_atoms, 3).
        bins: The same atoms in bins; none if the cell is small.
        is_large: Whether it has bins.
        first: Radius in angstrom to search first.
    """

    frame: NDArray[np.float64]
    fracs: NDArray[np.float64]
    bins: Bins
    is_large: bool
    first: float


@compiled
def _first_radius(frame: NDArray[np.float64], n_atoms: int, rule: SearchRule) -> float:
    """Return a radius in which evenly spread atoms have some more neighbours than k."""
    if rule.strategy == RADIUS:
        return np.inf
    volume = frame[0, 0] * frame[1, 1] * frame[2, 2] / max(n_atoms, 1)
    return ((SURPLUS * rule.k + 2.0) * volume / (4.0 / 3.0 * np.pi)) ** (1.0 / 3.0)


@compiled
def _is_before(found: NeighborBuffer, p: int, q: int) -> bool:
    """Order neighbours by distance, then index, then image."""
    if found.distance2[p] != found.distance2[q]:
        return found.distance2[p] < found.distance2[q]
    if found.other[p] != found.other[q]:
        return found.other[p] < found.other[q]
    for axis in range(3):
        if found.image[p, axis] != found.image[q, axis]:
            return found.image[p, axis] < found.image[q, axis]
    return False


@compiled
def _sorted(found: NeighborBuffer, n: int) -> NDArray[np.int64]:
    """Return the positions of the first n neighbours in order."""
    order = np.arange(n)
    if n > MANY:
        order = np.argsort(found.distance2[:n], kind="mergesort")
    for i in range(1, n):
        own = order[i]
        j = i
        while j > 0 and _is_before(found, own, order[j - 1]):
            order[j] = order[j - 1]
            j -= 1
        order[j] = own
    return order


@compiled
def _search_atom(
    cell: _Cell, center: int, cutoff: float, rule: SearchRule, found: NeighborBuffer
) -> tuple[NeighborBuffer, NDArray[np.int64], bool]:
    """Find the neighbours that an atom keeps.

    For k nearest neighbours the sphere starts small and grows until it holds them.

    Returns:
        The buffers, the positions of the neighbours in order, whether they are enough.
    """
    near = min(cell.first, cutoff)
    while True:
        radius = near + rule.slack + ROUND_OFF
        if cell.is_large:
            found, n = collect_in_bins(cell.bins, center, radius, found)
        else:
            found, n = collect_images(cell.frame, cell.fracs, center, radius, found)
        if near >= cutoff or n >= rule.k:
            order = _sorted(found, n)
            kth2 = found.distance2[order[rule.k - 1]] if n >= rule.k else np.inf
            if near >= cutoff or kth2 <= near * near:
                break
        near = min(near * GROWTH, cutoff)
    limit2 = (cutoff + ROUND_OFF) ** 2
    has_enough = kth2 <= limit2
    if has_enough and rule.strategy == KNN:
        return found, order[: rule.k], True
    if has_enough and rule.strategy == KNN_SHELL:
        limit2 = (np.sqrt(kth2) + rule.slack) ** 2
    while n > 0 and found.distance2[order[n - 1]] > limit2:
        n -= 1
    return found, order[:n], has_enough


@compiled
def _append(
    edges: _Edges, at: int, found: NeighborBuffer, order: NDArray[np.int64]
) -> tuple[_Edges, bool]:
    """Write neighbours from position `at` on; say whether all images are in range."""
    neighbor, offset = edges
    while at + len(order) > neighbor.shape[0]:
        neighbor = np.concatenate((neighbor, np.empty_like(neighbor)))
        offset = np.concatenate((offset, np.empty_like(offset)))
    for slot in range(len(order)):
        position = order[slot]
        neighbor[at + slot] = np.int32(found.other[position])
        for axis in range(3):
            if abs(found.image[position, axis]) > MAX_CELL_OFFSET:
                return _Edges(neighbor, offset), False
            offset[at + slot, axis] = found.image[position, axis]
    return _Edges(neighbor, offset), True


@compiled
def _search_crystal(
    crystal: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int32]],
    rule: SearchRule,
    cutoff: float,
    edges: _Edges,
    at: int,
) -> tuple[_Edges, int, int, int]:
    """Append the edges of one crystal (frame, coordinates, degrees to fill) from `at` on.

    Returns:
        The edges (regrown when too small), their end, the status, the atom it refers to.
    """
    frame, fracs, degree = crystal
    if not cutoff <= MAX_PLANES * min(frame[0, 0], frame[1, 1], frame[2, 2]):
        return edges, at, TOO_SKEWED, 0
    if fracs.shape[0] > MAX_ATOMS:
        return edges, at, TOO_LARGE, 0
    is_large = fracs.shape[0] >= rule.bins_from
    bins = sort_into_bins(frame, fracs if is_large else fracs[:0])
    cell = _Cell(frame, fracs, bins, is_large, _first_radius(frame, len(fracs), rule))
    found = make_buffers(256)
    for center in range(fracs.shape[0]):
        found, order, has_enough = _search_atom(cell, center, cutoff, rule, found)
        if not has_enough and not rule.keeps_few:
            return edges, at, ISOLATED if len(order) == 0 else TOO_FEW, center
        if len(order) > MAX_DEGREE:
            return edges, at, TOO_LARGE, center
        edges, is_in_range = _append(edges, at, found, order)
        if not is_in_range:
            return edges, at, TOO_SKEWED, center
        at += len(order)
        degree[center] = len(order)
    return edges, at, OK, 0


@compiled
def search_batch(
    frames: NDArray[np.float64],
    fracs: NDArray[np.float64],
    offsets: NDArray[np.int64],
    rule: SearchRule,
    bounds: tuple[float, float],
) -> tuple[
    NDArray[np.int32],
    NDArray[np.int32],
    NDArray[np.int8],
    NDArray[np.float64],
    NDArray[np.int8],
    NDArray[np.int32],
]:
    """Search crystal by crystal; enlarge the cutoff where atoms have too few neighbours."""
    cutoff, maximum = bounds
    n_crystals = frames.shape[0]
    degree = np.zeros(fracs.shape[0], dtype=np.int32)
    n_guessed = max(fracs.shape[0] * 16, 16)
    edges = _Edges(
        np.empty(n_guessed, dtype=np.int32), np.empty((n_guessed, 3), dtype=np.int8)
    )
    used = np.full(n_crystals, cutoff)
    status = np.zeros(n_crystals, dtype=np.int8)
    atom = np.zeros(n_crystals, dtype=np.int32)
    end = 0
    for index in range(n_crystals):
        first, last = offsets[index], offsets[index + 1]
        crystal = (frames[index], fracs[first:last], degree[first:last])
        reach = cutoff
        edges, stop, code, where = _search_crystal(crystal, rule, reach, edges, end)
        while code in (ISOLATED, TOO_FEW) and reach < maximum:
            reach = min(reach * GROWTH, maximum)
            edges, stop, code, where = _search_crystal(crystal, rule, reach, edges, end)
        used[index], status[index], atom[index] = reach, code, where
        if code == OK:
            end = stop
        else:
            degree[first:last] = 0
    return degree, edges.neighbor[:end], edges.offset[:end], used, status, atom
