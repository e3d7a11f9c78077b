"""Atoms that a network cannot distinguish, and edges that carry equal messages.

Crystals are symmetric: atoms of one orbit see the same surroundings, and many neighbours of
an atom are images of one atom at one distance. A network whose atoms know elements and
distances alone gives equivalent atoms equal features in every layer, so that one of them is
enough, and a message that comes n times is computed once. (In terms of graphs: colour
refinement, Weisfeiler & Leman 1968, for as many rounds as there are layers.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from crystalgnn_core.compiled import compiled
from crystalgnn_core.models.cpu.threads import array_of

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch_geometric.data import Batch

    Index = NDArray[np.int64]
    Array = NDArray[np.floating[Any]]
    Colors = NDArray[np.uint64]

TOLERANCE = 2e-6  # angstrom; distances nearer than that, a few roundings, are one


class Classes(NamedTuple):
    """Classes of equivalent atoms, with the edges that one atom of each receives.

    Attributes:
        of_atom: Class of every atom, shape (n_atoms,).
        member: First atom of every class, in order, shape (n_classes,).
        sender: Class of the neighbour of every edge, grouped by receiving class, shape
            (n_edges,).
        distance: In angstrom, shape (n_edges,).
        edge: First edge of the batch that this one stands for, shape (n_edges,).
        times: How many edges of the atom this one stands for, shape (n_edges,), as float.
        first: First edge of each class and the end, shape (n_classes + 1,).
    """

    of_atom: Index
    member: Index
    sender: Index
    distance: Array
    edge: Index
    times: Array
    first: Index


def find_classes(batch: Batch, n_rounds: int) -> Classes:
    """Find the classes of the atoms of a batch.

    Args:
        batch: Crystals: `atomic_numbers`, `edge_index`, `edge_vector`, `degree`, `ptr`.
        n_rounds: Layers of the network, each of which looks one edge farther.

    Returns:
        Classes in which no atom of one crystal is with one of another. Distances are taken
        as one where they lie within 2e-6 angstrom.
    """
    first = torch.nn.functional.pad(batch.degree.cumsum(0), (1, 0))
    graph = _Graph(
        array_of(batch.atomic_numbers),
        array_of(batch.edge_index[0]),
        array_of(batch.edge_vector.norm(dim=1)),
        array_of(first),
        array_of(batch.ptr),
    )
    return _find(graph, n_rounds)


class _Graph(NamedTuple):
    numbers: Index
    sender: Index
    distance: Array
    first: Index
    ends: Index


@compiled
def _find(graph: _Graph, n_rounds: int) -> Classes:
    n_atoms, n_edges = len(graph.numbers), len(graph.sender)
    found = Classes(
        np.empty(n_atoms, np.int64),
        np.empty(n_atoms, np.int64),
        np.empty(n_edges, np.int64),
        np.empty_like(graph.distance),
        np.empty(n_edges, np.int64),
        np.empty_like(graph.distance),
        np.zeros(n_atoms + 1, np.int64),
    )
    label, written = np.empty(n_edges, np.int64), np.empty(n_edges, np.int64)
    colors = np.empty(n_atoms, np.uint64)
    n_classes, at = 0, 0
    for crystal in range(len(graph.ends) - 1):
        begin, end = graph.ends[crystal], graph.ends[crystal + 1]
        _label_distances(graph, begin, end, label)
        _refine(graph, begin, end, label, n_rounds, colors)
        n_before = n_classes
        n_classes = _group(colors, begin, end, n_classes, found)
        for index in range(n_before, n_classes):
            at = _merge(graph, index, label, written, found, at)
            found.first[index + 1] = at
    return Classes(
        found.of_atom,
        found.member[:n_classes].copy(),
        found.sender[:at].copy(),
        found.distance[:at].copy(),
        found.edge[:at].copy(),
        found.times[:at].copy(),
        found.first[: n_classes + 1].copy(),
    )


@compiled
def _label_distances(graph: _Graph, begin: int, end: int, label: Index) -> None:
    """Number the distances of a crystal, alike those that lie within the tolerance."""
    start, stop = graph.first[begin], graph.first[end]
    lengths = graph.distance[start:stop].astype(np.float32)
    # positive numbers are in the order of their bits: one integer holds length and place
    bits = lengths.view(np.uint32)
    keys = np.empty(len(bits), np.uint64)
    for edge in range(len(bits)):
        keys[edge] = (np.uint64(bits[edge]) << np.uint64(32)) | np.uint64(edge)
    keys.sort()
    number, lowest = -1, -np.inf
    for key in keys:
        place = np.int64(key & np.uint64(0xFFFFFFFF))
        if lengths[place] - lowest > TOLERANCE:
            number, lowest = number + 1, lengths[place]
        label[start + place] = number


@compiled
def _refine(  # noqa: PLR0917  arrays
    graph: _Graph, begin: int, end: int, label: Index, n_rounds: int, colors: Colors
) -> None:
    """Give each atom a hash of what a network of so many layers can see from it."""
    fresh = np.empty(end - begin, np.uint64)
    start = graph.first[begin]
    mixed = np.empty(graph.first[end] - start, np.uint64)
    for edge in range(len(mixed)):
        # turned over, so that no distance is mixed as an element is
        mixed[edge] = _mix(~np.uint64(label[start + edge]))
    for atom in range(begin, end):
        colors[atom] = _mix(np.uint64(graph.numbers[atom]))
    for _ in range(n_rounds):
        for atom in range(begin, end):
            total = _mix(colors[atom])
            for edge in range(graph.first[atom], graph.first[atom + 1]):
                # a sum, so that the order of the neighbours does not count
                total += _mix(colors[graph.sender[edge]] ^ mixed[edge - start])
            fresh[atom - begin] = total
        for atom in range(begin, end):
            colors[atom] = fresh[atom - begin]


@compiled
def _mix(value: np.uint64) -> np.uint64:
    """Spread 64 bits (the finaliser of splitmix64, Steele et al. 2014)."""
    value = value + np.uint64(0x9E3779B97F4A7C15)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@compiled
def _group(colors: Colors, begin: int, end: int, n_classes: int, found: Classes) -> int:
    """Number the colours of a crystal in order of their first atoms; return the count."""
    order = np.argsort(colors[begin:end], kind="mergesort")  # stable
    of_atom, member = found.of_atom, found.member
    leader = np.empty(end - begin, np.int64)
    head = np.int64(0)
    for place, index in enumerate(order):
        if not place or colors[begin + index] != colors[begin + order[place - 1]]:
            head = index
        leader[index] = head
    for index in range(end - begin):
        if leader[index] == index:
            member[n_classes] = begin + index
            of_atom[begin + index] = n_classes
            n_classes += 1
        else:
            of_atom[begin + index] = of_atom[begin + leader[index]]
    return n_classes


@compiled
def _merge(  # noqa: PLR0917  arrays
    graph: _Graph, index: int, label: Index, written: Index, found: Classes, at: int
) -> int:
    """Write the edges of a class, those of one sender and distance as one."""
    atom, begin = found.member[index], at
    for edge in range(graph.first[atom], graph.first[atom + 1]):
        there, length = found.of_atom[graph.sender[edge]], graph.distance[edge]
        # edges come in order of their distances, so that alike ones are near each other
        place = at - 1
        while place >= begin and (
            found.sender[place] != there or written[place] != label[edge]
        ):
            place = place - 1 if length - found.distance[place] <= TOLERANCE else -1
        if place < begin:
            found.sender[at], found.distance[at], found.times[at] = there, length, 1.0
            found.edge[at], written[at] = edge, label[edge]
            at += 1
        else:
            found.times[place] += 1.0
    return at
