"""residual + SiLU(normalised x) in one pass over the rows, with its gradients.

The normalisation is that of a layer (each row by its own mean and spread) or of a batch
(each column by those of the batch, or by those that were learned).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from crystalgnn_core.models.cpu import residual_kernels as kernels
from crystalgnn_core.models.cpu.threads import (
    array_of,
    fields_of,
    row_spans,
    run_spans,
    runs_fused,
)
from crystalgnn_core.models.normalization import (
    is_shared,
    normalize_columns,
    note_running,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

    Context = Any  # torch lets a context have any attribute


def add_activated(x: Tensor, residual: Tensor | None, norm: nn.Module) -> Tensor:
    """Return residual + SiLU(norm(x)).

    Args:
        x: Shape (n_rows, width).
        residual: Same shape; None adds nothing.
        norm: A LayerNorm or BatchNorm1d over the width, with weight and bias; in training
            a batch norm updates its running statistics.

    Returns:
        Shape (n_rows, width).
    """
    if len(x) and runs_fused(x) and not is_shared(norm):
        if isinstance(norm, nn.LayerNorm):
            return _Rows.apply(x, residual, norm.weight, norm.bias, norm.eps)  # type: ignore[no-untyped-call]
        if isinstance(norm, nn.BatchNorm1d) and (len(x) > 1 or not norm.training):
            found = batch_statistics(x, norm) if norm.training else learned(norm)
            return _Columns.apply(x, residual, norm.weight, norm.bias, found)  # type: ignore[no-untyped-call]
    normal = normalize_columns(x, norm) if isinstance(norm, nn.BatchNorm1d) else norm(x)
    activated = functional.silu(normal)
    return activated if residual is None else activated + residual


class Statistics(NamedTuple):
    """Statistics of columns, shape (width,) each.

    Attributes:
        mean: Mean.
        rstd: Reciprocal spread.
        are_fixed: Whether they are learned ones, and not those of the batch.
    """

    mean: Tensor
    rstd: Tensor
    are_fixed: bool


def learned(norm: nn.BatchNorm1d) -> Statistics:
    """Return the running statistics of a batch norm."""
    mean, variance = cast("Tensor", norm.running_mean), cast("Tensor", norm.running_var)
    # a copy: the running ones may move before a gradient needs them
    return Statistics(mean.clone(), torch.rsqrt(variance + norm.eps), are_fixed=True)


def learned_affine(norm: nn.BatchNorm1d) -> tuple[Tensor, Tensor]:
    """Return scale and shift, shape (width,), of a batch norm in evaluation mode."""
    mean, rstd, _ = learned(norm)
    scale = norm.weight * rstd
    return scale.detach(), (norm.bias - mean * scale).detach()


def batch_statistics(x: Tensor, norm: nn.BatchNorm1d) -> Statistics:
    """Return the statistics of the columns; note them in the running ones.

    Args:
        x: Shape (n_rows, width), at least two rows.
        norm: Batch norm in training mode.
    """
    spans = row_spans(len(x))
    sums = np.zeros((len(spans), 2, x.shape[1]))
    center = x[0].detach().clone()  # keeps the sum of squares from cancelling
    run_spans(kernels.moments, kernels.Moments(array_of(x), array_of(center), sums), spans)
    return note_statistics(sums, center, len(x), norm)


def note_statistics(
    sums: NDArray[np.float64], center: Tensor, n_rows: float, norm: nn.BatchNorm1d
) -> Statistics:
    """Turn sums of x - center and of its square into statistics of the batch.

    Args:
        sums: Of spans of rows, shape (n_spans, 2, width).
        center: Shape (width,).
        n_rows: Rows in all, repeated ones as often as they count.
        norm: Batch norm whose running statistics are updated.
    """
    first, second = torch.from_numpy(sums.sum(axis=0)) / n_rows
    variance = (second - first.square()).clamp(min=0.0)
    mean, kind = first + center, center.dtype
    if norm.track_running_stats:
        unbiased = variance * (n_rows / (n_rows - 1))
        note_running(norm, mean.to(kind), unbiased.to(kind))
    rstd = torch.rsqrt(variance + norm.eps).to(kind)
    return Statistics(mean.to(kind), rstd, are_fixed=False)


class ColumnGradient(NamedTuple):
    """What the gradient of a batch norm needs of its columns, shape (width,) each.

    With slopes g before the normalised x is scaled and shifted, the gradient of x is
    scale (g - offset - factor x).
    """

    of_weight: Tensor
    of_bias: Tensor
    factor: Tensor
    offset: Tensor


def column_gradient(
    sums: NDArray[np.float64], statistics: Statistics, n_rows: float
) -> ColumnGradient:
    """Turn sums of slopes into what the gradients need.

    Args:
        sums: Of g and of g x, by spans of rows, shape (n_spans, 2, width).
        statistics: Of x.
        n_rows: Rows in all.
    """
    slope, slope_x = sums.sum(axis=0)
    mean, rstd = statistics.mean.double().numpy(), statistics.rstd.double().numpy()
    of_weight = (slope_x - mean * slope) * rstd
    # fixed statistics do not move with x
    factor = 0.0 * slope if statistics.are_fixed else of_weight * rstd / n_rows
    offset = 0.0 * slope if statistics.are_fixed else slope / n_rows - mean * factor
    kind = statistics.mean.dtype
    values = (of_weight, slope, factor, offset)
    return ColumnGradient(*(torch.from_numpy(value).to(kind) for value in values))


def _scale_and_activate(
    x: Tensor,
    residual: Tensor | None,
    affine: tuple[Tensor, Tensor],
    kernel: Callable[..., object] = kernels.columns_forward,
    eps: float = 0.0,
) -> Tensor:
    """Return residual + SiLU(scale x + shift), without gradients."""
    out, before = torch.empty_like(x), x if residual is None else residual
    fields = fields_of(x, before, *affine, out, eps, residual is not None)
    run_spans(kernel, kernels.Forward(*fields), row_spans(len(x)))
    return out


class _Rows(torch.autograd.Function):
    """The normalisation of a layer."""

    @staticmethod
    def forward(  # noqa: PLR0917  an argument for each gradient
        ctx: Context,
        x: Tensor,
        residual: Tensor | None,
        weight: Tensor,
        bias: Tensor,
        eps: float,
    ) -> Tensor:
        ctx.save_for_backward(x, weight, bias)
        ctx.eps, ctx.has_residual = eps, residual is not None
        return _scale_and_activate(x, residual, (weight, bias), kernels.rows_forward, eps)

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Context, grad: Tensor
    ) -> tuple[Tensor, Tensor | None, Tensor, Tensor, None]:
        x, weight, bias = ctx.saved_tensors
        spans, below = row_spans(len(x)), torch.empty_like(x)
        sums = np.zeros((len(spans), 2, x.shape[1]))
        arrays = kernels.Backward(*fields_of(grad, x, weight, bias, below, ctx.eps, sums))
        run_spans(kernels.rows_backward, arrays, spans)
        of_bias, of_weight = torch.from_numpy(sums.sum(axis=0)).to(x.dtype)
        return below, grad if ctx.has_residual else None, of_weight, of_bias, None


class _Columns(torch.autograd.Function):
    """The normalisation of a batch, by its own mean and spread or by learned ones."""

    @staticmethod
    def forward(  # noqa: PLR0917  an argument for each gradient
        ctx: Context,
        x: Tensor,
        residual: Tensor | None,
        weight: Tensor,
        bias: Tensor,
        statistics: Statistics,
    ) -> Tensor:
        scale = weight * statistics.rstd
        shift = bias - statistics.mean * scale
        ctx.save_for_backward(x, scale, shift)
        ctx.statistics, ctx.has_residual = statistics, residual is not None
        return _scale_and_activate(x, residual, (scale, shift))

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Context, grad: Tensor
    ) -> tuple[Tensor, Tensor | None, Tensor, Tensor, None]:
        x, scale, shift = ctx.saved_tensors
        spans, below = row_spans(len(x)), torch.empty_like(x)
        sums = np.zeros((len(spans), 2, x.shape[1]))
        slopes = kernels.Backward(*fields_of(grad, x, scale, shift, below, 0.0, sums))
        run_spans(kernels.columns_slope, slopes, spans)
        found = column_gradient(sums, ctx.statistics, len(x))
        columns = fields_of(x, scale, found.factor, found.offset, below)
        run_spans(kernels.columns_backward, kernels.Columns(*columns), spans)
        of_residual = grad if ctx.has_residual else None
        return below, of_residual, found.of_weight, found.of_bias, None
