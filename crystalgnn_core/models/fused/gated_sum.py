"""The gated sum of CGCNN's convolution in two passes over the edges, with its gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from crystalgnn_core.models.fused import gated_sum_kernels as kernels
from crystalgnn_core.models.fused.residual import column_gradient, note_statistics
from crystalgnn_core.models.fused.threads import array_of, fields_of, run_spans

if TYPE_CHECKING:
    from torch import Tensor, nn

    from crystalgnn_core.models.adjacency import Adjacency

    Context = Any  # torch lets a context have any attribute


class GatedSum(torch.autograd.Function):
    """Sum of s(z_gate) softplus(z_core) over the edges that each node receives.

    z is the batch-normalised m = e + A_sender + B_receiver, gate and core side by side; the
    batch norm, in training, uses and notes the statistics of the batch.
    `apply(edge_terms, projected, weight, bias, norm, adjacency)` returns shape
    (n_nodes, width). Edge terms have shape (n_edges, 2 width) with two edges at least, and
    are overwritten; A and B stand side by side in `projected`, shape (n_nodes, 4 width).
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
        graph = array_of(adjacency.sender), array_of(adjacency.first)
        sums = np.zeros((len(spans), 2, edge_terms.shape[1]))
        center = edge_terms[0].clone()  # near enough to the mean of m
        mixed = array_of(edge_terms)
        arrays = kernels.Mix(mixed, array_of(projected), *graph, array_of(center), sums)
        run_spans(kernels.mix, arrays, spans)
        mean, rstd = note_statistics(sums, center, len(edge_terms), norm)
        scale = weight * rstd
        shift = bias - mean * scale
        out = edge_terms.new_empty(len(projected), edge_terms.shape[1] // 2)
        columns = array_of(scale), array_of(shift)
        run_spans(
            kernels.gate, kernels.Gate(mixed, graph[1], *columns, array_of(out)), spans
        )
        ctx.save_for_backward(edge_terms, scale, shift, mean, rstd)
        ctx.adjacency = adjacency
        return out

    @staticmethod
    def backward(
        ctx: Context, grad: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, None, None]:
        """Find the slopes, sum them by column, and hand them to edges and nodes."""
        mixed, scale, shift, mean, rstd = ctx.saved_tensors
        adjacency: Adjacency = ctx.adjacency
        spans = adjacency.spans(torch.get_num_threads())
        sender, first = array_of(adjacency.sender), array_of(adjacency.first)
        below = torch.empty_like(mixed)
        sums = np.zeros((len(spans), 2, mixed.shape[1]))
        columns = array_of(scale), array_of(shift)
        slopes = kernels.Slopes(
            array_of(grad), array_of(mixed), first, *columns, array_of(below), sums
        )
        run_spans(kernels.slope, slopes, spans)
        found = column_gradient(sums, mean, rstd, len(mixed))
        of_weight, of_bias, factor, offset = (
            torch.from_numpy(value).to(mixed.dtype) for value in found
        )
        of_projected = mixed.new_zeros(len(grad), 2 * mixed.shape[1])
        tensors = (mixed, scale, factor, offset, below, of_projected)
        run_spans(
            kernels.scatter,
            kernels.Scatter(*fields_of(*tensors, sender, first)),
            spans,
        )
        return below, of_projected, of_weight, of_bias, None, None
