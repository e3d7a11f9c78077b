"""Files on Figshare: address, size and MD5 as its public API states them."""

from __future__ import annotations

import re
from typing import Annotated, TypeVar

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from crystalgnn_core.errors import DownloadError
from crystalgnn_core.remote.downloads import (
    RETRY_POLICY,
    RemoteFile,
    RetryPolicy,
    fetch_json,
)
from crystalgnn_core.wording import plain_words

API = "https://api.figshare.com/v2"
T = TypeVar("T")
_PAGE, _MOST_PAGES = 100, 100  # files per answer, and answers


class _Entry(BaseModel):
    """What is read of the description of a file; the rest is left out."""

    id: int
    name: str
    size: Annotated[int, Field(ge=0)]
    download_url: str
    computed_md5: str = ""
    supplied_md5: str = ""


class _Version(BaseModel):
    """What is read of an entry in the list of versions."""

    version: int


_ENTRIES = TypeAdapter(list[_Entry])
_VERSIONS = TypeAdapter(list[_Version])


def article_files(
    article: int,
    *,
    version: int | None = None,
    api: str = API,
    policy: RetryPolicy = RETRY_POLICY,
) -> dict[int, RemoteFile]:
    """Describe the files of a public article, by their ids.

    Args:
        article: Number of the article, the last but one part of its address.
        version: Version of the article; None takes the newest.
        api: Base address of the API.
        policy: Times and tries.

    Raises:
        DownloadError: There is no such article, or the answer is not understood.
        TransientError: The API cannot be reached.
    """
    place = f"{api}/articles/{article}"
    if version is not None:
        place += f"/versions/{version}"
    files: dict[int, RemoteFile] = {}
    page = 1
    while True:
        url = f"{place}/files?page={page}&page_size={_PAGE}"
        entries = _ask(url, _ENTRIES, "list of files", policy)
        n_known = len(files)
        for entry in entries:
            files[entry.id] = RemoteFile(
                url=entry.download_url,
                name=_own_name(entry),
                n_bytes=entry.size,
                md5=entry.computed_md5 or entry.supplied_md5,
            )
        # a short page is the last; a service that knows no pages repeats the first
        if len(entries) < _PAGE or len(files) == n_known:
            return files
        if page == _MOST_PAGES:
            raise DownloadError(f"{url}: the list of files goes on; no article has as many")
        page += 1


def _own_name(entry: _Entry) -> str:
    """Return a name that leads to no other folder, whatever the host calls the file."""
    name = re.split(r"[/\\\x00-\x1f]", entry.name)[-1]
    return name if name.strip(".") else str(entry.id)


def article_file(
    article: int, file: int, *, api: str = API, policy: RetryPolicy = RETRY_POLICY
) -> RemoteFile:
    """Describe one file of a public article, of its newest or of an earlier version.

    Raises:
        DownloadError: No version of the article has such a file, or there is none.
        TransientError: The API cannot be reached.
    """
    files = article_files(article, api=api, policy=policy)
    if file in files:
        return files[file]
    url = f"{api}/articles/{article}/versions"
    versions = {entry.version for entry in _ask(url, _VERSIONS, "list of versions", policy)}
    for version in sorted(versions, reverse=True)[1:]:  # the newest was looked at
        earlier = article_files(article, version=version, api=api, policy=policy)
        if file in earlier:
            return earlier[file]
    raise DownloadError(
        f"{api}/articles/{article}: no file {file} in its {len(versions)} versions; the "
        f"newest holds {len(files)} others"
    )


def _ask(url: str, form: TypeAdapter[T], what: str, policy: RetryPolicy) -> T:
    try:
        return form.validate_python(fetch_json(url, policy))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the answer"
        raise DownloadError(
            f"{url}: not a {what}: {where}: {plain_words(first['msg'])}"
        ) from error
