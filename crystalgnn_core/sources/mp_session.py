"""Open the client of the Materials Project: key, time limits, failures told apart."""

from __future__ import annotations

import os
import re
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from crystalgnn_core.downloads import try_often
from crystalgnn_core.errors import SourceError
from crystalgnn_core.sources.mp_client import MaterialsClient
from crystalgnn_core.transfer import PassingError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mp_api.client import MPRester
    from requests import Response

    from crystalgnn_core.downloads import Patience

KEY_VARIABLE = "MP_API_KEY"
_KEY = re.compile(r"[!-~]{32}")
_KEY_ADVICE = (
    f"set the environment variable {KEY_VARIABLE} to the 32 characters that the "
    "Materials Project shows on the page of your account"
)


@contextmanager
def open_client(endpoint: str, patience: Patience) -> Iterator[MaterialsClient]:
    """Open the client of the Materials Project, with the key from the environment.

    Raises:
        SourceError: There is no key, or none that could be one.
        TransientError: The service does not answer.
    """
    key = _key_of_environment()
    rester = try_often(
        lambda: _start(endpoint, key, patience), f"{endpoint}heartbeat", patience
    )
    with rester:
        rester.session.hooks["response"].append(_refuse_failures)
        yield MaterialsClient(rester, endpoint, key, patience)


def _key_of_environment() -> str:
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not key:
        raise SourceError(f"no key of the Materials Project: {_KEY_ADVICE}")
    if not _KEY.fullmatch(key):
        raise SourceError(
            f"{KEY_VARIABLE} holds no key ({len(key)} characters, expected 32 without "
            f"blanks): {_KEY_ADVICE}"
        )
    return key


def _start(endpoint: str, key: str, patience: Patience) -> MPRester:
    """Make the client; it asks for a heartbeat without a time limit, so one is set here."""
    from mp_api.client import MPRester
    from mp_api.client.core.exceptions import MPRestError
    from requests import RequestException

    made: list[MPRester] = []

    def make() -> None:
        # the service was asked just now: what goes wrong here may pass
        with suppress(MPRestError, RequestException, KeyError, TypeError, ValueError):
            made.append(
                MPRester(
                    api_key=key,
                    endpoint=endpoint,
                    use_document_model=False,
                    mute_progress_bars=True,
                    notify_db_version=False,
                )
            )

    thread = threading.Thread(target=make, daemon=True)
    thread.start()
    thread.join(patience.connect_seconds + patience.read_seconds)
    if not made:
        raise PassingError("the client of the Materials Project hears no heartbeat")
    return made[0]


def _refuse_failures(response: Response, *_: object, **__: object) -> None:
    """Tell failures apart before the client makes one kind of error of them all.

    The client itself tries 429, 502 and 504 again, and splits what is refused as too long
    (414, 422).
    """
    code, reason = response.status_code, response.reason or ""
    if code in {401, 403, 408} or code >= 500 or response.is_redirect:
        response.close()
    said = f"the service answers {code} {reason}".rstrip()
    if code in {401, 403}:
        raise SourceError(f"the Materials Project refuses the key ({said}): {_KEY_ADVICE}")
    if response.is_redirect:
        raise SourceError(
            f"{said} and names another address; set endpoint to where the service is"
        )
    if code == 408 or code >= 500:
        raise PassingError(said, _retry_after(response))


def _retry_after(response: Response) -> float:
    from urllib3.exceptions import InvalidHeader
    from urllib3.util import Retry

    try:
        return Retry().parse_retry_after(response.headers.get("Retry-After", "0"))
    except InvalidHeader:
        return 0.0
