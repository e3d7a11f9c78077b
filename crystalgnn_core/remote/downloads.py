"""Files from other machines: whole and as expected, or not at all."""

from __future__ import annotations

import hashlib
import logging
import os
import random
import time
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import Field

from crystalgnn_core.base import FrozenModel
from crystalgnn_core.errors import DownloadError, IntegrityError, TransientError
from crystalgnn_core.remote.http import Answer, RetryableError, receive_answer, receive_json
from crystalgnn_core.remote.partial import receive, write_note
from crystalgnn_core.storage.files import read_json
from crystalgnn_core.storage.locks import locked

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

logger = logging.getLogger(__name__)
T = TypeVar("T")
PART, RECORD = ".part", ".origin.json"  # beside the file
_CHUNK = 2**20


# the name of a file in a folder: it leads nowhere else, whatever a host says
FileName = Annotated[
    str, Field(pattern=r"^[^/\\\x00-\x1f]*[^/\\\x00-\x1f.][^/\\\x00-\x1f]*$")
]


class RemoteFile(FrozenModel):
    """A file on another machine and what is known of it.

    Attributes:
        url: Address; redirections are followed.
        name: Name of the local file.
        n_bytes: Size as the host states it.
        md5: MD5 as the host states it, 32 hex digits; empty where it states none.
        sha256: SHA-256 of a file that was examined, 64 hex digits; empty where none was.
    """

    url: str
    name: FileName
    n_bytes: Annotated[int, Field(ge=0)] | None = None
    md5: str = ""
    sha256: str = ""


class RetryPolicy(FrozenModel):
    """How long a download waits, and how often it tries.

    Attributes:
        connect_seconds: Time to reach the host.
        read_seconds: Time between two pieces of the answer.
        n_tries: Requests in all; only failures that may pass are tried again.
        first_pause: Seconds before the second try; doubled for each further one.
        longest_pause: Bound of a pause in seconds, also of one that the host asks for.
        jitter: Share by which a pause is lengthened at most, at random, so that several
            processes do not come back at the same moment.
        lock_seconds: Time to wait for another process that fetches the same file.
    """

    connect_seconds: Annotated[float, Field(gt=0)] = 10.0
    read_seconds: Annotated[float, Field(gt=0)] = 60.0
    n_tries: Annotated[int, Field(ge=1)] = 4
    first_pause: Annotated[float, Field(ge=0)] = 1.0
    longest_pause: Annotated[float, Field(ge=0)] = 60.0
    jitter: Annotated[float, Field(ge=0, le=1)] = 0.0
    lock_seconds: Annotated[float, Field(ge=0)] = 1800.0


RETRY_POLICY = RetryPolicy()


def fetch(file: RemoteFile, folder: Path, policy: RetryPolicy = RETRY_POLICY) -> Path:
    """Return the local copy of a file; download it when it is not there.

    What arrives goes to `<name>.part`, is continued after a cut, and becomes `<name>` only
    when size, MD5 and SHA-256 are as expected. The SHA-256 of a file that was used once is
    kept in `<name>.origin.json`; another content is refused from then on. A file that was
    put into the folder by hand is checked in the same way.

    Args:
        file: What to fetch.
        folder: Where it goes; made when missing.
        policy: Times and tries.

    Raises:
        DownloadError: The host has no such file, or it is not the expected one.
        TransientError: The host cannot be reached, or another process holds the file.
    """
    target = folder / file.name
    with locked(folder / f".{file.name}.lock", timeout=policy.lock_seconds):
        if target.is_file():
            advice = f"remove it, or put the file of {file.url} in its place"
            _check(target, target, file, advice)
        else:
            part = folder / (file.name + PART)
            retry(lambda: _receive(file, part, policy), file.url, policy)
            try:
                _check(part, target, file, f"what {file.url} sent was thrown away")
            except DownloadError:
                part.unlink()
                raise
            with part.open("rb") as stream:
                os.fsync(stream.fileno())
            part.replace(target)
            logger.info("%s: %d bytes from %s", target, target.stat().st_size, file.url)
    return target


