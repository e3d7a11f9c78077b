"""Batch norms of rows that stand for several equal ones, or lie in several processes."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import nn

from crystalgnn_core.distributed import ranks, sum_across

if TYPE_CHECKING:
    from torch import Tensor


def normalize_columns(
    rows: Tensor, norm: nn.BatchNorm1d, weight: Tensor | None = None
) -> Tensor:
    """Normalise a batch of rows, each of which may stand for several equal ones.

    Args:
        rows: Shape (n_rows, width).
        norm: In training mode its running statistics are updated, and processes that train
            together normalise by the rows of all.
        weight: How often each row counts, shape (n_rows,); once by default.

    Returns:
        What `norm` gives for the rows so often repeated, once each, shape (n_rows, width).
    """
    if is_shared(norm):
        return _normalize_shared(rows, norm, weight)
    if weight is None or not norm.training:
        return norm(rows)
    share, number = (weight / weight.sum()).unsqueeze(1), weight.sum()
    mean = (share * rows).sum(0)
    shifted = rows - mean
    variance = (share * shifted.square()).sum(0)
    if norm.track_running_stats:
        note_running(norm, mean.detach(), variance.detach() * (number / (number - 1)))
    return shifted * (torch.rsqrt(variance + norm.eps) * norm.weight) + norm.bias


def is_shared(norm: nn.Module) -> bool:
    """Return whether a module normalises by the rows of several processes."""
    return isinstance(norm, nn.BatchNorm1d) and norm.training and ranks().size > 1


def _normalize_shared(rows: Tensor, norm: nn.BatchNorm1d, weight: Tensor | None) -> Tensor:
    """Do what `normalize_columns` says for rows in several processes, in equal steps."""
    wide = rows.float() if rows.dtype.itemsize < 4 else rows
    times = wide.new_ones(len(rows)) if weight is None else weight
    number = sum_across(times.sum())
    share = (times / number).unsqueeze(1)
    mean = sum_across((share * wide).sum(0))
    shifted = wide - mean
    variance = sum_across((share * shifted.square()).sum(0))
    if norm.track_running_stats:
        note_running(norm, mean.detach(), variance.detach() * (number / (number - 1)))
    found = shifted * (torch.rsqrt(variance + norm.eps) * norm.weight) + norm.bias
    return found.to(rows.dtype)


def note_running(norm: nn.BatchNorm1d, mean: Tensor, variance: Tensor) -> None:
    """Move the running statistics of a batch norm towards those of a batch, (width,)."""
    count = cast("Tensor", norm.num_batches_tracked).add_(1)
    rate = 1.0 / int(count) if norm.momentum is None else norm.momentum
    cast("Tensor", norm.running_mean).lerp_(mean, rate)
    cast("Tensor", norm.running_var).lerp_(variance, rate)
