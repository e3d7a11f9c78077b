"""One request: a file received whole or continued, and failures told apart."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple

from crystalgnn_core.base import FrozenModel
from crystalgnn_core.errors import DownloadError
from crystalgnn_core.storage.files import write_json

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import httpx

STATE = ".json"  # of a part: what it is a part of
_PASSING = {408, 425, 429, 500, 502, 503, 504}
_HTML = (b"<!doctype html", b"<html")
_BYTES_LOOKED_AT = 512
_IDENTITY = {"Accept-Encoding": "identity", "User-Agent": "crystalgnn"}
_EXCERPT = 200  # characters of what a busy host says that a message repeats


class PassingError(Exception):
    """A failure that may pass: a cut connection, a busy host.

    Args:
        message: What happened.
        pause: Seconds that the host asks to wait.
    """

    def __init__(self, message: str, pause: float = 0.0) -> None:
        super().__init__(message)
        self.pause = pause


class Answer(NamedTuple):
    """What a service answers, a refusal included.

    Attributes:
        url: Address that answered, after redirections.
        code: HTTP status.
        kind: Media type in lower case, without parameters; empty where none is stated.
        content: The body, decompressed.
    """

    url: str
    code: int
    kind: str
    content: bytes


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


def receive(url: str, part: Path, seconds: tuple[float, float]) -> None:
    """Write the whole file to `part`, continuing what is there of the same file.

    A part is continued only if the host answers with the wanted range of a file with the
    same size and entity tag; otherwise the file begins anew.

    Args:
        url: Address.
        part: Local file; beside it `<part>.json` says what it is a part of.
        seconds: To connect, and between two pieces of the answer.

    Raises:
        PassingError: The connection was cut, or the host is busy; the part remains.
        DownloadError: The host has no such file, or sends a page in its place.
    """
    state = _read_state(part, url)
    start = part.stat().st_size if state is not None else 0
    if state is not None and start == state.n_bytes:
        return _forget(part)
    headers = {"Range": f"bytes={start}-"} if start else {}
    if start and state is not None and state.etag:
        headers["If-Range"] = state.etag
    part.parent.mkdir(parents=True, exist_ok=True)
    with _answer(url, seconds, headers) as response:
        if start and response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            part.unlink()
            raise PassingError("the host has no more of this file; it begins anew")
        _refuse_failures(url, response)
        found = _state_of(url, response)
        if response.status_code == HTTPStatus.PARTIAL_CONTENT:
            _require_same(part, state, found, response, start)
        else:
            start = 0
        _write(part, found, response, start)
    n_bytes = part.stat().st_size
    if found.n_bytes is not None and n_bytes != found.n_bytes:
        raise PassingError(f"{n_bytes} of {found.n_bytes} bytes arrived")
    return _forget(part)


def receive_json(url: str, seconds: tuple[float, float]) -> Any:  # noqa: ANN401  any JSON
    """Return what a service answers.

    Raises:
        PassingError: The connection was cut, or the host is busy.
        DownloadError: There is no such address, or the answer is no JSON.
    """
    with _answer(url, seconds, {}) as response:
        _refuse_failures(url, response)
        content = response.read()
    try:
        return json.loads(content)
    except ValueError as error:
        raise DownloadError(f"{url}: the answer is no JSON ({error})") from error


def receive_answer(url: str, seconds: tuple[float, float]) -> Answer:
    """Return what a service answers, whether it grants the request or refuses it.

    Args:
        url: Address.
        seconds: To connect, and between two pieces of the answer.

    Raises:
        PassingError: The connection was cut, or the host is busy.
        DownloadError: The address is none, or its answer cannot be decompressed.
    """
    with _answer(url, seconds, {"Accept-Encoding": "gzip, deflate"}) as response:
        content = response.read()
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if response.status_code in _PASSING:
        said = "" if kind == "text/html" else _excerpt(content)
        message = f"{_status(response)}{': ' if said else ''}{said}"
        raise PassingError(message, _retry_after(response))
    return Answer(str(response.url), response.status_code, kind, content)


@contextlib.contextmanager
def _answer(
    url: str, seconds: tuple[float, float], headers: Mapping[str, str]
) -> Iterator[httpx.Response]:
    """Send a request; what the network does to it or to the answer may pass."""
    import httpx  # 0.1 s that reading a configuration need not take

    timeout = httpx.Timeout(seconds[1], connect=seconds[0])
    try:
        with httpx.stream(
            "GET",
            url,
            headers={**_IDENTITY, **headers},
            timeout=timeout,
            follow_redirects=True,
            verify=_trusted(),
        ) as response:
            yield response
    except httpx.TransportError as error:
        if isinstance(error, httpx.UnsupportedProtocol):
            raise DownloadError(f"{url}: {error}") from error
        raise PassingError(f"{type(error).__name__}: {error}".rstrip(": ")) from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise DownloadError(f"{url}: {error}") from error


@cache
def _trusted() -> ssl.SSLContext:
    """Load the trusted certificates once; httpx would for every request, 0.05 s."""
    import httpx

    return httpx.create_ssl_context()


def _refuse_failures(url: str, response: httpx.Response) -> None:
    code, said = response.status_code, _status(response)
    if code in _PASSING:
        raise PassingError(said, _retry_after(response))
    if code not in {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT}:
        raise DownloadError(f"{url}: {said}; the file may have moved")
    if response.headers.get("content-type", "").lower().startswith("text/html"):
        raise DownloadError(f"{url}: the host sends an HTML page in place of the file")
    if response.headers.get("content-encoding", "identity") != "identity":
        raise DownloadError(f"{url}: the host sends the file in another encoding")


def _status(response: httpx.Response) -> str:
    return f"the host answers {response.status_code} {response.reason_phrase}".rstrip()


def _excerpt(content: bytes) -> str:
    return " ".join(content[: 4 * _EXCERPT].decode(errors="replace").split())[:_EXCERPT]


def _retry_after(response: httpx.Response) -> float:
    """Read the seconds that a busy host asks to wait, given as a number or a date."""
    text = response.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        until = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return 0.0
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return max(0.0, (until - datetime.now(UTC)).total_seconds())


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
    """See that the rest is of the file whose beginning is there; else begin anew."""
    unit, _, place = response.headers.get("content-range", "").partition(" ")
    begins = place.partition("-")[0]
    if known == found and unit == "bytes" and begins == str(start):
        return
    part.unlink(missing_ok=True)
    raise PassingError("the file changed, or another part of it came; it begins anew")


def _write(part: Path, state: _PartState, response: httpx.Response, start: int) -> None:
    """Append the answer to the part, or replace the part by it."""
    pieces = response.iter_raw()
    first = next(pieces, b"")
    if not start and first[:_BYTES_LOOKED_AT].lstrip().lower().startswith(_HTML):
        raise DownloadError(f"{state.url}: the host sends an HTML page, not the file")
    with part.open("ab" if start else "wb") as stream:
        write_json(part.with_name(part.name + STATE), state.model_dump())
        stream.write(first)
        for piece in pieces:
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
