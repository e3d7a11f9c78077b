"""Paths as users write them, and those where a store may be."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

from crystalgnn_core.errors import InputError, printable

# what the library of the record tables refuses, or decodes into the name of another folder
_NOT_IN_STORES = re.compile(r"[\x00-\x1f\x7f\[\\\]^|\ud800-\udfff]|%[0-9A-Fa-f]{2}")


def local_path(path: str | Path) -> Path:
    """Return a path as users write it with its home folder written out.

    One like `run:1` becomes absolute, as libraries take it for an address.
    """
    given = Path(path)
    with suppress(RuntimeError):  # `~name` of nobody is a name
        given = given.expanduser()
    return given.absolute() if ":" in str(given) else given


def whole_path(path: Path) -> Path:
    """Return a path with the links in it resolved, unless they lead in a circle."""
    try:
        return path.resolve()
    except (RuntimeError, ValueError):  # ValueError: a NUL, which leads nowhere
        return path.absolute()


def require_store_name(folder: Path) -> Path:
    """Return the whole path of a folder that may be, or be in, a store.

    Raises:
        InputError: The path holds what the library of the record tables cannot open.
    """
    path = whole_path(folder).as_posix()
    found = _NOT_IN_STORES.search(path)
    if found is not None:
        raise InputError(
            f"{path}: no store can be in a folder whose path holds {found[0]!r}; choose "
            "another one"
        )
    return Path(path)


def require_writable(target: Path) -> None:
    """Check that a file or folder can be written at a place, as far as that can be seen.

    Raises:
        InputError: The nearest folder above that exists may not be written, or is a file;
            or the path is no Unicode.
    """
    path = local_path(target).absolute()
    if printable(str(path)) != str(path):
        raise InputError(f"{target}: the path is no Unicode; choose another place")
    there = path if path.is_dir() else next(p for p in path.parents if p.exists())
    if not there.is_dir():
        raise InputError(f"{target}: {there} is a file; choose another place")
    if not os.access(there, os.W_OK | os.X_OK):
        raise InputError(f"{target}: {there} may not be written; choose another place")
