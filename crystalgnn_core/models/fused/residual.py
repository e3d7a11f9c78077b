"""residual + SiLU(normalised x) in one pass over the rows, and its gradients.

The normalisation is that of a layer (each row by its own mean and spread) or of a batch
(each column by those of the batch, or by those that were learned).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from crystalgnn_core.models.fused.functions import exponential, vectorized
from crystalgnn_core.models.fused.threads import row_spans, run_spans, runs_fused

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor
    from torch.autograd.function import FunctionCtx, NestedIOFunction

    Array = NDArray[np.floating[Any]]
    Sums = NDArray[np.float64]

FLUSH = 32  # rows that are summed in the rows' own precision before they go to a double


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
    if len(x) and runs_fused(x):
        if isinstance(norm, nn.LayerNorm):
            return _Rows.apply(x, residual, norm.weight, norm.bias, norm.eps)  # type: ignore[no-untyped-call]
        if isinstance(norm, nn.BatchNorm1d) and norm.training and len(x) > 1:
            mean, rstd = _batch_statistics(x, norm)
            return _Columns.apply(x, residual, norm.weight, norm.bias, mean, rstd)  # type: ignore[no-untyped-call]
        if isinstance(norm, nn.BatchNorm1d) and not torch.is_grad_enabled():
            scale, shift = learned_affine(norm)
            return scale_and_activate(x, residual, scale, shift)
    activated = functional.silu(norm(x))
    return activated if residual is None else activated + residual


def learned_affine(norm: nn.BatchNorm1d) -> tuple[Tensor, Tensor]:
    """Return scale and shift, shape (width,), of a batch norm in evaluation mode."""
    mean, variance = cast("Tensor", norm.running_mean), cast("Tensor", norm.running_var)
    scale = norm.weight * torch.rsqrt(variance + norm.eps)
    return scale.detach(), (norm.bias - mean * scale).detach()


def scale_and_activate(
    x: Tensor, residual: Tensor | None, scale: Tensor, shift: Tensor
) -> Tensor:
    """Return residual + SiLU(scale x + shift), without gradients."""
    out = torch.empty_like(x)
    arrays = _arrays(x, x if residual is None else residual, scale, shift, out)
    run_spans(_affine_forward, row_spans(len(x)), *arrays, residual is not None)
    return out


class _Rows(torch.autograd.Function):
    """The normalisation of a layer."""

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        x: Tensor,
        residual: Tensor | None,
        weight: Tensor,
        bias: Tensor,
        eps: float,
    ) -> Tensor:
        out = torch.empty_like(x)
        arrays = _arrays(x, x if residual is None else residual, weight, bias, out)
        run_spans(_rows_forward, row_spans(len(x)), *arrays, eps, residual is not None)
        ctx.save_for_backward(x, weight, bias)
        ctx.eps, ctx.has_residual = eps, residual is not None  # type: ignore[attr-defined]
        return out

    @staticmethod
    def backward(
        ctx: NestedIOFunction, grad: Tensor
    ) -> tuple[Tensor, Tensor | None, Tensor, Tensor, None]:
        x, weight, bias = ctx.saved_tensors
        grad, spans = grad.contiguous(), row_spans(len(x))
        grad_x, sums = torch.empty_like(x), _new_sums(spans, x)
        arrays = _arrays(grad, x, weight, bias, grad_x)
        run_spans(_rows_backward, spans, *arrays, ctx.eps, sums)
        of_bias, of_weight = _total(sums, x)
        return grad_x, grad if ctx.has_residual else None, of_weight, of_bias, None


class _Columns(torch.autograd.Function):
    """The normalisation of a batch by its own mean and spread."""

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        x: Tensor,
        residual: Tensor | None,
        weight: Tensor,
        bias: Tensor,
        mean: Tensor,
        rstd: Tensor,
    ) -> Tensor:
        scale = weight * rstd
        ctx.save_for_backward(x, scale, bias, mean, rstd)
        ctx.has_residual = residual is not None  # type: ignore[attr-defined]
        return scale_and_activate(x, residual, scale, bias - mean * scale)

    @staticmethod
    def backward(
        ctx: NestedIOFunction, grad: Tensor
    ) -> tuple[Tensor, Tensor | None, Tensor, Tensor, None, None]:
        x, scale, bias, mean, rstd = ctx.saved_tensors
        grad, spans = grad.contiguous(), row_spans(len(x))
        grad_x, sums = torch.empty_like(x), _new_sums(spans, x)
        arrays = _arrays(grad, x, scale, bias - mean * scale, grad_x)
        run_spans(_columns_slope, spans, *arrays, sums)
        slope, slope_x = sums.sum(axis=0)  # of the slope, and of the slope times x
        center, spread = mean.double().numpy(), rstd.double().numpy()
        slope_unit = (slope_x - center * slope) * spread
        # grad_x <- scale (slope - mean(slope) - unit mean(slope unit)), unit = (x - m) r
        factor = slope_unit * spread / len(x)
        offset = slope / len(x) - center * factor
        kind = x.numpy().dtype
        run_spans(
            _columns_backward,
            spans,
            *_arrays(x, scale),
            factor.astype(kind),
            offset.astype(kind),
            grad_x.numpy(),
        )
        of_weight = torch.from_numpy(slope_unit).to(x.dtype)
        of_bias = torch.from_numpy(slope).to(x.dtype)
        residual = grad if ctx.has_residual else None
        return grad_x, residual, of_weight, of_bias, None, None


def _batch_statistics(x: Tensor, norm: nn.BatchNorm1d) -> tuple[Tensor, Tensor]:
    """Return mean and reciprocal spread of the columns; note them in the running ones."""
    spans = row_spans(len(x))
    sums = _new_sums(spans, x)
    shift = x[0].detach().clone()  # keeps the sum of squares from cancelling
    run_spans(_moments, spans, *_arrays(x, shift), sums)
    first, second = torch.from_numpy(sums.sum(axis=0)) / len(x)
    variance = (second - first.square()).clamp(min=0.0)
    mean = first + shift
    with torch.no_grad():
        if norm.track_running_stats:
            cast("Tensor", norm.num_batches_tracked).add_(1)
            rate = norm.momentum or 1.0 / int(cast("Tensor", norm.num_batches_tracked))
            unbiased = variance * (len(x) / (len(x) - 1))
            cast("Tensor", norm.running_mean).lerp_(mean.to(x.dtype), rate)
            cast("Tensor", norm.running_var).lerp_(unbiased.to(x.dtype), rate)
    return mean.to(x.dtype), torch.rsqrt(variance + norm.eps).to(x.dtype)


def _arrays(*tensors: Tensor) -> tuple[Array, ...]:
    return tuple(tensor.detach().contiguous().numpy() for tensor in tensors)


def _new_sums(spans: list[tuple[int, int]], x: Tensor) -> Sums:
    return np.zeros((len(spans), 2, x.shape[1]))


def _total(sums: Sums, x: Tensor) -> tuple[Tensor, Tensor]:
    first, second = torch.from_numpy(sums.sum(axis=0)).to(x.dtype)
    return first, second


@vectorized
def _rows_forward(
    x: Array,
    residual: Array,
    weight: Array,
    bias: Array,
    out: Array,
    eps: float,
    has_residual: bool,  # noqa: FBT001  compiled
    _: int,
    begin: int,
    end: int,
) -> None:
    width = x.shape[1]
    one = x.dtype.type(1.0)
    unit = np.empty(width, x.dtype)
    for row in range(begin, end):
        normalize_row(x[row], eps, unit)
        target, before = out[row], residual[row]
        for k in range(width):
            unit[k] = unit[k] * weight[k] + bias[k]
        for k in range(width):
            unit[k] = unit[k] / (one + exponential(-unit[k]))
        if has_residual:
            for k in range(width):
                target[k] = unit[k] + before[k]
        else:
            for k in range(width):
                target[k] = unit[k]


@vectorized
def normalize_row(x: Array, eps: float, unit: Array) -> float:
    """Write (x - mean) / spread into `unit`; return the reciprocal spread."""
    width = len(x)
    one = x.dtype.type(1.0)
    total = x.dtype.type(0.0)
    for k in range(width):
        total += x[k]
    mean = total / x.dtype.type(width)
    square = x.dtype.type(0.0)
    for k in range(width):
        square += (x[k] - mean) * (x[k] - mean)
    spread = one / np.sqrt(square / x.dtype.type(width) + x.dtype.type(eps))
    for k in range(width):
        unit[k] = (x[k] - mean) * spread
    return spread


@vectorized
def _rows_backward(
    grad: Array,
    x: Array,
    weight: Array,
    bias: Array,
    grad_x: Array,
    eps: float,
    sums: Sums,
    index: int,
    begin: int,
    end: int,
) -> None:
    width = x.shape[1]
    one, zero = x.dtype.type(1.0), x.dtype.type(0.0)
    per = one / x.dtype.type(width)
    unit, slope = np.empty(width, x.dtype), np.empty(width, x.dtype)
    of_bias, of_weight = np.zeros(width, x.dtype), np.zeros(width, x.dtype)
    for row in range(begin, end):
        spread = normalize_row(x[row], eps, unit)
        above, below = grad[row], grad_x[row]
        for k in range(width):
            slope[k] = unit[k] * weight[k] + bias[k]
        for k in range(width):
            share = one / (one + exponential(-slope[k]))
            slope[k] = share * (one + slope[k] * (one - share))
        for k in range(width):
            slope[k] *= above[k]
        for k in range(width):
            of_bias[k] += slope[k]
        for k in range(width):
            of_weight[k] += slope[k] * unit[k]
        mean, mean_unit = zero, zero
        for k in range(width):
            slope[k] *= weight[k]
            mean += slope[k]
            mean_unit += slope[k] * unit[k]
        mean, mean_unit = mean * per, mean_unit * per
        for k in range(width):
            below[k] = spread * (slope[k] - mean - unit[k] * mean_unit)
        if (row - begin) % FLUSH == FLUSH - 1 or row == end - 1:
            _flush(of_bias, sums[index, 0])
            _flush(of_weight, sums[index, 1])


@vectorized
def _flush(part: Array, whole: Sums) -> None:
    for k in range(len(part)):
        whole[k] += part[k]
        part[k] = 0.0


@vectorized
def _affine_forward(
    x: Array,
    residual: Array,
    scale: Array,
    shift: Array,
    out: Array,
    has_residual: bool,  # noqa: FBT001  compiled
    _: int,
    begin: int,
    end: int,
) -> None:
    width = x.shape[1]
    one = x.dtype.type(1.0)
    value = np.empty(width, x.dtype)
    for row in range(begin, end):
        here, before, target = x[row], residual[row], out[row]
        for k in range(width):
            value[k] = here[k] * scale[k] + shift[k]
        for k in range(width):
            value[k] = value[k] / (one + exponential(-value[k]))
        if has_residual:
            for k in range(width):
                target[k] = value[k] + before[k]
        else:
            for k in range(width):
                target[k] = value[k]


@vectorized
def _moments(x: Array, center: Array, sums: Sums, index: int, begin: int, end: int) -> None:
    width = x.shape[1]
    first, second = np.zeros(width, x.dtype), np.zeros(width, x.dtype)
    for row in range(begin, end):
        here = x[row]
        for k in range(width):
            first[k] += here[k] - center[k]
        for k in range(width):
            second[k] += (here[k] - center[k]) * (here[k] - center[k])
        if (row - begin) % FLUSH == FLUSH - 1 or row == end - 1:
            _flush(first, sums[index, 0])
            _flush(second, sums[index, 1])


@vectorized
def _columns_slope(
    grad: Array,
    x: Array,
    scale: Array,
    shift: Array,
    slopes: Array,
    sums: Sums,
    index: int,
    begin: int,
    end: int,
) -> None:
    """Write the gradient before the activation; sum it, and its product with x."""
    width = x.shape[1]
    one = x.dtype.type(1.0)
    first, second = np.zeros(width, x.dtype), np.zeros(width, x.dtype)
    for row in range(begin, end):
        above, here, slope = grad[row], x[row], slopes[row]
        for k in range(width):
            slope[k] = here[k] * scale[k] + shift[k]
        for k in range(width):
            share = one / (one + exponential(-slope[k]))
            slope[k] = share * (one + slope[k] * (one - share))
        for k in range(width):
            slope[k] *= above[k]
        for k in range(width):
            first[k] += slope[k]
        for k in range(width):
            second[k] += slope[k] * here[k]
        if (row - begin) % FLUSH == FLUSH - 1 or row == end - 1:
            _flush(first, sums[index, 0])
            _flush(second, sums[index, 1])


@vectorized
def _columns_backward(
    x: Array,
    scale: Array,
    factor: Array,
    offset: Array,
    slopes: Array,
    _: int,
    begin: int,
    end: int,
) -> None:
    width = x.shape[1]
    for row in range(begin, end):
        here, slope = x[row], slopes[row]
        for k in range(width):
            slope[k] = scale[k] * (slope[k] - offset[k] - factor[k] * here[k])
