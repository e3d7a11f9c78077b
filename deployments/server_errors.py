"""Failures of a Prefect server as one line: what it did, and what to do."""

from __future__ import annotations

import re
from contextlib import contextmanager, suppress
from queue import Empty
from typing import TYPE_CHECKING, Any

from crystalgnn_core.errors import CrystalGNNError, DownloadError, ServerError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

NO_PREFECT = (
    "not a Prefect server ({}); PREFECT_API_URL is written as in http://127.0.0.1:4200/api"
)
AGAIN = "then run the command again: what is done is skipped"
GIVEN_UP = "Service exceeded error threshold"  # by the loop in which `serve` asks for runs


@contextmanager
def server_errors(advice: str = "start it") -> Iterator[None]:
    """Turn what Prefect's client raises for want of its server into one error of ours.

    Args:
        advice: What brings back a server that does not answer.

    Raises:
        ServerError: The server is gone, refuses, or fails.
    """
    try:
        yield
    except Exception as error:
        text = None if isinstance(error, CrystalGNNError) else _explain(error, advice)
        if text is None:
            raise
        _drop_unsent()
        raise ServerError(f"{server_address()}: {text}") from error


def server_address() -> str:
    """Return the address of the API without a password in it."""
    from prefect.settings import PREFECT_API_URL

    return re.sub("//[^/]*@", "//", str(PREFECT_API_URL.value()))


def check_surroundings() -> None:
    """See that clients can be made, whatever proxies and certificates are set.

    Raises:
        ServerError: It cannot.
    """
    from crystalgnn_core.remote.http import check_certificates, make_client

    try:
        make_client().close()
        check_certificates("PREFECT_API_SSL_CERT_FILE")
    except DownloadError as error:
        raise ServerError(str(error)) from error


def check_server(timeout: float = 5.0) -> None:
    """Ask the configured Prefect server for its version.

    Raises:
        ServerError: It does not answer, refuses, or is something else.
    """
    import httpx
    from packaging.version import Version
    from prefect import __version__
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

    check_surroundings()
    with server_errors(), temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
        try:
            with get_client({"timeout": timeout}, sync_client=True) as client:
                theirs = Version(client.api_version())
        except (TypeError, ValueError, httpx.InvalidURL) as error:
            reason = str(error).partition("\n")[0]
            raise ServerError(f"{server_address()}: {NO_PREFECT.format(reason)}") from error
    if theirs.major != Version(__version__).major:
        raise ServerError(
            f"{server_address()}: a server of Prefect {theirs}, and {__version__} is "
            "installed here; use one of the same major version"
        )


def _drop_unsent() -> None:
    """Drop the logs and events that wait to be sent: each would be tried for seconds.

    Those that send them keep the address of the server, so later ones need others.
    """
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    workers: tuple[Any, ...] = (APILogWorker, EventsWorker)
    for worker in workers:
        for service in tuple(worker._instances.values()):
            with suppress(Empty):
                while True:
                    service._queue.get_nowait()
            service._stop()


def _explain(error: BaseException | None, advice: str) -> str | None:
    """Say what the server did; None if the error came from elsewhere."""
    import httpx
    from prefect.settings import PREFECT_API_URL

    while error is not None:
        if isinstance(error, httpx.UnsupportedProtocol):
            return NO_PREFECT.format(error)
        if isinstance(error, httpx.HTTPStatusError | httpx.TransportError):
            if not str(error.request.url).startswith(
                str(httpx.URL(PREFECT_API_URL.value()))
            ):
                return None
            if isinstance(error, httpx.HTTPStatusError):
                return _explain_status(error.response)
            reason = str(error) or type(error).__name__
            return f"no Prefect server answers ({reason}); {advice}, {AGAIN}"
        if GIVEN_UP in str(error):
            return f"no Prefect server answers; {advice}, {AGAIN}"
        if isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        else:
            error = error.__cause__ or error.__context__
    return None


def _explain_status(response: httpx.Response) -> str:
    answer = f"{response.status_code} {response.reason_phrase}"
    if response.status_code in {401, 403}:
        return (
            f"the Prefect server wants a password, or another one ({answer}); set "
            "PREFECT_API_AUTH_STRING (of Prefect Cloud: PREFECT_API_KEY)"
        )
    if response.is_server_error:
        return f"the Prefect server fails ({answer}); see its log, {AGAIN}"
    return NO_PREFECT.format(answer)
