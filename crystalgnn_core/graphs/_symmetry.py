"""Compiled union of directed edges and their reversals."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from crystalgnn_core.compiled import compiled
from crystalgnn_core.graphs._search import MAX_DEGREE, TOO_LARGE

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Edges(NamedTuple):
    """Edges grouped by centre: degree (n_atoms,), neighbour (n,), cell offset (n, 3)."""

    degree: NDArray[np.int32]
    neighbor: NDArray[np.int32]
    offset: NDArray[np.int8]


@compiled
def _pack(neighbor: int, a: int, b: int, c: int) -> int:
    """Put neighbour and image into one integer that sorts like (neighbour, a, b, c)."""
    return (((neighbor << 8 | a + 128) << 8 | b + 128) << 8) | c + 128


@compiled
def _both_ways(
    frame: NDArray[np.float64], fracs: NDArray[np.float64], edges: Edges
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """List every edge at both of its ends.

    Returns:
        Where each atom's rows begin and all end (n_atoms + 1,), packed neighbour and image
        (2 n_edges,), squared distance (2 n_edges,). Distances of an edge and its reversal
        are equal to the last bit, because only signs differ.
    """
    n_atoms = fracs.shape[0]
    ends = np.zeros(n_atoms + 1, dtype=np.int64)
    for center in range(n_atoms):
        ends[center + 1] += edges.degree[center]
    for other in edges.neighbor:
        ends[other + 1] += 1
    ends = np.cumsum(ends)
    free = ends[:-1].copy()
    ties = np.empty(ends[-1], dtype=np.int64)
    d2 = np.empty(ends[-1], dtype=np.float64)
    edge = 0
    for center in range(n_atoms):
        for _ in range(edges.degree[center]):
            other = int(edges.neighbor[edge])
            a = int(edges.offset[edge, 0])
            b = int(edges.offset[edge, 1])
            c = int(edges.offset[edge, 2])
            da = fracs[other, 0] - fracs[center, 0] + a
            db = fracs[other, 1] - fracs[center, 1] + b
            dc = fracs[other, 2] - fracs[center, 2] + c
            x = da * frame[0, 0] + (db * frame[1, 0] + dc * frame[2, 0])
            y = db * frame[1, 1] + dc * frame[2, 1]
            z = dc * frame[2, 2]
            ties[free[center]] = _pack(other, a, b, c)
            d2[free[center]] = x * x + (y * y + z * z)
            free[center] += 1
            ties[free[other]] = _pack(center, -a, -b, -c)
            d2[free[other]] = x * x + (y * y + z * z)
            free[other] += 1
            edge += 1
    return ends, ties, d2


@compiled
def _unite(  # noqa: PLR0917  compiled code has no keyword-only arguments
    frame: NDArray[np.float64],
    fracs: NDArray[np.float64],
    edges: Edges,
    united: Edges,
    at: int,
    own_images_twice: bool,
) -> tuple[int, int]:
    """Write the united edges of one crystal from position `at` on, `degree` from 0 on.

    An atom selects an image of itself and the opposite one, so that each of the two edges
    comes twice: as selected, and as the reversal of the other.

    Returns:
        Their end, and the first atom that has more than can be stored, or -1.
    """
    ends, ties, d2 = _both_ways(frame, fracs, edges)
    for center in range(fracs.shape[0]):
        rows = slice(ends[center], ends[center + 1])
        here = ties[rows]
        order = np.argsort(here, kind="mergesort")
        order = order[np.argsort(d2[rows][order], kind="mergesort")]
        begin, previous = at, np.int64(-1)
        for row in order:
            packed = here[row]
            is_kept_twice = own_images_twice and packed >> 24 == center
            if packed == previous and not is_kept_twice:
                continue
            previous = packed
            united.neighbor[at] = packed >> 24
            united.offset[at, 0] = (packed >> 16 & 255) - 128
            united.offset[at, 1] = (packed >> 8 & 255) - 128
            united.offset[at, 2] = (packed & 255) - 128
            at += 1
        if at - begin > MAX_DEGREE:
            return at, center
        united.degree[center] = at - begin
    return at, -1


@compiled
def symmetrize_batch(  # noqa: PLR0917  compiled code has no keyword-only arguments
    frames: NDArray[np.float64],
    fracs: NDArray[np.float64],
    offsets: NDArray[np.int64],
    edges: Edges,
    outcome: tuple[NDArray[np.int8], NDArray[np.int32]],
    own_images_twice: bool = False,
) -> tuple[Edges, NDArray[np.int8], NDArray[np.int32]]:
    """Add the reversal of every edge that lacks it, crystal by crystal.

    `own_images_twice` adds the reversal of an edge between an atom and an image of itself
    even where it is there, as the ALIGNN code does.

    Returns:
        The edges, grouped and ordered as before, and the outcome (status, atom it refers
        to), in which a crystal with too many edges per atom is marked and has no edges.
    """
    status, atom = outcome[0].copy(), outcome[1].copy()
    degree = np.zeros(len(edges.degree), dtype=np.int32)
    n_most = 2 * len(edges.neighbor)
    neighbor = np.empty(n_most, dtype=np.int32)
    offset = np.empty((n_most, 3), dtype=np.int8)
    start, end = 0, 0
    for index in range(frames.shape[0]):
        first, last = offsets[index], offsets[index + 1]
        stop = start + edges.degree[first:last].sum()
        own = Edges(
            edges.degree[first:last], edges.neighbor[start:stop], edges.offset[start:stop]
        )
        united = Edges(degree[first:last], neighbor, offset)
        reached, crowded = _unite(
            frames[index], fracs[first:last], own, united, end, own_images_twice
        )
        start = stop
        if crowded < 0:
            end = reached
        else:
            degree[first:last] = 0
            status[index], atom[index] = TOO_LARGE, crowded
    return Edges(degree, neighbor[:end], offset[:end]), status, atom
