"""Kernels on several threads: each works on a span of rows that no other one writes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from crystalgnn_core.models.adjacency import Span

SMALLEST = 2048  # rows that are worth a thread


def runs_fused(*tensors: Tensor) -> bool:
    """Say whether kernels can work on these: on the CPU, in single or double precision.

    Not while torch traces or compiles a network, and not under autocast.
    """
    if torch.compiler.is_compiling() or torch.is_autocast_enabled("cpu"):
        return False
    kind = tensors[0].dtype
    if kind not in {torch.float32, torch.float64}:
        return False
    return all(tensor.is_cpu and tensor.dtype == kind for tensor in tensors)


def row_spans(n_rows: int) -> list[Span]:
    """Cut rows into one span a thread of torch; few rows into one span."""
    n_spans = max(1, min(torch.get_num_threads(), n_rows // SMALLEST))
    cuts = [n_rows * index // n_spans for index in range(n_spans + 1)]
    return list(zip(cuts[:-1], cuts[1:], strict=True))


def run_spans(
    kernel: Callable[..., object], spans: Sequence[Span], *arguments: object
) -> None:
    """Call `kernel(*arguments, index, begin, end)` for every span, each on its own thread.

    The calling thread takes the first span. Kernels release the GIL.
    """
    if not spans:
        return
    others = [
        _pool().submit(kernel, *arguments, index, begin, end)
        for index, (begin, end) in enumerate(spans[1:], start=1)
    ]
    kernel(*arguments, 0, *spans[0])
    for other in others:
        other.result()


@cache
def _pool() -> ThreadPoolExecutor:
    """The threads of this process; several callers may share them."""
    return ThreadPoolExecutor(
        max(1, torch.get_num_threads()), thread_name_prefix="crystalgnn-kernel"
    )
