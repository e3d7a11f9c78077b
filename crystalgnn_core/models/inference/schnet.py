"""SchNet for prediction: filters read from tables while the messages are summed."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import torch

from crystalgnn_core.models.adjacency import Adjacency
from crystalgnn_core.models.fused.functions import vectorized
from crystalgnn_core.models.fused.threads import array_of, run_spans
from crystalgnn_core.models.inference.tables import Table, read_row, tabulate

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor
    from torch_geometric.data import Batch

    from crystalgnn_core.models.schnet import InteractionBlock, SchNet

    Array = NDArray[np.floating[Any]]
    Index = NDArray[np.int64]


class FastSchNet:
    """Predict what a SchNet predicts.

    Args:
        network: In evaluation mode; its weights are used as they are now.
    """

    def __init__(self, network: SchNet) -> None:
        self.network = network
        exact, dtype = copy.deepcopy(network).double(), network.lin1.weight.dtype
        self._filters = [_table(exact, block, dtype) for block in _blocks(exact)]

    def __call__(self, batch: Batch) -> Tensor:
        """Return predictions on the model's internal scale, shape (n_graphs, n_targets)."""
        adjacency = Adjacency.of(batch.edge_index[0], batch.degree, batch.ptr)
        graph = array_of(adjacency.sender), array_of(adjacency.first)
        spans = adjacency.spans(torch.get_num_threads())
        with torch.no_grad():
            atoms = self.network.embedding(batch.atomic_numbers)
            distance = array_of(batch.edge_vector.norm(dim=1))
            for block, filters in zip(_blocks(self.network), self._filters, strict=True):
                sent = block.conv.lin1(atoms)
                received = torch.empty_like(sent)
                arrays = _Messages(
                    filters, distance, array_of(sent), *graph, array_of(received)
                )
                run_spans(_sum_messages, arrays, spans)
                atoms = atoms + block.lin(block.act(block.conv.lin2(received)))
            return self.network.read(atoms, batch)


def _blocks(network: SchNet) -> list[InteractionBlock]:
    return [cast("InteractionBlock", block) for block in network.interactions]


def _table(network: SchNet, block: InteractionBlock, dtype: torch.dtype) -> Table:
    with torch.no_grad():
        return tabulate(
            lambda distance: block.filters(network.expand(distance)),
            0.0,
            network.cutoff,
            dtype,
        )


class _Messages(NamedTuple):
    table: Table
    distance: Array
    sent: Array
    sender: Index
    first: Index
    out: Array


@vectorized
def _sum_messages(arrays: _Messages, _: int, begin: int, end: int) -> None:
    """Sum each node's neighbours, each times its filter, none of which is kept."""
    width = arrays.out.shape[1]
    weight = np.empty(width, arrays.out.dtype)
    for node in range(begin, end):
        total = arrays.out[node]
        for k in range(width):
            total[k] = 0.0
        for edge in range(arrays.first[node], arrays.first[node + 1]):
            sent = arrays.sent[arrays.sender[edge]]
            read_row(arrays.table, arrays.distance[edge], weight)
            for k in range(width):
                total[k] += weight[k] * sent[k]
