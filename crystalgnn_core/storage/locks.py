"""Locks between processes, as files beside what they guard."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from crystalgnn_core.errors import TransientError
from crystalgnn_core.storage.usage import hold_store_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def locked(path: Path, *, timeout: float) -> Iterator[None]:
    """Hold the lock file of a path inside; wait at most `timeout` seconds for it.

    Raises:
        TransientError: Another process holds it for longer.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    hold_store_of(path)
    try:
        held = FileLock(path).acquire(timeout=timeout)
    except Timeout as error:
        raise TransientError(f"{path} is held by another process") from error
    with held:
        yield
