"""The gated sum of CGCNN's convolution in two passes over the edges, with its gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.autograd.function import once_differentiable

from crystalgnn_core.models.cpu import gated_sum_kernels as kernels
from crystalgnn_core.models.cpu.residual import column_gradient, learned, note_statistics
from crystalgnn_core.models.cpu.threads import fields_of, run_spans

if TYPE_CHECKING:
    from torch import Tensor, nn

    from crystalgnn_core.models.adjacency import Adjacency

    Context = Any  # torch lets a context have any attribute


class GatedSum(torch.autograd.Function):
    """Sum of s(z_gate) softplus(z_core) over the edges that each node receives.

    z is the batch-normalised m = e + A_sender + B_receiver, gate and core side by side; in
    training mode the batch norm uses and notes the statistics of the batch.
    `apply(edge_terms, projected, weight, bias, norm, adjacency)` returns shape
    (n_nodes, width). Edge terms have shape (n_edges, 2 width), with two edges at least in
    training mode, and are overwritten; A and B stand side by side in `projected`, shape
    (n_nodes, 4 width).
    """

    @staticmethod
    def forward(  # noqa: PLR0917  an argument for each gradient
        ctx: Context,
        edge_terms: Tensor,
        projected: Tensor,
        weight: Tensor,
        bias: Tensor,
        norm: nn.BatchNorm1d,
        adjacency: Adjacency,
    ) -> Tensor:
        """Mix, find the statistics, then gate and sum."""
        spans = adjacency.spans(torch.get_num_threads())
        sums = np.zeros((len(spans), 2, edge_terms.shape[1]))
        center = edge_terms[:1].sum(dim=0)  # near enough to the mean of m
        times, number = _weights(adjacency, edge_terms)
        graph = adjacency.sender, adjacency.first, number
        mixed = kernels.Mix(*fields_of(edge_terms, projected, *graph, center, sums))
        run_spans(kernels.mix, mixed, spans)
        if norm.training:
            statistics = note_statistics(sums, center, number.sum().item(), norm)
        else:
            statistics = learned(norm)
        scale = weight * statistics.rstd
        shift = bias - statistics.mean * scale
        out = edge_terms.new_empty(len(projected), edge_terms.shape[1] // 2)
        gates = fields_of(edge_terms, adjacency.first, times, scale, shift, out)
        run_spans(kernels.gate, kernels.Gate(*gates), spans)
        ctx.save_for_backward(edge_terms, scale, shift)
        ctx.statistics, ctx.adjacency = statistics, adjacency
        ctx.times, ctx.number = times, number
        return out

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Context, grad: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, None, None]:
        """Find the slopes, sum them by column, and hand them to edges and nodes."""
        mixed, scale, shift = ctx.saved_tensors
        adjacency: Adjacency = ctx.adjacency
        spans = adjacency.spans(torch.get_num_threads())
        below = torch.empty_like(mixed)
        sums = np.zeros((len(spans), 2, mixed.shape[1]))
        columns = scale, shift, below, sums
        slopes = fields_of(grad, mixed, adjacency.first, ctx.times, *columns)
        run_spans(kernels.slope, kernels.Slopes(*slopes), spans)
        found = column_gradient(sums, ctx.statistics, ctx.number.sum().item())
        of_projected = mixed.new_zeros(len(grad), 2 * mixed.shape[1])
        rows = (mixed, scale, found.factor, found.offset, below, of_projected)
        graph = adjacency.sender, adjacency.first, ctx.number
        arrays = fields_of(*rows, *graph)
        run_spans(kernels.scatter, kernels.Scatter(*arrays), spans)
        return below, of_projected, found.of_weight, found.of_bias, None, None


def _weights(adjacency: Adjacency, edge_terms: Tensor) -> tuple[Tensor, Tensor]:
    """Return how many edges of its node, and of the batch, each edge stands for."""
    number = adjacency.weights()
    if number is None or adjacency.edge_weight is None:
        ones = edge_terms.new_ones(len(edge_terms))
        return ones, ones
    return adjacency.edge_weight, number
