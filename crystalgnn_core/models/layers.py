"""Pieces that models share: distance basis, sums over neighbours and graphs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from crystalgnn_core.models.cpu.segments import SegmentSum
from crystalgnn_core.models.cpu.threads import runs_fused

if TYPE_CHECKING:
    from torch import Tensor
    from torch.autograd.function import FunctionCtx, NestedIOFunction

# smaller features are as good as zero; below 1e-38, where floats lose precision, processors
# multiply a hundred times slower
NOTHING = -80.0


class GaussianExpansion(nn.Module):
    """Expand a quantity in Gaussians exp(-gamma (x - mu)^2) on an even grid.

    Args:
        start: First centre.
        stop: Last centre.
        n_features: Number of Gaussians.
        gamma: Inverse square of their width.
    """

    centers: Tensor

    def __init__(self, start: float, stop: float, n_features: int, gamma: float) -> None:
        super().__init__()
        self.gamma = gamma
        self.register_buffer(
            "centers", torch.linspace(start, stop, n_features), persistent=False
        )

    @property
    def n_features(self) -> int:
        """Number of Gaussians."""
        return len(self.centers)

    def forward(self, values: Tensor) -> Tensor:
        """Map values (n,) to features (n, n_features); those below 2e-35 are zero."""
        exponent = -self.gamma * (values.unsqueeze(1) - self.centers).square()
        return torch.exp(functional.threshold(exponent, NOTHING, -math.inf))


class ShiftedSoftplus(nn.Module):
    """ln(0.5 e^x + 0.5), zero at zero (Schuett et al. 2018)."""

    def forward(self, values: Tensor) -> Tensor:
        """Map values of any shape."""
        return functional.softplus(values) - math.log(2.0)


class _SpreadToEdges(torch.autograd.Function):
    """Repeat each centre's row for its edges; the gradient is a segment sum."""

    @staticmethod
    def forward(ctx: FunctionCtx, rows: Tensor, degree: Tensor, n_edges: int) -> Tensor:
        ctx.save_for_backward(degree)
        return rows.repeat_interleave(degree, dim=0, output_size=n_edges)

    @staticmethod
    def backward(ctx: NestedIOFunction, gradient: Tensor) -> tuple[Tensor, None, None]:
        (degree,) = ctx.saved_tensors
        return sum_by_center(gradient.contiguous(), degree), None, None


def spread_to_edges(rows: Tensor, degree: Tensor, n_edges: int) -> Tensor:
    """Repeat the row of each centre for each of its edges.

    Args:
        rows: Shape (n_atoms, width).
        degree: Edges of each atom, shape (n_atoms,), int64.
        n_edges: Sum of the degrees.

    Returns:
        Shape (n_edges, width), grouped by centre.
    """
    return _SpreadToEdges.apply(rows, degree, n_edges)  # type: ignore[no-untyped-call]


def sum_by_center(messages: Tensor, degree: Tensor, weight: Tensor | None = None) -> Tensor:
    """Sum messages over the edges of each centre.

    Args:
        messages: Shape (n_edges, width), grouped by centre.
        degree: Edges of each atom, shape (n_atoms,), int64.
        weight: How often each message counts, shape (n_edges,); once by default.

    Returns:
        Shape (n_atoms, width); zero for an atom without edges.
    """
    if not len(degree):  # which segment_reduce refuses: bonds of atoms that have none
        return messages
    if messages.dtype == torch.bfloat16:  # autocast: products are rounded, sums are not
        messages = messages.float()
    if runs_fused(messages):
        return SegmentSum.apply(messages, degree, weight)  # type: ignore[no-untyped-call]
    if weight is not None:
        messages = messages * weight.unsqueeze(1)
    return torch.segment_reduce(messages, "sum", lengths=degree, initial=0.0)


def mean_by_center(
    messages: Tensor, degree: Tensor, weight: Tensor | None = None
) -> Tensor:
    """Average messages over the edges of each centre; arguments as for `sum_by_center`."""
    if weight is None:
        number = degree.unsqueeze(1)
    else:
        number = sum_by_center(weight.unsqueeze(1), degree)
    return sum_by_center(messages, degree, weight) / number.clamp(min=1)


def mean_by_graph(
    features: Tensor, pointer: Tensor, weight: Tensor | None = None
) -> Tensor:
    """Average atom features over each graph.

    Args:
        features: Shape (n_atoms, width), grouped by graph.
        pointer: First atom of each graph and the end, shape (n_graphs + 1,), int64.
        weight: How often each atom counts, shape (n_atoms,); once by default.

    Returns:
        Shape (n_graphs, width).
    """
    return mean_by_center(features, pointer.diff(), weight)
