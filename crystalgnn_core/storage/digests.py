"""SHA-256 of many files of which most are as they were: those are not read again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from crystalgnn_core.base import canonical_json, short_digest
from crystalgnn_core.errors import IntegrityError
from crystalgnn_core.storage.files import (
    SETTLED_SECONDS,
    file_sha256,
    read_json,
    write_text,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def sha256_of_files(files: Sequence[Path], note: Path) -> list[str]:
    """Return the SHA-256 of files; one whose state on disk was noted is not read.

    Of a file that cannot be read, or is gone, it is empty.

    The state is size, inode, and the times of the last change of content (mtime) and of
    anything at all (ctime). Programs set mtime as they like, as copies do that keep dates;
    ctime is set by the system alone. A file that was touched just before it was read is not
    noted, as it may change again within the resolution of both.

    Args:
        files: The files; those that are not among them are forgotten.
        note: File of what was found before.
    """
    known = read_note(note) or {}
    found: dict[str, list[str]] = {}
    digests = []
    for file in files:
        try:
            path, state, changed = str(file.absolute()), *_state_of(file)
            noted, sha256 = known.get(path, ("", ""))
            if noted != state:
                is_settled = changed < time.time() - SETTLED_SECONDS
                sha256 = file_sha256(file)
                state = state if is_settled else ""
            found[path] = [state, sha256]
        except OSError:
            sha256 = ""
        digests.append(sha256)
    if found != known:
        write_note(note, found)
    return digests


def write_note(path: Path, value: Any) -> None:  # noqa: ANN401  any JSON value
    """Write what can be found again, with a digest that says whether it is intact."""
    text = canonical_json(value)
    write_text(path, f'{{"digest":"{short_digest(text)}","value":{text}}}\n')


def read_note(path: Path) -> Any:  # noqa: ANN401  any JSON value
    """Read what `write_note` wrote; None where it is missing or damaged."""
    try:
        found = read_json(path)
        text = canonical_json(found["value"])
        return found["value"] if found["digest"] == short_digest(text) else None
    except (IntegrityError, KeyError, TypeError, ValueError):
        return None


def _state_of(file: Path) -> tuple[str, float]:
    """Return what `stat` says of a file as a text, and when it was last changed."""
    found = file.stat()
    numbers = (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)
    return " ".join(map(str, numbers)), max(found.st_mtime, found.st_ctime)