def fetch_json(url: str, policy: RetryPolicy = RETRY_POLICY) -> Any:  # noqa: ANN401  any JSON
    """Return what a service answers.

    Raises:
        DownloadError: The address does not exist, or answers with something else.
        TransientError: The host cannot be reached.
    """
    return retry(lambda: receive_json(url, _seconds(policy)), url, policy)


def fetch_answer(url: str, policy: RetryPolicy = RETRY_POLICY) -> Answer:
    """Return what a service answers, whether it grants the request or refuses it.

    Raises:
        DownloadError: The address is none.
        TransientError: The host cannot be reached, or stays busy.
    """
    return retry(lambda: receive_answer(url, _seconds(policy)), url, policy)


def is_cached(file: RemoteFile, folder: Path) -> bool:
    """Return whether the file is in the folder; its content is not looked at."""
    return (folder / file.name).is_file()


def _seconds(policy: RetryPolicy) -> tuple[float, float]:
    return policy.connect_seconds, policy.read_seconds


def _receive(file: RemoteFile, part: Path, policy: RetryPolicy) -> None:
    receive(file.url, part, _seconds(policy), file.n_bytes)
    n_bytes = part.stat().st_size
    if file.n_bytes is not None and n_bytes < file.n_bytes:
        part.unlink()  # it counts as whole, so the rest would not be asked for
        raise RetryableError(f"{n_bytes} of {file.n_bytes} bytes arrived")


def retry(work: Callable[[], T], url: str, policy: RetryPolicy) -> T:
    """Repeat work that raises `RetryableError`, with growing pauses and a line for each.

    Raises:
        TransientError: The last try failed, too.
    """
    attempt = 1
    while True:
        try:
            return work()
        except RetryableError as error:
            if attempt == policy.n_tries:
                raise TransientError(
                    f"{url}: {error} ({attempt} tries); try again later"
                ) from error
            wanted = max(policy.first_pause * 2 ** (attempt - 1), error.pause)
            pause = min(wanted, policy.longest_pause)
            pause *= 1.0 + policy.jitter * random.random()
            again = f"try {attempt + 1} of {policy.n_tries} in {pause:.1f} s"
            logger.warning("%s: %s; %s", url, error, again)
        time.sleep(pause)
        attempt += 1


def _facts(path: Path) -> dict[str, Any]:
    """Return size and digests of a local file as `RemoteFile` names them."""
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            md5.update(chunk)
            sha256.update(chunk)
    n_bytes = path.stat().st_size
    return {"n_bytes": n_bytes, "md5": md5.hexdigest(), "sha256": sha256.hexdigest()}


def _check(path: Path, target: Path, file: RemoteFile, advice: str) -> None:
    """Compare a file, to be named `target`, with what is known and what was used before.

    Raises:
        DownloadError: It is another one.
    """
    found = _facts(path)
    for what, name in (("bytes", "n_bytes"), ("MD5", "md5"), ("SHA-256", "sha256")):
        wanted, own = getattr(file, name), found[name]
        if wanted and wanted != own:
            raise DownloadError(
                f"{target}: not the expected file: {what} {own}, not {wanted}; {advice}"
            )
    record = target.with_name(target.name + RECORD)
    used = _read_record(record)
    if used is None:
        write_note(record, {"url": file.url, **found})
    elif used != found["sha256"]:
        raise DownloadError(
            f"{target}: not the file that was used before: SHA-256 {found['sha256']}, not "
            f"{used}; {advice}, or delete {record} if the change is meant"
        )


def _read_record(record: Path) -> str | None:
    if not record.is_file():
        return None
    content = read_json(record)
    if not isinstance(content, dict) or "sha256" not in content:
        raise IntegrityError(f"{record}: holds no SHA-256; delete it")
    return str(content["sha256"])
