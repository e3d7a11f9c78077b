"""Search of large cells: atoms sorted into bins, of which only near ones are visited."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from crystalgnn_core.compiled import compiled
from crystalgnn_core.graphs._sphere import ROUND_OFF, NeighborBuffer, grow

if TYPE_CHECKING:
    from numpy.typing import NDArray

OCCUPANCY = 2.0  # atoms in an average bin; 1 to 4 take the same time
RANGE = 5  # numbers that describe a range: first and last row, image (3)


class Bins(NamedTuple):
    """Atoms of a cell in rows, sorted by bins of the box that its triangular frame spans.

    The box has the edges xx, yy and zz of the frame. Every cell, however skewed, is
    equivalent to this box, whose images above and behind are only shifted sideways.

    Attributes:
        frame: Triangular cell in angstrom, shape (3, 3).
        shape: Bins along x, y and z, shape (3,).
        first: Row at which the atoms of a bin begin, x fastest, shape (n_bins + 1,).
        row: Row of every atom, shape (n_atoms,).
        atom: Atom in every row, shape (n_atoms,).
        frac: Fractional coordinates of the rows, shape (n_atoms, 3).
        wrap: Whole cells from the place in the box to the atom, shape (n_atoms, 3).
        place: Where the rows are in the box, angstrom, shape (n_atoms, 3).
    """

    frame: NDArray[np.float64]
    shape: NDArray[np.int64]
    first: NDArray[np.int64]
    row: NDArray[np.int64]
    atom: NDArray[np.int64]
    frac: NDArray[np.float64]
    wrap: NDArray[np.int64]
    place: NDArray[np.float64]


@compiled
def sort_into_bins(frame: NDArray[np.float64], fracs: NDArray[np.float64]) -> Bins:
    """Sort the atoms of one cell."""
    place, wrap = _box(frame, fracs)
    n_atoms = max(fracs.shape[0], 1)
    volume = frame[0, 0] * frame[1, 1] * frame[2, 2] / n_atoms
    shape = _bin_counts(frame, n_atoms, (volume * OCCUPANCY) ** (1 / 3))
    bin_of = np.zeros(len(fracs), dtype=np.int64)
    for axis in (2, 1, 0):
        width = frame[axis, axis] / shape[axis]
        for i in range(len(fracs)):
            slot = min(max(int(place[i, axis] / width), 0), shape[axis] - 1)
            bin_of[i] = bin_of[i] * shape[axis] + slot
    first = np.zeros(shape[0] * shape[1] * shape[2] + 1, dtype=np.int64)
    for slot in bin_of:
        first[slot + 1] += 1
    atom = np.argsort(bin_of, kind="mergesort")
    row = np.empty(len(fracs), dtype=np.int64)
    row[atom] = np.arange(len(fracs))
    columns = (fracs[atom], wrap[atom], place[atom])
    return Bins(frame, shape, np.cumsum(first), row, atom, *columns)


@compiled
def _box(
    frame: NDArray[np.float64], fracs: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    place = np.empty_like(fracs)
    wrap = np.empty(fracs.shape, dtype=np.int64)
    for i in range(fracs.shape[0]):
        x, y, z = fracs[i, 0], fracs[i, 1], fracs[i, 2]
        wrap[i, 2] = np.floor(z)
        z -= wrap[i, 2]
        wrap[i, 1] = np.floor(y + z * frame[2, 1] / frame[1, 1])
        y -= wrap[i, 1]
        along = y * frame[1, 0] + z * frame[2, 0]
        wrap[i, 0] = np.floor(x + along / frame[0, 0])
        x -= wrap[i, 0]
        place[i, 0] = x * frame[0, 0] + along
        place[i, 1] = y * frame[1, 1] + z * frame[2, 1]
        place[i, 2] = z * frame[2, 2]
    return place, wrap


@compiled
def _bin_counts(
    frame: NDArray[np.float64], n_atoms: int, width: float
) -> NDArray[np.int64]:
    """Return how many bins of at least this width fit; wider where they are too many."""
    shape = np.empty(3, dtype=np.int64)
    while True:
        for axis in range(3):
            shape[axis] = max(int(min(frame[axis, axis] / width, n_atoms)), 1)
        if shape[0] * shape[1] * shape[2] <= n_atoms:
            return shape
        width *= 1.25


@compiled
def collect_in_bins(
    bins: Bins, center: int, radius: float, found: NeighborBuffer
) -> tuple[NeighborBuffer, int]:
    """Collect the neighbours of one atom as `collect_images` does."""
    own = bins.row[center]
    return _visit(bins, _meet(bins, own, radius + ROUND_OFF), own, radius, found)


@compiled
def _meet(bins: Bins, own: int, radius: float) -> NDArray[np.int64]:
    """List the ranges of rows whose bins meet a sphere: first, last + 1, image (n, 5)."""
    frame, shape = bins.frame, bins.shape
    nx, ny, nz = shape[0], shape[1], shape[2]
    hx, hy, hz = frame[0, 0] / nx, frame[1, 1] / ny, frame[2, 2] / nz
    x, y, z = bins.place[own, 0], bins.place[own, 1], bins.place[own, 2]
    ranges = np.empty((64, RANGE), dtype=np.int64)
    n = 0
    for layer in range(
        int(np.floor((z - radius) / hz)), int(np.floor((z + radius) / hz)) + 1
    ):
        c = layer // nz
        dz = max(layer * hz - z, z - (layer + 1) * hz, 0.0)
        span_y = np.sqrt(max(radius * radius - dz * dz, 0.0))
        y_c = y - c * frame[2, 1]
        for line in range(
            int(np.floor((y_c - span_y) / hy)), int(np.floor((y_c + span_y) / hy)) + 1
        ):
            b = line // ny
            dy = max(line * hy - y_c, y_c - (line + 1) * hy, 0.0)
            span_x = np.sqrt(max(span_y * span_y - dy * dy, 0.0))
            x_b = x - c * frame[2, 0] - b * frame[1, 0]
            low = int(np.floor((x_b - span_x) / hx))
            high = int(np.floor((x_b + span_x) / hx))
            base = ((layer - c * nz) * ny + line - b * ny) * nx
            for a in range(low // nx, high // nx + 1):
                start = bins.first[base + max(low - a * nx, 0)]
                stop = bins.first[base + min(high - a * nx, nx - 1) + 1]
                if start == stop:
                    continue
                if n == ranges.shape[0]:
                    ranges = np.concatenate((ranges, np.empty_like(ranges)))
                ranges[n, 0], ranges[n, 1] = start, stop
                ranges[n, 2], ranges[n, 3], ranges[n, 4] = a, b, c
                n += 1
    return ranges[:n]


@compiled
def _visit(
    bins: Bins, ranges: NDArray[np.int64], own: int, radius: float, found: NeighborBuffer
) -> tuple[NeighborBuffer, int]:
    """Collect the neighbours in some ranges of rows."""
    distance2, others, image = found
    frame, frac, wrap = bins.frame, bins.frac, bins.wrap
    xx, yx, yy = frame[0, 0], frame[1, 0], frame[1, 1]
    zx, zy, zz = frame[2, 0], frame[2, 1], frame[2, 2]
    limit2 = radius * radius
    n = 0
    for part in range(ranges.shape[0]):
        a0 = ranges[part, 2] + wrap[own, 0]
        b0 = ranges[part, 3] + wrap[own, 1]
        c0 = ranges[part, 4] + wrap[own, 2]
        for row in range(ranges[part, 0], ranges[part, 1]):
            a, b, c = a0 - wrap[row, 0], b0 - wrap[row, 1], c0 - wrap[row, 2]
            da = frac[row, 0] - frac[own, 0] + a
            db = frac[row, 1] - frac[own, 1] + b
            dc = frac[row, 2] - frac[own, 2] + c
            z = dc * zz
            y = db * yy + dc * zy
            x = da * xx + (db * yx + dc * zx)
            d2 = x * x + (y * y + z * z)
            if d2 > limit2:
                continue
            if row == own and a == 0 and b == 0 and c == 0:
                continue
            if n == len(others):
                distance2, others, image = grow(NeighborBuffer(distance2, others, image))
            distance2[n], others[n] = d2, bins.atom[row]
            image[n, 0], image[n, 1], image[n, 2] = a, b, c
            n += 1
    return NeighborBuffer(distance2, others, image), n
