"""Line graphs of a batch: which bonds form an angle, and its cosine.

Both conventions pair a *sending* edge with a *receiving* edge at an atom that they share;
the angle is the one between the two bonds at that atom. They differ in the receiver:

* `pair_at_centers`: triplets. Both edges have the same centre (M3GNet, DimeNet).
  An edge is not paired with itself.
* `pair_along_paths`: ALIGNN. The sender ends where the receiver begins, u -> v and v -> w,
  with edges running from neighbour to centre as messages do.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from crystalgnn_core.compiled import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor


class LineGraph(NamedTuple):
    """Pairs of edges, grouped by receiving edge; senders ascend within a receiver.

    Attributes:
        bond_pairs: Positions of sending `[0]` and receiving `[1]` edges, shape
            (2, n_pairs), int64.
        cosine: Cosine of the angle between the two bonds, in [-1, 1], shape (n_pairs,),
            float32; without gradient.
        degree: Pairs in which each edge receives, shape (n_edges,), int64.
    """

    bond_pairs: Tensor
    cosine: Tensor
    degree: Tensor


def pair_at_centers(
    edge_index: Tensor, edge_vector: Tensor, degree: Tensor, cutoff: float = math.inf
) -> LineGraph:
    """Pair every edge with every other edge of the same centre.

    The angle is the one at the centre, between the directions to the two neighbour images.
    Each of the d (d - 1) ordered pairs of a centre with d edges occurs once.

    Args:
        edge_index: From neighbour `[0]` to centre `[1]`, grouped by centre, shape
            (2, n_edges), int64.
        edge_vector: From centre to neighbour image in angstrom, shape (n_edges, 3).
        degree: Edges of every atom, shape (n_atoms,), int64.
        cutoff: Longer edges, in angstrom, are in no pair (three-body cutoff of M3GNet).

    Returns:
        The pairs, on the device of the edges.
    """
    return _pair(edge_index, edge_vector, degree, _Rule(cutoff, along_paths=False))


def pair_along_paths(
    edge_index: Tensor, edge_vector: Tensor, degree: Tensor, cutoff: float = math.inf
) -> LineGraph:
    """Pair every edge u -> v with every edge v -> w, as in ALIGNN.

    Choudhary & DeCost, npj Comput. Mater. 7, 185 (2021), and the code of alignn 2026.8.11
    (`_line_graph_edges`, `torch_bond_cosines`): edges are paired by atom, whatever the
    images; the way back (w is u, cosine 1) is kept, and so is an edge from an atom to its
    own image paired with itself (cosine -1). cos = -(r1 . r2) / (|r1| |r2|) with r from
    source to destination, which is the angle at v. Alike there: `src` is `edge_index[0]`,
    `dst` is `edge_index[1]`, r is `-edge_vector`. Differences: pairs are ordered by
    receiver, not by sender; lengths and cosines agree to rounding, so that an edge exactly
    as long as the cutoff may be treated otherwise.

    Arguments and result are as in `pair_at_centers`; `cutoff` is alignn's
    `three_body_cutoff`.
    """
    return _pair(edge_index, edge_vector, degree, _Rule(cutoff, along_paths=True))


class _Rule(NamedTuple):
    """Convention and longest edge in angstrom."""

    cutoff: float
    along_paths: bool


def _pair(
    edge_index: Tensor, edge_vector: Tensor, degree: Tensor, rule: _Rule
) -> LineGraph:
    """Run the kernel on the CPU, where it is 20 times faster than tensor operations."""
    vector = edge_vector.detach().to(torch.float32)
    if not vector.is_cpu:
        return _pair_tensors(edge_index, vector, degree, rule)
    shared = edge_index[0 if rule.along_paths else 1].contiguous().numpy()
    short = _short_edges(
        vector.contiguous().numpy(), degree.contiguous().numpy(), rule.cutoff
    )
    n_pairs = _count_pairs(shared, short, rule)
    # numpy asks for huge pages, the kernels do not: x 3 where there are millions of pairs
    pairs = np.empty((2, n_pairs.sum()), dtype=np.int64)
    cosine = np.empty(pairs.shape[1], dtype=np.float32)
    _fill_pairs(shared, short, rule, _Filled(pairs[0], pairs[1], cosine))
    return LineGraph(*map(torch.from_numpy, (pairs, cosine, n_pairs)))


def _pair_tensors(
    edge_index: Tensor, vector: Tensor, degree: Tensor, rule: _Rule
) -> LineGraph:
    """Pair with tensor operations, on any device; positions count the short edges first."""
    length = vector.norm(dim=1)
    short = torch.nonzero(length <= rule.cutoff).squeeze(1)
    unit = vector[short] / length[short].unsqueeze(1)
    shared = edge_index[0 if rule.along_paths else 1, short]
    n_around = torch.bincount(edge_index[1, short], minlength=len(degree))
    n_pairs = n_around[shared] - (0 if rule.along_paths else 1)
    ends = n_pairs.cumsum(0)
    start = (n_around.cumsum(0) - n_around)[shared] - (ends - n_pairs)
    receiver = torch.repeat_interleave(n_pairs)
    sender = torch.arange(len(receiver), device=vector.device) + start[receiver]
    if not rule.along_paths:
        sender += sender >= receiver
    cosine = (unit[sender] * unit[receiver]).sum(dim=1).clamp(-1.0, 1.0)
    return LineGraph(
        torch.stack((short[sender], short[receiver])),
        -cosine if rule.along_paths else cosine,
        torch.zeros_like(edge_index[0]).index_copy(0, short, n_pairs),
    )


class _Filled(NamedTuple):
    """What the kernel fills, shape (n_pairs,) each."""

    sender: NDArray[np.int64]
    receiver: NDArray[np.int64]
    cosine: NDArray[np.float32]


class _Short(NamedTuple):
    """Edges within the cutoff, their directions, where those of each centre begin."""

    edge: NDArray[np.int64]
    x: NDArray[np.float32]
    y: NDArray[np.float32]
    z: NDArray[np.float32]
    first: NDArray[np.uint64]  # unsigned positions need no test for negative ones


@compiled
def _short_edges(
    vector: NDArray[np.float32], degree: NDArray[np.int64], cutoff: float
) -> _Short:
    n_edges = vector.shape[0]
    short = np.empty(n_edges, dtype=np.int64)
    unit_x = np.empty(n_edges, dtype=np.float32)
    unit_y, unit_z = np.empty_like(unit_x), np.empty_like(unit_x)
    first = np.empty(len(degree) + 1, dtype=np.uint64)
    edge, n = 0, 0
    for center in range(len(degree)):
        first[center] = n
        for _ in range(degree[center]):
            x, y, z = vector[edge, 0], vector[edge, 1], vector[edge, 2]
            length = np.sqrt(x * x + y * y + z * z)
            if length <= cutoff:
                short[n] = edge
                per = np.float32(1.0) / length
                unit_x[n], unit_y[n], unit_z[n] = x * per, y * per, z * per
                n += 1
            edge += 1
    first[len(degree)] = n
    return _Short(short[:n], unit_x, unit_y, unit_z, first)


@compiled
def _count_pairs(
    shared: NDArray[np.int64], short: _Short, rule: _Rule
) -> NDArray[np.int64]:
    n_pairs = np.zeros(len(shared), dtype=np.int64)
    for receiver in short.edge:
        atom = shared[receiver]
        n_around = np.int64(short.first[atom + 1] - short.first[atom])
        n_pairs[receiver] = n_around - (0 if rule.along_paths else 1)
    return n_pairs


@compiled
def _fill_pairs(
    shared: NDArray[np.int64], short: _Short, rule: _Rule, filled: _Filled
) -> None:
    """Fill run by run: one up to an edge itself and one past it, or one of them all."""
    edge, unit_x, unit_y, unit_z, first = short
    sender, receiver, cosine = filled
    one = np.float32(1.0)
    sign = -one if rule.along_paths else one
    at = np.uint64(0)
    for index in range(len(edge)):
        row = np.uint64(index)
        own = edge[row]
        atom = np.uint64(shared[own])
        x, y, z = sign * unit_x[row], sign * unit_y[row], sign * unit_z[row]
        begin, end = first[atom], first[atom + np.uint64(1)]
        stop = end if rule.along_paths else row
        while True:
            n = stop - begin
            for step in range(n):  # a loop for each column: they are run as vectors
                sender[at + step] = edge[begin + step]
            for step in range(n):
                receiver[at + step] = own
            for step in range(n):
                there = begin + step
                product = x * unit_x[there] + y * unit_y[there] + z * unit_z[there]
                cosine[at + step] = min(max(product, -one), one)
            at += n
            if stop == end:
                break
            begin, stop = row + np.uint64(1), end
