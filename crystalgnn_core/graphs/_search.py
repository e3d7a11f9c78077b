"""Compiled kernels of the neighbour search."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from crystalgnn_core.compiled import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

OK, ISOLATED, TOO_FEW, TOO_SKEWED, TOO_LARGE = 0, 1, 2, 3, 4
KNN, KNN_SHELL, RADIUS = 0, 1, 2
MAX_CELL_OFFSET = 127
MAX_ATOMS, MAX_DEGREE = 65536, 65535  # indices and degrees are stored as uint16
MAX_PLANES = 10_000  # in reach; in flatter cells the near images are past 127 anyway
GROWTH = 1.5
ROUND_OFF = 1e-9  # angstrom; distances that differ by less are equal


class Rule(NamedTuple):
    """Which neighbours an atom keeps; `slack` is the width of a shell in angstrom."""

    strategy: int
    k: int
    slack: float
    keeps_few: bool


class _Found(NamedTuple):
    """Neighbours of one atom: (distance^2, index) (n, 2) and image (n, 3)."""

    data: NDArray[np.float64]
    image: NDArray[np.int64]


class _Edges(NamedTuple):
    """Growing lists of neighbours (n,) and cell offsets (n, 3) of the whole batch."""

    neighbor: NDArray[np.int32]
    offset: NDArray[np.int8]


@compiled
def _collect(  # noqa: C901  one loop nest; calls in it would cost speed
    frame: NDArray[np.float64],
    fracs: NDArray[np.float64],
    center: int,
    limits: tuple[float, Rule],
    found: _Found,
) -> tuple[_Found, int, float]:
    """Collect the neighbours of one atom, in no particular order.

    Planes of images, then rows, then images are visited only where they meet the sphere
    (Fincke & Pohst, Math. Comput. 44, 463 (1985)). For k nearest neighbours the sphere
    shrinks to the running k-th distance plus the slack.

    Returns:
        The buffers (regrown when too small), the number of neighbours in them, and the
        squared distance of the k-th, infinite where there are fewer.
    """
    reach, rule = limits
    data, image = found
    limit2 = (reach + rule.slack) ** 2
    shrinks = rule.strategy != RADIUS
    last = rule.k - 1
    nearest = np.full(rule.k, np.inf)
    xx, yx, yy = frame[0, 0], frame[1, 0], frame[1, 1]
    zx, zy, zz = frame[2, 0], frame[2, 1], frame[2, 2]
    n = 0
    for other in range(fracs.shape[0]):
        da = fracs[other, 0] - fracs[center, 0]
        db = fracs[other, 1] - fracs[center, 1]
        dc = fracs[other, 2] - fracs[center, 2]
        span = np.sqrt(limit2) / zz
        for c in range(int(np.ceil(-dc - span)), int(np.floor(span - dc)) + 1):
            z = (dc + c) * zz
            left = limit2 - z * z
            if left < 0.0:
                continue
            shift = db + (dc + c) * zy / yy
            span_b = np.sqrt(left) / yy
            for b in range(
                int(np.ceil(-shift - span_b)), int(np.floor(span_b - shift)) + 1
            ):
                y = (db + b) * yy + (dc + c) * zy
                yz2 = y * y + z * z
                left = limit2 - yz2
                if left < 0.0:
                    continue
                along = (db + b) * yx + (dc + c) * zx
                start = da + along / xx
                span_a = np.sqrt(left) / xx
                for a in range(
                    int(np.ceil(-start - span_a)), int(np.floor(span_a - start)) + 1
                ):
                    if other == center and a == 0 and b == 0 and c == 0:
                        continue
                    x = (da + a) * xx + along
                    d2 = x * x + yz2
                    if d2 > limit2:
                        continue
                    if n == data.shape[0]:
                        data = np.concatenate((data, np.empty_like(data)))
                        image = np.concatenate((image, np.empty_like(image)))
                    data[n, 0] = d2
                    data[n, 1] = other
                    image[n, 0], image[n, 1], image[n, 2] = a, b, c
                    n += 1
                    if d2 < nearest[last]:
                        slot = last
                        while slot > 0 and nearest[slot - 1] > d2:
                            nearest[slot] = nearest[slot - 1]
                            slot -= 1
                        nearest[slot] = d2
                        if shrinks:
                            edge = np.sqrt(nearest[last]) + rule.slack
                            limit2 = min(limit2, edge * edge)
    return _Found(data, image), n, nearest[last]


@compiled
def _is_before(found: _Found, p: int, q: int) -> bool:
    data, image = found
    if data[p, 0] != data[q, 0]:
        return data[p, 0] < data[q, 0]
    if data[p, 1] != data[q, 1]:
        return data[p, 1] < data[q, 1]
    for axis in range(3):
        if image[p, axis] != image[q, axis]:
            return image[p, axis] < image[q, axis]
    return False


@compiled
def _ordered(found: _Found, n: int, limit2: float) -> NDArray[np.int64]:
    """Return the positions with distance^2 <= limit2 in order, ties by index and image."""
    keep = np.empty(n, dtype=np.int64)
    m = 0
    for position in range(n):
        if found.data[position, 0] <= limit2:
            keep[m] = position
            m += 1
    keep = keep[:m]
    keep = keep[np.argsort(found.data[keep, 0], kind="mergesort")]
    for i in range(1, m):  # exact ties only: the list is sorted by distance already
        j = i
        while j > 0 and _is_before(found, keep[j], keep[j - 1]):
            keep[j], keep[j - 1] = keep[j - 1], keep[j]
            j -= 1
    return keep


@compiled
def _append(
    edges: _Edges, at: int, found: _Found, order: NDArray[np.int64]
) -> tuple[_Edges, bool]:
    """Write neighbours from position `at` on; say whether all images are in range."""
    neighbor, offset = edges
    while at + len(order) > neighbor.shape[0]:
        neighbor = np.concatenate((neighbor, np.empty_like(neighbor)))
        offset = np.concatenate((offset, np.empty_like(offset)))
    for slot in range(len(order)):
        position = order[slot]
        neighbor[at + slot] = np.int32(found.data[position, 1])
        for axis in range(3):
            if abs(found.image[position, axis]) > MAX_CELL_OFFSET:
                return _Edges(neighbor, offset), False
            offset[at + slot, axis] = found.image[position, axis]
    return _Edges(neighbor, offset), True


@compiled
def _search_crystal(
    crystal: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int32]],
    rule: Rule,
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
    found = _Found(np.empty((256, 2)), np.empty((256, 3), dtype=np.int64))
    for center in range(fracs.shape[0]):
        found, n, kth2 = _collect(frame, fracs, center, (cutoff, rule), found)
        limit2 = (cutoff + ROUND_OFF) ** 2
        has_enough = kth2 <= limit2
        if has_enough and rule.strategy != RADIUS:
            limit2 = (np.sqrt(kth2) + rule.slack) ** 2
        order = _ordered(found, n, limit2)
        if not has_enough and not rule.keeps_few:
            return edges, at, ISOLATED if len(order) == 0 else TOO_FEW, center
        if rule.strategy == KNN:
            order = order[: rule.k]
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
    rule: Rule,
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
