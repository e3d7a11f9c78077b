"""SchNet for prediction: filters read from tables while the messages are summed."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import torch

from crystalgnn_core.models.cpu.equivalence import Classes, find_classes
from crystalgnn_core.models.cpu.functions import vectorized
from crystalgnn_core.models.cpu.tables import Table, read_row, tabulate
from crystalgnn_core.models.cpu.threads import fields_of, run_spans
from crystalgnn_core.models.element_layers import embed_atoms

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor
    from torch_geometric.data import Batch

    from crystalgnn_core.models.schnet.network import InteractionBlock, SchNet

    Array = NDArray[np.floating[Any]]


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
        classes = find_classes(batch, len(self._filters))
        spans = [(0, len(classes.member))]
        with torch.no_grad():
            member = torch.from_numpy(classes.member)
            atoms = embed_atoms(self.network.embedding, batch, member)
            for block, filters in zip(_blocks(self.network), self._filters, strict=True):
                sent = block.conv.lin1(atoms)
                received = torch.empty_like(sent)
                arrays = fields_of(filters, sent, classes, received)
                run_spans(_sum_messages, _Messages(*arrays), spans)
                atoms = atoms + block.lin(block.act(block.conv.lin2(received)))
            every = atoms.index_select(0, torch.from_numpy(classes.of_atom))
            return self.network.read(every, batch)


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
    sent: Array
    classes: Classes
    out: Array


@vectorized
def _sum_messages(arrays: _Messages, _: int, begin: int, end: int) -> None:
    """Sum each node's neighbours, each times its filter, none of which is kept."""
    table, sent, classes, out = arrays
    width = out.shape[1]
    weight, total = np.empty(width, out.dtype), np.empty(width, out.dtype)
    for node in range(begin, end):
        for k in range(width):
            total[k] = 0.0
        for edge in range(classes.first[node], classes.first[node + 1]):
            read_row(table, classes.distance[edge], weight)
            there, times = classes.sender[edge], classes.times[edge]
            for k in range(width):
                total[k] += times * weight[k] * sent[there, k]
        for k in range(width):
            out[node, k] = total[k]
