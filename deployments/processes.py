"""A command in several processes, as torchrun starts them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def led(command: Callable[[], T]) -> T | None:
    """Run a command in the first process, while the others take part in its training.

    A process alone just runs it.

    Raises:
        RankError: The processes do not find each other, or one of them has ended.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or "RANK" not in os.environ:
        return command()
    from crystalgnn_core.distributed import join_processes, share

    if join_processes().rank:
        from crystalgnn_core.learning.loop.following import follow

        follow()
        return None
    try:
        return command()
    finally:
        share()
