"""Processes that train one network together, as torchrun starts them.

The first leads: it alone runs flows and writes files. The others wait for what it shares,
and compute their part of each batch.
"""

from __future__ import annotations

import io
import os
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import distributed

from crystalgnn_core.errors import RankError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn

PATIENCE = timedelta(days=30)  # the others wait while the first builds graphs


class Ranks(NamedTuple):
    """Which process this is.

    Attributes:
        rank: Its number; 0 leads.
        size: Processes in all.
        local_rank: Its number on this machine.
        local_size: Processes on this machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1


def ranks() -> Ranks:
    """Return which of the joined processes this is, or that it is alone."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return Ranks()
    size = distributed.get_world_size()
    local = int(os.environ.get("LOCAL_RANK", "0"))
    local_size = int(os.environ.get("LOCAL_WORLD_SIZE", str(size)))
    return Ranks(distributed.get_rank(), size, local, local_size)


def join_processes() -> Ranks:
    """Join the processes that torchrun has started, which the environment describes.

    Raises:
        RankError: They do not find each other.
    """
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    try:
        distributed.init_process_group(backend, timeout=PATIENCE)
    except (RuntimeError, ValueError) as error:
        raise RankError(f"the processes do not find each other: {_first(error)}") from error
    found = ranks()
    if found.local_rank < torch.cuda.device_count():
        torch.cuda.set_device(found.local_rank)
    return found


def share(content: Any = None) -> Any:  # noqa: ANN401  whatever the first process shares
    """Give the others what the first process has; return it in all of them.

    After an error in a step nothing is shared: the others have stopped elsewhere.
    """
    if ranks().size == 1 or _Steps.are_lost:
        return content
    packed = io.BytesIO()
    torch.save(content, packed)
    held = [packed.getvalue()]
    with _peers():
        distributed.broadcast_object_list(held, src=0, device=torch.device("cpu"))
    return torch.load(io.BytesIO(held[0]), map_location="cpu", weights_only=False)


class _Steps:
    are_lost = False


@contextmanager
def in_step() -> Iterator[None]:
    """Compute in step with the other processes; after an error there is no way back."""
    try:
        yield
    except BaseException:
        _Steps.are_lost = ranks().size > 1
        raise


def sum_gradients(network: nn.Module, loss: Tensor) -> Tensor:
    """Sum the gradients of all processes, and return the sum of their losses."""
    if ranks().size == 1:
        return loss
    slopes = [one.grad for one in network.parameters() if one.grad is not None]
    flat = torch.cat([*(slope.flatten() for slope in slopes), loss.reshape(1)])
    with _peers():
        distributed.all_reduce(flat)
    *parts, total = torch.split(flat, [*(slope.numel() for slope in slopes), 1])
    for slope, part in zip(slopes, parts, strict=True):
        slope.copy_(part.view_as(slope))
    return total[0]


def sum_across(value: Tensor) -> Tensor:
    """Sum a tensor over all processes, and gradients on their way back."""
    return _Sum.apply(value)  # type: ignore[no-untyped-call]


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(_: object, value: Tensor) -> Tensor:
        return _reduced(value)

    @staticmethod
    def backward(_: object, slope: Tensor) -> Tensor:
        return _reduced(slope)


def _reduced(value: Tensor) -> Tensor:
    total = value.detach().clone(memory_format=torch.contiguous_format)
    with _peers():
        distributed.all_reduce(total)
    return total


@contextmanager
def _peers() -> Iterator[None]:
    """Turn the end of another process into an error of one line."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        raise RankError(
            f"another process of this training has ended ({_first(error)}); the next run "
            "continues after the last finished epoch"
        ) from error


def _first(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
