"""Open the client of the Materials Project: key, time limits, kinds of failure."""

from __future__ import annotations

import os
import re
import threading
from contextlib import contextmanager
from http.client import responses
from typing import TYPE_CHECKING

from crystalgnn_core.errors import SourceError
from crystalgnn_core.remote.downloads import retry
from crystalgnn_core.remote.http import RetryableError, check_certificates
from crystalgnn_core.sources.materials_project.client import DAMAGED, MaterialsClient

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mp_api.client import MPRester
    from requests import Response

    from crystalgnn_core.remote.downloads import RetryPolicy

KEY_VARIABLE = "MP_API_KEY"
_KEY = re.compile(r"[!-~]{32}")
_KEY_ADVICE = (
    f"set the environment variable {KEY_VARIABLE} to the 32 characters that the "
    "Materials Project shows on the page of your account"
)


def key_of_environment() -> str:
    """Return the key of the Materials Project.

    Raises:
        SourceError: There is none, or none that could be one.
    """
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not key:
        raise SourceError(f"no key of the Materials Project: {_KEY_ADVICE}")
    if not _KEY.fullmatch(key):
        raise SourceError(
            f"{KEY_VARIABLE} holds no key ({len(key)} characters, expected 32 without "
            f"blanks): {_KEY_ADVICE}"
        )
    return key


@contextmanager
def open_client(endpoint: str, policy: RetryPolicy) -> Iterator[MaterialsClient]:
    """Open the client of the Materials Project, with the key from the environment.

    Raises:
        SourceError: There is no key, or none that could be one.
        DownloadError: The certificates that are set for it cannot be read.
        TransientError: The service does not answer.
    """
    from requests.adapters import HTTPAdapter

    key = key_of_environment()
    check_certificates("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
    rester = retry(lambda: _start(endpoint, key, policy), f"{endpoint}heartbeat", policy)
    with rester:
        rester.session.hooks["response"].append(_refuse_failures)
        # the client's own tries would wait up to 6 hours, as Retry-After says
        for scheme in ("http://", "https://"):
            rester.session.mount(scheme, HTTPAdapter(max_retries=0))
        yield MaterialsClient(rester, endpoint, key, policy)


def _start(endpoint: str, key: str, policy: RetryPolicy) -> MPRester:
    """Make the client; it asks for a heartbeat without a time limit, so one is set here."""
    from mp_api.client import MPRester
    from mp_api.client.core.exceptions import MPRestError
    from requests import RequestException

    made: list[MPRester] = []
    failed = ["it waits in vain"]

    def make() -> None:
        try:
            rester = MPRester(
                api_key=key,
                endpoint=endpoint,
                use_document_model=False,
                mute_progress_bars=True,
                notify_db_version=False,
            )
        except (MPRestError, RequestException, *DAMAGED) as error:
            failed[0] = f"{type(error).__name__}: {error}".replace(key, "***")[:200]
        else:
            made.append(rester)

    thread = threading.Thread(target=make, daemon=True)
    thread.start()
    thread.join(policy.connect_seconds + policy.read_seconds)
    if not made:
        raise RetryableError(f"mp-api hears no heartbeat ({failed[0]})")
    return made[0]


def _refuse_failures(response: Response, *_: object, **__: object) -> None:
    """Raise each kind of failure before the client makes one kind of error of them all.

    The client itself splits what is refused as too long (414, 422).
    """
    code = response.status_code
    is_retryable = code in {408, 425, 429} or code >= 500
    if code in {401, 403} or is_retryable or response.is_redirect:
        response.close()
    # not the reason that is sent: a service may repeat anything there
    said = f"the service answers {code} {responses.get(code, '')}".rstrip()
    if code in {401, 403}:
        raise SourceError(f"the Materials Project refuses the key ({said}): {_KEY_ADVICE}")
    if response.is_redirect:
        raise SourceError(
            f"{said} and names another address; set endpoint to where the service is"
        )
    if is_retryable:
        raise RetryableError(said, _retry_after(response))


def _retry_after(response: Response) -> float:
    from urllib3.exceptions import InvalidHeader
    from urllib3.util import Retry

    try:
        return Retry().parse_retry_after(response.headers.get("Retry-After", "0"))
    except InvalidHeader:
        return 0.0
