"""Kernels on several threads: each works on a span of rows that no other one writes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from crystalgnn_core.models.adjacency import Span

SMALLEST = 2048  # rows that are worth a thread


def runs_fused(*tensors: Tensor) -> bool:
    """Return whether kernels can work on these: on the CPU, in single or double precision.

    Not while torch traces or compiles a network, and not under autocast.
    """
    if torch.compiler.is_compiling() or torch.is_autocast_enabled("cpu"):
        return False
    kind = tensors[0].dtype
    if kind not in {torch.float32, torch.float64}:
        return False
    return all(tensor.is_cpu and tensor.dtype == kind for tensor in tensors)


def row_spans(n_rows: int, n_read: int | None = None) -> list[Span]:
    """Cut rows into one span per thread of torch.

    Args:
        n_rows: Rows that are written; few are one span.
        n_read: Rows that are read for them, where these are others.
    """
    n_spans = max(1, min(torch.get_num_threads(), (n_read or n_rows) // SMALLEST))
    return list(pairwise(n_rows * index // n_spans for index in range(n_spans + 1)))


def run_spans(
    kernel: Callable[[Any, int, int, int], object], arrays: object, spans: Sequence[Span]
) -> None:
    """Call `kernel(arrays, index, begin, end)` for every span, each on a thread.

    The calling thread takes the first span. Kernels release the GIL.
    """
    if not spans:
        return
    others = [
        _pool().submit(kernel, arrays, index, begin, end)
        for index, (begin, end) in enumerate(spans[1:], start=1)
    ]
    kernel(arrays, 0, *spans[0])
    for other in others:
        other.result()


def array_of(tensor: Tensor) -> NDArray[Any]:
    """Look at a tensor as a contiguous array; a copy only where it is not contiguous."""
    return tensor.detach().contiguous().numpy()


def fields_of(*values: object) -> Any:  # noqa: ANN401  the fields of some tuple of arrays
    """Return tensors as contiguous arrays, and what is no tensor as it is."""
    return tuple(
        array_of(value) if isinstance(value, torch.Tensor) else value for value in values
    )


@cache
def _pool() -> ThreadPoolExecutor:
    """Return the threads of this process, which all callers share."""
    return ThreadPoolExecutor(
        max(1, torch.get_num_threads()), thread_name_prefix="crystalgnn-kernel"
    )
