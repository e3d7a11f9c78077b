"""Who sends to whom: edges grouped by the node that receives them, cut into spans."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor
    from torch_geometric.data import Batch

Span = tuple[int, int]
EDGE_WEIGHT, ATOM_WEIGHT = "edge_weight", "atom_weight"


def atom_weight(batch: Batch) -> Tensor | None:
    """Return how many atoms each one stands for, shape (n_atoms,); None for one."""
    return batch.get(ATOM_WEIGHT)


class Adjacency(NamedTuple):
    """Edges of a batch, grouped by receiving node.

    Nodes are atoms joined by bonds, or bonds joined by angles.

    Attributes:
        sender: Sending node of every edge, shape (n_edges,), int64.
        degree: Edges that each node receives, shape (n_nodes,), int64.
        first: First edge of each node and the end, shape (n_nodes + 1,), int64.
        ends: First node of each crystal and the end, shape (n_graphs + 1,), int64.
        edge_weight: How many edges of its node each one stands for, shape (n_edges,); None
            for one.
        node_weight: How many nodes each one stands for, shape (n_nodes,); None for one.
    """

    sender: Tensor
    degree: Tensor
    first: Tensor
    ends: Tensor
    edge_weight: Tensor | None = None
    node_weight: Tensor | None = None

    @classmethod
    def of(cls, sender: Tensor, degree: Tensor, ends: Tensor) -> Adjacency:
        """Group edges by the degrees of their receivers."""
        return cls(sender, degree, functional.pad(degree.cumsum(0), (1, 0)), ends)

    @classmethod
    def of_batch(cls, batch: Batch) -> Adjacency:
        """Take the edges of a batch of crystals, be equivalent atoms merged or not."""
        plain = cls.of(batch.edge_index[0], batch.degree, batch.ptr)
        if EDGE_WEIGHT not in batch:
            return plain
        weights = batch[EDGE_WEIGHT], batch[ATOM_WEIGHT]
        return plain._replace(edge_weight=weights[0], node_weight=weights[1])

    def weights(self) -> Tensor | None:
        """Return how many edges of the crystals each edge stands for, None for one."""
        if self.edge_weight is None or self.node_weight is None:
            return None
        return self.edge_weight * self.node_weight.repeat_interleave(
            self.degree, output_size=len(self.sender)
        )

    def spans(self, n_spans: int) -> list[Span]:
        """Cut the receiving nodes into spans of about equal numbers of edges.

        Cuts lie between crystals, so that no two spans share a node, be it sender or
        receiver.

        Returns:
            First node and end of at most `n_spans` spans, in order; none is empty.
        """
        total = len(self.sender)
        wanted = torch.arange(1, n_spans, dtype=torch.int64) * total // n_spans
        crystals = torch.searchsorted(self.first[self.ends], wanted)
        cuts = [0, *self.ends[crystals].tolist(), len(self.degree)]
        return [(begin, end) for begin, end in pairwise(cuts) if begin < end]
