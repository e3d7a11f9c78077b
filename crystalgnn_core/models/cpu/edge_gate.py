"""The gated mean of ALIGNN's convolution in one pass over the edges, with its gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch.autograd.function import once_differentiable

from crystalgnn_core.models.cpu.functions import exponential, vectorized
from crystalgnn_core.models.cpu.threads import fields_of, run_spans

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from crystalgnn_core.models.adjacency import Adjacency

    Context = Any  # torch lets a context have any attribute

    Array = NDArray[np.floating[Any]]
    Index = NDArray[np.int64]

MEAN_GATE = 1e-6  # keeps the mean over no gate finite


class GatedMean(torch.autograd.Function):
    """m = e + A_sender + B_receiver; U_receiver + sum s(m) V_sender / (sum s(m) + 1e-6).

    `apply(edge_terms, projected, adjacency)` returns m, shape (n_edges, width), and the
    nodes' sums, shape (n_nodes, width). Edge terms have shape (n_edges, width) and are
    overwritten by m; A, V, B and U stand side by side in `projected`, shape
    (n_nodes, 4 width).
    """

    @staticmethod
    def forward(
        ctx: Context, edge_terms: Tensor, projected: Tensor, adjacency: Adjacency
    ) -> tuple[Tensor, Tensor]:
        """Mix in place and sum."""
        ctx.mark_dirty(edge_terms)
        nodes = edge_terms.new_empty(len(projected), edge_terms.shape[1])
        total = torch.empty_like(nodes)
        tensors = (edge_terms, projected, adjacency.sender, adjacency.first, nodes, total)
        spans = adjacency.spans(torch.get_num_threads())
        run_spans(gate, Gate(*fields_of(*tensors)), spans)
        ctx.save_for_backward(edge_terms, projected, nodes, total)
        ctx.adjacency = adjacency
        ctx.set_materialize_grads(False)
        return edge_terms, nodes

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Context, grad_mixed: Tensor | None, grad_nodes: Tensor | None
    ) -> tuple[Tensor, Tensor, None]:
        """Hand gradients of edges and sums to terms and nodes."""
        mixed, projected, nodes, total = ctx.saved_tensors
        adjacency: Adjacency = ctx.adjacency
        above = mixed if grad_mixed is None else grad_mixed
        of_nodes = torch.zeros_like(nodes) if grad_nodes is None else grad_nodes
        below, of_projected = torch.empty_like(mixed), torch.zeros_like(projected)
        gates = (mixed, projected, adjacency.sender, adjacency.first, nodes, total)
        arrays = _Gradients(
            *fields_of(
                Gate(*fields_of(*gates)),
                above,
                of_nodes,
                below,
                of_projected,
                grad_mixed is not None,
            )
        )
        spans = adjacency.spans(torch.get_num_threads())
        run_spans(_gate_backward, arrays, spans)
        return below, of_projected, None


class Gate(NamedTuple):
    """What the kernel reads; it overwrites `mixed`, and fills `nodes` and `total`.

    Attributes:
        mixed: Edge terms, then m, shape (n_edges, width).
        projected: A, V, B and U of the nodes, shape (n_nodes, 4 width).
        sender: Shape (n_edges,).
        first: First edge of each node and the end, shape (n_nodes + 1,).
        nodes: Sums, shape (n_nodes, width).
        total: Sums of the gates, shape (n_nodes, width).
    """

    mixed: Array
    projected: Array
    sender: Index
    first: Index
    nodes: Array
    total: Array


class _Gradients(NamedTuple):
    gate: Gate
    above: Array  # of m, from what comes after; not read unless `has_above`
    of_nodes: Array
    below: Array
    of_projected: Array
    has_above: bool


@vectorized
def gate(  # noqa: C901  one loop for each vector operation
    arrays: Gate, _: int, begin: int, end: int
) -> None:
    """Mix and sum the edges of some receiving nodes."""
    mixed, projected, sender, first, nodes, total = arrays
    width = mixed.shape[1]
    one, tiny = mixed.dtype.type(1.0), mixed.dtype.type(MEAN_GATE)
    share, top = np.empty(width, mixed.dtype), np.empty(width, mixed.dtype)
    bottom = np.empty(width, mixed.dtype)
    for node in range(begin, end):
        for k in range(width):
            top[k] = 0.0
        for k in range(width):
            bottom[k] = tiny
        for edge in range(first[node], first[node + 1]):
            there = sender[edge]
            for k in range(width):
                mixed[edge, k] += projected[there, k] + projected[node, 2 * width + k]
            for k in range(width):
                share[k] = one / (one + exponential(-mixed[edge, k]))
            for k in range(width):
                bottom[k] += share[k]
            for k in range(width):
                top[k] += share[k] * projected[there, width + k]
        for k in range(width):
            total[node, k] = bottom[k]
        for k in range(width):
            nodes[node, k] = projected[node, 3 * width + k] + top[k] / bottom[k]


@vectorized
def _gate_backward(  # noqa: C901  one loop for each vector operation
    arrays: _Gradients, _: int, begin: int, end: int
) -> None:
    gates, above, of_nodes, below, of_projected, has_above = arrays
    mixed, projected, sender, first, nodes, total = gates
    width = mixed.shape[1]
    top, bottom = np.empty(width, mixed.dtype), np.empty(width, mixed.dtype)
    received = np.empty(width, mixed.dtype)
    for node in range(begin, end):
        for k in range(width):
            received[k] = 0.0
        for k in range(width):
            top[k] = of_nodes[node, k] / total[node, k]
        for k in range(width):
            bottom[k] = top[k] * (projected[node, 3 * width + k] - nodes[node, k])
        for edge in range(first[node], first[node + 1]):
            _edge_backward(gates, below, of_projected, edge, top, bottom)
            if has_above:
                for k in range(width):
                    below[edge, k] += above[edge, k]
            there = sender[edge]
            for k in range(width):
                of_projected[there, k] += below[edge, k]
            for k in range(width):
                received[k] += below[edge, k]
        for k in range(width):
            of_projected[node, 2 * width + k] = received[k]
        for k in range(width):
            of_projected[node, 3 * width + k] = of_nodes[node, k]


@vectorized
def _edge_backward(  # noqa: PLR0917  arrays
    gates: Gate, below: Array, of_projected: Array, edge: int, top: Array, bottom: Array
) -> None:
    """Write the gradient of m by way of the sums; add that of V of the sender."""
    mixed, projected, there = gates.mixed, gates.projected, gates.sender[edge]
    one, width = mixed.dtype.type(1.0), len(top)
    for k in range(width):
        below[edge, k] = one / (one + exponential(-mixed[edge, k]))
    for k in range(width):
        of_projected[there, width + k] += below[edge, k] * top[k]
    for k in range(width):
        below[edge, k] *= one - below[edge, k]
    for k in range(width):
        below[edge, k] *= projected[there, width + k] * top[k] + bottom[k]
