"""Which processes use a store, and removing what dead ones have left in it.

A process that writes to a store holds the file `.in-use` of the store shared until it ends;
the system lets go of it even after kill -9. Who can hold it alone is the only one there, so
every temporary file is left from a process that is dead.
"""

from __future__ import annotations

import logging
import os
import shutil
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from crystalgnn_core.storage.checksums import LIST, shorten

try:
    import fcntl
except ImportError:  # Windows: nobody knows who is there, so nothing is removed
    fcntl = None  # type: ignore[assignment]  # looked at before each use

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger(__name__)
IN_USE, TEMPORARY = ".in-use", ".tmp-"
FOLDERS = (
    *("ingests", "staging", "sources", "records", "rejects", "links"),
    *("graphs", "models", "predictions", "prescreens", "screens"),
)
WAIT_SECONDS = 2.0  # within which worker processes follow a parent that was killed
N_HELD = 16  # stores that a process holds; further ones take the place of the first
DEPTH = 6  # of the deepest file of a store, below the store
_held: dict[tuple[int, int], int] = {}  # device and inode of `.in-use` to its descriptor
_lock = threading.Lock()


def use_store(store: Path) -> None:
    """Say that this process works on a store; begin with a clean one if it is alone."""
    store.mkdir(parents=True, exist_ok=True)
    _hold(store, WAIT_SECONDS)


def hold_store_of(path: Path) -> None:
    """Say that this process works on the store that a file belongs to, if to any."""
    for folder in list(path.parents)[:DEPTH]:
        if (folder / IN_USE).is_file():
            _hold(folder, 0.0)
            return


def _hold(store: Path, timeout: float) -> None:
    if fcntl is None:
        return
    with _lock:
        try:
            handle = os.open(store / IN_USE, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError:  # a store that may only be read
            return
        state = os.fstat(handle)
        if (state.st_dev, state.st_ino) in _held:
            os.close(handle)
            return
        if _is_alone(handle, timeout):
            remove_leftovers(store)
        try:
            fcntl.flock(handle, fcntl.LOCK_SH)
        except OSError:  # a file system without locks
            os.close(handle)
            return
        _held[state.st_dev, state.st_ino] = handle
        while len(_held) > N_HELD:
            os.close(_held.pop(next(iter(_held))))


def _is_alone(handle: int, timeout: float) -> bool:
    """Hold a file alone; return whether that was possible within some seconds."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.05)
        except OSError:
            return False
        else:
            return True


def remove_leftovers(store: Path) -> None:
    """Remove temporary files, and rows that wait for work; shorten lists of checksums.

    Nothing outside the folders of a store is looked at, should it lie among other files.
    """
    n_removed = 0
    for path in [found for name in FOLDERS for found in _walk(store / name)]:
        if path.name == LIST:
            shorten(path)
        elif _is_leftover(path):
            n_removed += 1
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    if n_removed:
        logger.info("%s: %d temporary files of ended processes removed", store, n_removed)


def _walk(folder: Path) -> Iterator[Path]:
    """Yield all files of a folder, and temporary folders as a whole."""
    for top, folders, files in os.walk(folder):
        temporary = [name for name in folders if name.startswith(TEMPORARY)]
        folders[:] = [name for name in folders if name not in temporary]
        yield from (Path(top) / name for name in (*temporary, *files))


def _is_leftover(path: Path) -> bool:
    """Return whether a file is one that nobody reads once its process is gone."""
    folder, name = path.parent.name, path.name
    return (
        name.startswith(TEMPORARY)
        or (folder == "jobs" and path.suffix in (".arrow", ".lock"))
        # of the library that writes record tables
        or (folder == "_delta_log" and path.suffix == ".tmp")
        or ".parquet#" in name
    )
