"""Periodic neighbour search over whole batches of crystals in one compiled pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from crystalgnn_core.graphs._listed import Listed, list_neighbors
from crystalgnn_core.graphs._search import (
    ISOLATED,
    OK,
    TOO_FEW,
    TOO_LARGE,
    TOO_SKEWED,
    search_batch,
)
from crystalgnn_core.graphs._sphere import KNN, KNN_SHELL, RADIUS, ROUND_OFF, SearchRule
from crystalgnn_core.graphs._symmetry import Edges, symmetrize_batch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from crystalgnn_core.graphs.config import GraphConfig
    from crystalgnn_core.graphs.crystals import CrystalBatch

__all__ = [
    "ISOLATED",
    "OK",
    "TOO_FEW",
    "TOO_LARGE",
    "TOO_SKEWED",
    "NeighborList",
    "find_neighbors",
]
BINS_FROM = 80  # atoms; measured by tests/benchmarks/large_cells.py
STRATEGIES = {"knn": KNN, "knn_shell": KNN_SHELL, "knn_alignn": KNN_SHELL, "radius": RADIUS}


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
            4 more atoms or edges than can be stored, shape (n_crystals,), int8. A crystal
            that is not fine has no edges.
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

    `knn` keeps exactly k neighbours, `knn_cgcnn` those that the CGCNN code would keep where
    distances tie, `knn_shell` every neighbour no farther than the
    k-th plus the shell tolerance, `knn_alignn` these both ways with the bonds to an atom's
    own images twice, `radius` every neighbour within the cutoff. With
    `symmetric`, the reversal of every such edge is an edge too. `none` searches nothing.

    Returns:
        The edges; crystals that cannot be served carry a status other than 0.
    """
    if config.strategy == "none":
        return _without_edges(crystals)
    maximum = config.max_cutoff if config.too_few == "enlarge" else config.cutoff
    frames = _triangular(crystals.lattices)
    batch = (frames, crystals.frac_coords, crystals.offsets)
    if config.strategy == "knn_cgcnn":
        found = _join(list_neighbors(crystals, config, maximum))
    else:
        found = NeighborList(*search_batch(*batch, _rule(config), (config.cutoff, maximum)))
    as_alignn = config.strategy == "knn_alignn"
    if not (config.symmetric or as_alignn):
        return found
    edges = Edges(found.degree, found.neighbor, found.cell_offset)
    outcome = (found.status, found.atom)
    edges, status, atom = symmetrize_batch(*batch, edges, outcome, as_alignn)
    return NeighborList(*edges, found.cutoff, status, atom)


def _rule(config: GraphConfig) -> SearchRule:
    """Translate the settings for the kernels."""
    strategy = STRATEGIES[config.strategy]
    return SearchRule(
        strategy=strategy,
        k=config.n_neighbors if strategy != RADIUS else 1,
        slack=(config.shell_tolerance if strategy == KNN_SHELL else 0.0) + ROUND_OFF,
        keeps_few=config.too_few == "keep",
        bins_from=BINS_FROM,
    )


def _without_edges(crystals: CrystalBatch) -> NeighborList:
    """Return a list without neighbours, in which every crystal is fine."""
    degree = np.zeros(len(crystals.atomic_numbers), np.int32)
    edges = Edges(degree, np.empty(0, np.int32), np.empty((0, 3), np.int8))
    status = np.full(len(crystals), OK, np.int8)
    return NeighborList(
        *edges, np.zeros(len(crystals)), status, np.zeros(len(crystals), np.int32)
    )


def _join(listed: list[Listed]) -> NeighborList:
    """Lay the edges of single crystals end to end."""
    none = np.empty(0, np.int32)
    return NeighborList(
        np.concatenate([none, *(part.degree for part in listed)]),
        np.concatenate([none, *(part.neighbor for part in listed)]),
        np.concatenate([np.empty((0, 3), np.int8), *(part.cell_offset for part in listed)]),
        np.array([part.cutoff for part in listed], dtype=np.float64),
        np.array([part.status for part in listed], dtype=np.int8),
        np.array([part.atom for part in listed], dtype=np.int32),
    )


def _triangular(lattices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotate cells so that a lies along x, b in the xy plane and c above it."""
    upper = np.linalg.qr(lattices.transpose(0, 2, 1)).R
    diagonal = np.diagonal(upper, axis1=1, axis2=2)
    signs = np.where(diagonal < 0, -1.0, 1.0)
    return np.ascontiguousarray((upper * signs[:, :, None]).transpose(0, 2, 1))
