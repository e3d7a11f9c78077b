"""One request, and its failures: those that may pass, and those that stay."""

from __future__ import annotations

import contextlib
import json
import os
import ssl
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.request import getproxies

from crystalgnn_core.errors import DownloadError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import httpx

_RETRYABLE = {408, 425, 429, 500, 502, 503, 504}
_IDENTITY = {"Accept-Encoding": "identity", "User-Agent": "crystalgnn"}
MOST_BYTES = 2**28  # of an answer that is held in memory
SLOWEST = 1024  # bytes per second on average
_EXCERPT = 200  # characters of what a busy host says that a message repeats


class RetryableError(Exception):
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


def receive_json(url: str, seconds: tuple[float, float]) -> Any:  # noqa: ANN401  any JSON
    """Return what a service answers.

    Raises:
        RetryableError: The connection was cut, or the host is busy.
        DownloadError: There is no such address, or the answer is no JSON.
    """
    with open_answer(url, seconds, {}) as response:
        refuse_failures(url, response)
        content = _read(response, seconds[1])
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DownloadError(f"{url}: the answer is no JSON ({error})") from error


def receive_answer(url: str, seconds: tuple[float, float]) -> Answer:
    """Return what a service answers, whether it grants the request or refuses it.

    Args:
        url: Address.
        seconds: To connect, and between two pieces of the answer.

    Raises:
        RetryableError: The connection was cut, or the host is busy.
        DownloadError: The address is none, or its answer cannot be decompressed.
    """
    with open_answer(url, seconds, {"Accept-Encoding": "gzip, deflate"}) as response:
        content = _read(response, seconds[1])
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if response.status_code in _RETRYABLE:
        said = "" if kind == "text/html" else _excerpt(content)
        message = f"{_status(response)}{': ' if said else ''}{said}"
        raise RetryableError(message, _retry_after(response))
    return Answer(str(response.url), response.status_code, kind, content)


def _read(response: httpx.Response, seconds: float) -> bytes:
    """Return the body of an answer, unpacked, in bounded memory and time.

    Raises:
        RetryableError: It comes in drops.
        DownloadError: It is longer than any answer needs to be.
    """
    content = bytearray()
    pace = Pace(seconds)
    for piece in response.iter_bytes():
        content += piece
        pace.see(len(content))
        if len(content) > MOST_BYTES:
            raise DownloadError(
                f"{response.url}: the answer has more than {MOST_BYTES:,} bytes and is not "
                "read; ask for fewer rows (page_limit of OPTIMADE)"
            )
    return bytes(content)


class Pace:
    """How fast an answer comes, of which each piece may come in time.

    Args:
        seconds: Longest time between two pieces; ten of these pass before it is looked at.
    """

    def __init__(self, seconds: float) -> None:
        self._start, self._patience = time.monotonic(), 10.0 * seconds

    def see(self, n_bytes: int) -> None:
        """See that the bytes so far came at a speed that leads somewhere.

        Raises:
            RetryableError: They come in drops.
        """
        passed = time.monotonic() - self._start
        if passed > self._patience and n_bytes < SLOWEST * passed:
            raise RetryableError(
                f"{n_bytes:,} bytes came in {passed:.0f} s, too slowly to end"
            )


@contextlib.contextmanager
def open_answer(
    url: str, seconds: tuple[float, float], headers: Mapping[str, str]
) -> Iterator[httpx.Response]:
    """Send a request; what the network does to it or to the answer may pass."""
    import httpx  # 0.1 s that reading a configuration need not take

    timeout = httpx.Timeout(seconds[1], connect=seconds[0])
    try:
        with (
            make_client(timeout=timeout, follow_redirects=True) as client,
            client.stream("GET", url, headers={**_IDENTITY, **headers}) as response,
        ):
            yield response
    except httpx.TransportError as error:
        if isinstance(error, httpx.UnsupportedProtocol):
            raise DownloadError(f"{url}: {error}") from error
        raise RetryableError(f"{type(error).__name__}: {error}".rstrip(": ")) from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise DownloadError(f"{url}: {error}") from error


def make_client(**settings: Any) -> httpx.Client:  # noqa: ANN401  those of httpx
    """Make a client that obeys the proxies and certificates of the environment.

    Raises:
        DownloadError: The addresses of the proxies are none, the package for SOCKS is
            missing, or the certificates cannot be read.
    """
    import httpx

    try:
        return httpx.Client(verify=_trusted(), **settings)
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        names = ", ".join(f"{kind.upper()}_PROXY" for kind in getproxies() if kind != "no")
        if isinstance(error, ImportError):
            reason = "a SOCKS proxy needs the package httpx[socks]; install it"
        else:
            reason = f"{str(error).partition(' for ')[0]}; correct it"
        raise DownloadError(f"{names}: {reason}, or unset the variable") from error


@cache
def _trusted() -> ssl.SSLContext:
    """Load the trusted certificates once; httpx would for every request, 0.05 s."""
    import httpx

    check_certificates("SSL_CERT_FILE", "SSL_CERT_DIR")
    return httpx.create_ssl_context()


def check_certificates(*names: str) -> None:
    """See that certificates can be read where a variable of the environment says.

    Args:
        names: Variables, of which the first that is set counts.

    Raises:
        DownloadError: There are none, as after a change of the conda environment.
    """
    name = next((name for name in names if os.environ.get(name)), None)
    if name is None:
        return
    place, reason = os.environ[name], ""
    is_folder = any(Path(part).is_dir() for part in place.split(os.pathsep))
    if name.endswith("_DIR") or (name.endswith("_BUNDLE") and is_folder):
        reason = "" if is_folder else "no such folder"
    else:
        try:
            ssl.create_default_context(cafile=place)
        except ssl.SSLError:
            reason = "it holds no certificates"
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
    if reason:
        raise DownloadError(
            f"{name} is {place!r}, where no certificates can be read ({reason}); "
            "correct or unset the variable"
        )


def refuse_failures(url: str, response: httpx.Response) -> None:
    """Raise what an answer that holds no file means.

    Raises:
        RetryableError: The host is busy.
        DownloadError: The host has no such file, or sends another thing in its place.
    """
    code, said = response.status_code, _status(response)
    if code in _RETRYABLE:
        raise RetryableError(said, _retry_after(response))
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
