"""A file received whole, or continued where an earlier try was cut."""

from __future__ import annotations

import json
from http import HTTPStatus
from itertools import chain
from typing import TYPE_CHECKING, Any

from crystalgnn_core.base import FrozenModel
from crystalgnn_core.errors import DownloadError
from crystalgnn_core.remote.http import Pace, RetryableError, open_answer, refuse_failures
from crystalgnn_core.storage.files import atomic_path

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

MOST_OF_FILE = 2**36  # bytes of a file whose size nobody states
_SURPLUS = 2**20  # bytes of a wrong file that are received for its checksum
STATE = ".json"  # of a part: what it is a part of
_HTML = (b"<!doctype html", b"<html")
_BYTES_LOOKED_AT = 512


class _PartState(FrozenModel):
    """What the bytes of a part belong to.

    Attributes:
        url: Address they came from.
        etag: Strong entity tag of the file; empty where the host gives none.
        n_bytes: Size of the whole file, where the host states it.
    """

    url: str
    etag: str = ""
    n_bytes: int | None = None


def receive(
    url: str, part: Path, seconds: tuple[float, float], n_bytes: int | None = None
) -> None:
    """Write the whole file to `part`, continuing what is there of the same file.

    A part is continued only if the host answers with the wanted range of a file with the
    same size and entity tag; otherwise the file starts again.

    Args:
        url: Address.
        part: Local file; beside it `<part>.json` says what it is a part of.
        seconds: To connect, and between two pieces of the answer.
        n_bytes: Size of the file where it is known; more is not written.

    Raises:
        RetryableError: The connection was cut, or the host is busy; the part remains.
        DownloadError: The host has no such file, or sends a page or more in its place.
    """
    state = _read_state(part, url)
    start = part.stat().st_size if state is not None else 0
    if state is not None and start == state.n_bytes:
        return _forget(part)
    headers = {"Range": f"bytes={start}-"} if start else {}
    if start and state is not None and state.etag:
        headers["If-Range"] = state.etag
    part.parent.mkdir(parents=True, exist_ok=True)
    with open_answer(url, seconds, headers) as response:
        if start and response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            part.unlink()
            raise RetryableError("the host has no more of this file; it starts again")
        refuse_failures(url, response)
        found = _state_of(url, response)
        if response.status_code == HTTPStatus.PARTIAL_CONTENT:
            _require_same(part, state, found, response, start)
        else:
            start = 0
        most = MOST_OF_FILE if n_bytes is None else n_bytes + _SURPLUS
        _write(part, found, response, start, (most, Pace(seconds[1])))
    arrived = part.stat().st_size
    if found.n_bytes is not None and arrived != found.n_bytes:
        raise RetryableError(f"{arrived} of {found.n_bytes} bytes arrived")
    return _forget(part)


def _state_of(url: str, response: httpx.Response) -> _PartState:
    headers = response.headers
    etag = headers.get("etag", "")
    text = headers.get("content-length", "")
    if response.status_code == HTTPStatus.PARTIAL_CONTENT:
        text = headers.get("content-range", "").rpartition("/")[2]
    return _PartState(
        url=url,
        etag="" if etag.startswith("W/") else etag,
        n_bytes=int(text) if text.isdecimal() else None,
    )


def _require_same(
    part: Path,
    known: _PartState | None,
    found: _PartState,
    response: httpx.Response,
    start: int,
) -> None:
    """See that the rest is of the file whose beginning is there; else start again."""
    unit, _, place = response.headers.get("content-range", "").partition(" ")
    begins = place.partition("-")[0]
    if known == found and unit == "bytes" and begins == str(start):
        return
    part.unlink(missing_ok=True)
    raise RetryableError("the file changed, or another part of it came; it starts again")


def _write(
    part: Path,
    state: _PartState,
    response: httpx.Response,
    start: int,
    bounds: tuple[int, Pace],
) -> None:
    """Append the answer to the part, or replace the part by it."""
    most, pace = bounds
    pieces = response.iter_raw()
    first = next(pieces, b"")
    if not start and first[:_BYTES_LOOKED_AT].lstrip().lower().startswith(_HTML):
        raise DownloadError(f"{state.url}: the host sends an HTML page, not the file")
    with part.open("ab" if start else "wb") as stream:
        write_note(part.with_name(part.name + STATE), state.model_dump())
        n_new = 0
        for piece in chain((first,), pieces):
            n_new += len(piece)
            pace.see(n_new)
            if start + n_new > most:
                stream.truncate(0)
                raise DownloadError(f"{state.url}: more than {most:,} bytes came; stopped")
            stream.write(piece)


def _read_state(part: Path, url: str) -> _PartState | None:
    """Return what a part is a part of; None where it cannot be continued."""
    try:
        text = part.with_name(part.name + STATE).read_text(encoding="utf-8")
        state = _PartState.model_validate_json(text)
    except (OSError, ValueError):
        return None
    is_known = state.url == url and bool(state.etag or state.n_bytes is not None)
    return state if is_known and part.is_file() else None


def _forget(part: Path) -> None:
    part.with_name(part.name + STATE).unlink(missing_ok=True)


def write_note(path: Path, content: dict[str, Any]) -> None:
    """Write what is known of a file beside it; no checksum, as this is no store."""
    with atomic_path(path, with_checksum=False) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
