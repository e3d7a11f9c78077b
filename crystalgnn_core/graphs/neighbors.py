"""Periodic neighbour search over whole batches of crystals in one compiled pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from crystalgnn_core.graphs.config import GraphConfig
    from crystalgnn_core.graphs.crystals import CrystalBatch

OK, ISOLATED, TOO_FEW, TOO_SKEWED = 0, 1, 2, 3
STRATEGIES = {"knn": 0, "knn_shell": 1, "radius": 2}
MAX_CELL_OFFSET = 127
GROWTH = 1.5
ROUND_OFF = 1e-9  # angstrom; keeps exact ties at the k-th distance in play for `knn`


class NeighborList(NamedTuple):
    """Directed edges of a batch of crystals, grouped by centre atom.

    Within a centre, edges are ordered by distance, then neighbour index, then image.

    Attributes:
        degree: Edges of every atom, shape (n_atoms,), int32.
        neighbor: Index of the neighbour within its own crystal, shape (n_edges,), int32.
        cell_offset: Image of the neighbour relative to the wrapped cell, shape
            (n_edges, 3), int8.
        cutoff: Search radius that was needed, angstrom, shape (n_crystals,), float64.
        status: 0 fine, 1 isolated atom, 2 too few neighbours, 3 image out of range,
            shape (n_crystals,), int8. A crystal that is not fine has no edges.
        atom: Atom to which a status other than 0 refers, shape (n_crystals,), int32.
    """

    degree: NDArray[np.int32]
    neighbor: NDArray[np.int32]
    cell_offset: NDArray[np.int8]
    cutoff: NDArray[np.float64]
    status: NDArray[np.int8]
    atom: NDArray[np.int32]


def find_neighbors(crystals: CrystalBatch, config: GraphConfig) -> NeighborList:
    """Find the neighbours of every atom of a batch.

    `knn` keeps exactly k neighbours, `knn_shell` every neighbour no farther than the
    k-th plus the shell tolerance, `radius` every neighbour within the cutoff.

    Args:
        crystals: Structures with fractional coordinates in [0, 1).
        config: Strategy, cutoff and what to do with atoms that have too few neighbours.

    Returns:
        The edges; crystals that cannot be served carry a status other than 0.
    """
    maximum = config.max_cutoff if config.too_few == "enlarge" else config.cutoff
    return NeighborList(
        *_search_batch(
            crystals.lattices,
            crystals.frac_coords,
            crystals.offsets,
            STRATEGIES[config.strategy],
            config.n_neighbors,
            config.cutoff,
            maximum,
            config.shell_tolerance,
            config.too_few == "keep",
        )
    )


@njit(nogil=True, cache=True)
def _plane_distances(lattice):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202  numba infers
    """Distances between lattice planes along the three reciprocal directions."""
    distances = np.empty(3)
    volume = 0.0
    for axis in range(3):
        u = lattice[(axis + 1) % 3]
        v = lattice[(axis + 2) % 3]
        x = u[1] * v[2] - u[2] * v[1]
        y = u[2] * v[0] - u[0] * v[2]
        z = u[0] * v[1] - u[1] * v[0]
        volume = abs(lattice[axis, 0] * x + lattice[axis, 1] * y + lattice[axis, 2] * z)
        distances[axis] = volume / np.sqrt(x * x + y * y + z * z)
    return distances


@njit(nogil=True, cache=True)
def _collect(lattice, planes, fracs, center, reach2, k, tolerance, is_knn, data, image):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, PLR0917  numba infers
    """Collect neighbours of one atom into data (distance^2, index) and image.

    With `is_knn`, what lies beyond the running k-th distance plus the tolerance is skipped.

    Returns:
        The buffers (regrown when too small) and the number of neighbours in them.
    """
    n = 0
    nearest = np.full(k, np.inf)
    limit2 = reach2
    fx, fy, fz = fracs[center, 0], fracs[center, 1], fracs[center, 2]
    reach = np.sqrt(reach2)
    ra, rb, rc = reach / planes[0], reach / planes[1], reach / planes[2]
    for other in range(fracs.shape[0]):
        da, db, dc = fracs[other, 0] - fx, fracs[other, 1] - fy, fracs[other, 2] - fz
        for a in range(int(np.ceil(-da - ra)), int(np.floor(ra - da)) + 1):
            ta = da + a
            for b in range(int(np.ceil(-db - rb)), int(np.floor(rb - db)) + 1):
                tb = db + b
                x0 = ta * lattice[0, 0] + tb * lattice[1, 0]
                y0 = ta * lattice[0, 1] + tb * lattice[1, 1]
                z0 = ta * lattice[0, 2] + tb * lattice[1, 2]
                for c in range(int(np.ceil(-dc - rc)), int(np.floor(rc - dc)) + 1):
                    if other == center and a == 0 and b == 0 and c == 0:
                        continue
                    tc = dc + c
                    x = x0 + tc * lattice[2, 0]
                    y = y0 + tc * lattice[2, 1]
                    z = z0 + tc * lattice[2, 2]
                    d2 = x * x + y * y + z * z
                    if d2 > limit2:
                        continue
                    if n == data.shape[0]:
                        data = np.concatenate((data, np.empty_like(data)))
                        image = np.concatenate((image, np.empty_like(image)))
                    data[n, 0] = d2
                    data[n, 1] = other
                    image[n, 0], image[n, 1], image[n, 2] = a, b, c
                    n += 1
                    if is_knn and d2 < nearest[k - 1]:
                        slot = k - 1
                        while slot > 0 and nearest[slot - 1] > d2:
                            nearest[slot] = nearest[slot - 1]
                            slot -= 1
                        nearest[slot] = d2
                        edge = np.sqrt(nearest[k - 1]) + tolerance
                        limit2 = min(reach2, edge * edge)
    return data, image, n, nearest[k - 1]


@njit(nogil=True, cache=True)
def _is_before(data, image, p, q):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202  numba infers
    if data[p, 0] != data[q, 0]:
        return data[p, 0] < data[q, 0]
    if data[p, 1] != data[q, 1]:
        return data[p, 1] < data[q, 1]
    for axis in range(3):
        if image[p, axis] != image[q, axis]:
            return image[p, axis] < image[q, axis]
    return False


@njit(nogil=True, cache=True)
def _ordered(data, image, n, limit2):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202  numba infers
    """Return the positions with distance^2 <= limit2 in order, ties by index and image."""
    keep = np.empty(n, dtype=np.int64)
    m = 0
    for position in range(n):
        if data[position, 0] <= limit2:
            keep[m] = position
            m += 1
    keep = keep[:m]
    keep = keep[np.argsort(data[keep, 0], kind="mergesort")]
    for i in range(1, m):  # exact ties only: the list is sorted by distance already
        j = i
        while j > 0 and _is_before(data, image, keep[j], keep[j - 1]):
            keep[j], keep[j - 1] = keep[j - 1], keep[j]
            j -= 1
    return keep


@njit(nogil=True, cache=True)
def _search_crystal(
    lattice, fracs, strategy, k, cutoff, tolerance, keep_few, out, images, at
):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, C901, PLR0917  numba infers
    """Append the edges of one crystal to out and images from position `at`.

    Returns:
        out, images (regrown when too small), degree per atom, end position, status, atom.
    """
    n_atoms = fracs.shape[0]
    degree = np.zeros(n_atoms, dtype=np.int32)
    planes = _plane_distances(lattice)
    data = np.empty((256, 2))
    image = np.empty((256, 3), dtype=np.int64)
    is_knn = strategy != 2
    slack = tolerance if strategy == 1 else ROUND_OFF
    needed = k if is_knn else 1
    reach2 = (cutoff + slack) ** 2
    for center in range(n_atoms):
        data, image, n, kth2 = _collect(
            lattice, planes, fracs, center, reach2, k, slack, is_knn, data, image
        )
        limit2 = reach2
        if is_knn and kth2 <= cutoff * cutoff:
            limit2 = (np.sqrt(kth2) + slack) ** 2
        elif not is_knn or kth2 == np.inf:
            limit2 = cutoff * cutoff
        order = _ordered(data, image, n, limit2)
        n_kept = min(len(order), k) if strategy == 0 else len(order)
        if n_kept < needed and not keep_few:
            return out, images, degree, at, ISOLATED if n_kept == 0 else TOO_FEW, center
        while at + n_kept > out.shape[0]:
            out = np.concatenate((out, np.empty_like(out)))
            images = np.concatenate((images, np.empty_like(images)))
        for slot in range(n_kept):
            position = order[slot]
            out[at] = np.int32(data[position, 1])
            for axis in range(3):
                if abs(image[position, axis]) > MAX_CELL_OFFSET:
                    return out, images, degree, at, TOO_SKEWED, center
                images[at, axis] = image[position, axis]
            at += 1
        degree[center] = n_kept
    return out, images, degree, at, OK, 0


@njit(nogil=True, cache=True)
def _search_batch(
    lattices, fracs, offsets, strategy, k, cutoff, maximum, tolerance, keep_few
):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, PLR0917  numba infers
    n_crystals = lattices.shape[0]
    degree = np.zeros(fracs.shape[0], dtype=np.int32)
    out = np.empty(max(fracs.shape[0] * 16, 16), dtype=np.int32)
    images = np.empty((out.shape[0], 3), dtype=np.int8)
    used = np.full(n_crystals, cutoff)
    status = np.zeros(n_crystals, dtype=np.int8)
    atom = np.zeros(n_crystals, dtype=np.int32)
    end = 0
    for index in range(n_crystals):
        first, last = offsets[index], offsets[index + 1]
        reach = cutoff
        while True:
            out, images, degrees, stop, code, where = _search_crystal(
                lattices[index],
                fracs[first:last],
                strategy,
                k,
                reach,
                tolerance,
                keep_few,
                out,
                images,
                end,
            )
            if code in (ISOLATED, TOO_FEW) and reach < maximum:
                reach = min(reach * GROWTH, maximum)
                continue
            break
        used[index], status[index], atom[index] = reach, code, where
        if code == OK:
            degree[first:last] = degrees
            end = stop
    return degree, out[:end], images[:end], used, status, atom
