"""Batch norms of rows that stand for several equal ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch

if TYPE_CHECKING:
    from torch import Tensor, nn


def normalize_columns(
    rows: Tensor, norm: nn.BatchNorm1d, weight: Tensor | None = None
) -> Tensor:
    """Normalise a batch of rows, each of which may stand for several equal ones.

    Args:
        rows: Shape (n_rows, width).
        norm: In training mode its running statistics are updated.
        weight: How often each row counts, shape (n_rows,); once by default.

    Returns:
        What `norm` gives for the rows so often repeated, once each, shape (n_rows, width).
    """
    if weight is None or not norm.training:
        return norm(rows)
    share, number = (weight / weight.sum()).unsqueeze(1), weight.sum()
    mean = (share * rows).sum(0)
    shifted = rows - mean
    variance = (share * shifted.square()).sum(0)
    if norm.track_running_stats:
        note_running(norm, mean.detach(), variance.detach() * (number / (number - 1)))
    return shifted * (torch.rsqrt(variance + norm.eps) * norm.weight) + norm.bias


def note_running(norm: nn.BatchNorm1d, mean: Tensor, variance: Tensor) -> None:
    """Move the running statistics of a batch norm towards those of a batch, (width,)."""
    count = cast("Tensor", norm.num_batches_tracked).add_(1)
    rate = 1.0 / int(count) if norm.momentum is None else norm.momentum
    cast("Tensor", norm.running_mean).lerp_(mean, rate)
    cast("Tensor", norm.running_var).lerp_(variance, rate)
