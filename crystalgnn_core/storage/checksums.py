"""Checksums of the files of a folder, in a list beside them: `.sha256`.

Each file that is written whole gets a line: CRC-32 of the line, SHA-256 and name of the
file. It is on disk before the file takes its name, so that a crash leaves no file without
one; any line of a name counts, as a replaced file may still be the earlier one. Files
without a line are those of older versions and of other programs: they count as they are.
Who has changed a file on purpose deletes the list.
"""

from __future__ import annotations

import logging
import os
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger(__name__)
LIST = ".sha256"
REMOVED = "removed"
N_LINES_KEPT = 2  # of one file: its present content, and that which replaces it
MANY_BYTES = 2**16  # a list is shortened from here on


class Listed(NamedTuple):
    """What a list says.

    Attributes:
        digests: Name to the digests that were written under it, oldest first; the last is
            `REMOVED` for a file that was removed on purpose.
        n_damaged: Lines that are not as they were written.
    """

    digests: dict[str, tuple[str, ...]]
    n_damaged: int


def list_file(folder: Path, name: str, digest: str) -> None:
    """Add a line to the list of a folder: a file is about to have this content."""
    handle = os.open(folder / LIST, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(handle, _line(name, digest))  # at once: those of others do not mix with it
        os.fsync(handle)
    finally:
        os.close(handle)


def remove_file(path: Path) -> None:
    """Remove a file on purpose, if it is there; one that was lost is missed no more."""
    if path.is_file() or is_lost(path):
        list_file(path.parent, path.name, REMOVED)
        path.unlink(missing_ok=True)


def listed(folder: Path) -> Listed:
    """Read the list of a folder; one that is not there says nothing."""
    path = folder / LIST
    try:
        state = path.stat()
    except OSError:
        return Listed({}, 0)
    return _read(path, state.st_ino, state.st_size, state.st_mtime_ns)


def is_lost(path: Path) -> bool:
    """Return whether a file was written and is gone, although nobody removed it."""
    known = listed(path.parent).digests.get(path.name, (REMOVED,))
    return known[-1] != REMOVED and not path.is_file()


def is_listed(path: Path, digest: str, folder: Path | None = None) -> bool:
    """Return whether a file may have this digest, by the list of its folder or another.

    A file without a line may have any, and so may all files of a list that is damaged.
    """
    top = path.parent if folder is None else folder
    digests, n_damaged = listed(top)
    known = digests.get(path.relative_to(top).as_posix())
    return known is None or digest in known or n_damaged > 0


def shorten(path: Path) -> None:
    """Drop older lines, and those of removed files, of a long list.

    No other process may write to its folder.
    """
    if path.stat().st_size < MANY_BYTES or listed(path.parent).n_damaged:
        return
    temporary = path.with_name(f".tmp-{path.name}")
    with temporary.open("wb") as stream:
        for name, digests in listed(path.parent).digests.items():
            if digests[-1] == REMOVED:
                continue
            stream.writelines(_line(name, one) for one in digests[-N_LINES_KEPT:])
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)


def _line(name: str, digest: str) -> bytes:
    """Write a line, its end first: one that a crash has cut must not take in the next."""
    text = f"{digest} {name}"
    return f"\n{crc32(text.encode()):08x} {text}".encode()


@lru_cache(maxsize=1000)
def _read(path: Path, _inode: int, _n_bytes: int, _mtime_ns: int) -> Listed:
    digests: dict[str, tuple[str, ...]] = {}
    n_damaged = 0
    for line in filter(None, path.read_bytes().split(b"\n")):
        digest, _, name = line[9:].decode(errors="replace").partition(" ")
        if _line(name, digest) == b"\n" + line:
            digests[name] = (*digests.get(name, ()), digest)
        else:
            n_damaged += 1
    if n_damaged:
        logger.warning(
            "%s: %d damaged lines, so files of this folder are not compared; delete it if "
            "`crystalgnn store check` finds nothing else",
            path,
            n_damaged,
        )
    return Listed(digests, n_damaged)
