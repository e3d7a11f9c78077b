"""The gated mean of ALIGNN's convolution in one pass over the edges, and its gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from crystalgnn_core.models.fused.functions import exponential, vectorized
from crystalgnn_core.models.fused.threads import run_spans

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor
    from torch.autograd.function import FunctionCtx, NestedIOFunction

    from crystalgnn_core.models.adjacency import Adjacency

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
        ctx: FunctionCtx, edge_terms: Tensor, projected: Tensor, adjacency: Adjacency
    ) -> tuple[Tensor, Tensor]:
        ctx.mark_dirty(edge_terms)
        nodes, total = gate_in_place(edge_terms, projected, adjacency)
        ctx.save_for_backward(edge_terms, projected, nodes, total)
        ctx.adjacency = adjacency  # type: ignore[attr-defined]
        ctx.set_materialize_grads(False)
        return edge_terms, nodes

    @staticmethod
    def backward(
        ctx: NestedIOFunction, grad_mixed: Tensor | None, grad_nodes: Tensor | None
    ) -> tuple[Tensor, Tensor, None]:
        mixed, projected, nodes, total = ctx.saved_tensors
        adjacency: Adjacency = ctx.adjacency
        if grad_nodes is None:
            grad_nodes = torch.zeros_like(nodes)
        above = mixed if grad_mixed is None else grad_mixed.contiguous()
        below = torch.empty_like(mixed)
        grad_projected = torch.zeros_like(projected)
        run_spans(
            _backward,
            adjacency.spans(torch.get_num_threads()),
            *_arrays(above, mixed, projected, nodes, total, grad_nodes.contiguous()),
            *_arrays(adjacency.sender, adjacency.first, below, grad_projected),
            grad_mixed is not None,
        )
        return below, grad_projected, None


def gate_in_place(
    edge_terms: Tensor, projected: Tensor, adjacency: Adjacency
) -> tuple[Tensor, Tensor]:
    """Do what `GatedMean` does, without gradients; return the sums and the sums of gates."""
    nodes = edge_terms.new_empty(len(projected), edge_terms.shape[1])
    total = torch.empty_like(nodes)
    run_spans(
        _forward,
        adjacency.spans(torch.get_num_threads()),
        *_arrays(edge_terms, projected, adjacency.sender, adjacency.first, nodes, total),
    )
    return nodes, total


def _arrays(*tensors: Tensor) -> tuple[NDArray[Any], ...]:
    return tuple(tensor.detach().numpy() for tensor in tensors)


@vectorized
def _forward(
    mixed: Array,
    projected: Array,
    sender: Index,
    first: Index,
    nodes: Array,
    total: Array,
    _: int,
    begin: int,
    end: int,
) -> None:
    width = mixed.shape[1]
    one, tiny = mixed.dtype.type(1.0), mixed.dtype.type(MEAN_GATE)
    share = np.empty(width, mixed.dtype)
    for node in range(begin, end):
        top, bottom = nodes[node], total[node]
        received = projected[node, 2 * width : 3 * width]
        own = projected[node, 3 * width : 4 * width]
        for k in range(width):
            top[k] = 0.0
        for k in range(width):
            bottom[k] = tiny
        for edge in range(first[node], first[node + 1]):
            gate = projected[sender[edge], :width]
            value = projected[sender[edge], width : 2 * width]
            here = mixed[edge]
            for k in range(width):
                here[k] = here[k] + gate[k] + received[k]
            for k in range(width):
                share[k] = one / (one + exponential(-here[k]))
            for k in range(width):
                bottom[k] += share[k]
            for k in range(width):
                top[k] += share[k] * value[k]
        for k in range(width):
            top[k] = own[k] + top[k] / bottom[k]


@vectorized
def _backward(
    above: Array,
    mixed: Array,
    projected: Array,
    nodes: Array,
    total: Array,
    grad_nodes: Array,
    sender: Index,
    first: Index,
    below: Array,
    grad_projected: Array,
    has_above: bool,  # noqa: FBT001  compiled
    _: int,
    begin: int,
    end: int,
) -> None:
    width = mixed.shape[1]
    one = mixed.dtype.type(1.0)
    top, bottom = np.empty(width, mixed.dtype), np.empty(width, mixed.dtype)
    share = np.empty(width, mixed.dtype)
    for node in range(begin, end):
        of_node, bottoms, result = grad_nodes[node], total[node], nodes[node]
        own = projected[node, 3 * width : 4 * width]
        of_received = grad_projected[node, 2 * width : 3 * width]
        of_own = grad_projected[node, 3 * width : 4 * width]
        for k in range(width):
            of_own[k] = of_node[k]
        for k in range(width):
            top[k] = of_node[k] / bottoms[k]
        for k in range(width):
            bottom[k] = -top[k] * (result[k] - own[k])
        for edge in range(first[node], first[node + 1]):
            there = sender[edge]
            value = projected[there, width : 2 * width]
            of_gate = grad_projected[there, :width]
            of_value = grad_projected[there, width : 2 * width]
            here, under = mixed[edge], below[edge]
            for k in range(width):
                share[k] = one / (one + exponential(-here[k]))
            for k in range(width):
                of_value[k] += share[k] * top[k]
            for k in range(width):
                share[k] = share[k] * (one - share[k])
            for k in range(width):
                under[k] = share[k] * (value[k] * top[k] + bottom[k])
            if has_above:
                over = above[edge]
                for k in range(width):
                    under[k] += over[k]
            for k in range(width):
                of_gate[k] += under[k]
            for k in range(width):
                of_received[k] += under[k]
