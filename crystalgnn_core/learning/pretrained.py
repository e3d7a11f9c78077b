"""Published models by name: downloaded on first use, checked, and made into bundles."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from crystalgnn_core.errors import DownloadError, TransientError
from crystalgnn_core.learning.conversion import convert
from crystalgnn_core.models.published.catalogue import get_published
from crystalgnn_core.remote.cache import cache_folder
from crystalgnn_core.remote.downloads import RETRY_POLICY, RetryPolicy, fetch, is_cached
from crystalgnn_core.remote.figshare import API, article_file

if TYPE_CHECKING:
    from pathlib import Path

    from crystalgnn_core.models.published.entry import PublishedEntry
    from crystalgnn_core.remote.downloads import RemoteFile

logger = logging.getLogger(__name__)


def fetch_published(
    name: str, *, policy: RetryPolicy = RETRY_POLICY, api: str = API
) -> Path:
    """Return the bundle of a published model of the catalogue, in the user's cache.

    Raises:
        ModelError: There is none of this name, or its file cannot be converted.
        DownloadError: A file cannot be downloaded, or is not the expected one.
        TransientError: The host cannot be reached.
    """
    entry = get_published(name)
    folder = download_folder(entry)
    paths = []
    for file in entry.files:
        try:
            known = _with_stated_digest(file, entry, policy, api)
            paths.append(fetch(known, folder, policy))
        except (DownloadError, TransientError) as error:
            if is_cached(file, folder):
                raise
            what = "that file" if file.url in str(error) else file.url
            raise type(error)(
                f"{error}; or download {what} manually as {folder / file.name}"
            ) from error
    return convert(paths[0], entry=entry)


def download_folder(entry: PublishedEntry) -> Path:
    """Return the folder for the files of an entry as their authors wrote them."""
    return cache_folder() / "downloads" / entry.network


def is_in_cache(entry: PublishedEntry) -> bool:
    """Return whether the files of an entry need not be downloaded."""
    return all(is_cached(file, download_folder(entry)) for file in entry.files)


def _with_stated_digest(
    file: RemoteFile, entry: PublishedEntry, policy: RetryPolicy, api: str
) -> RemoteFile:
    """Add size and MD5 as Figshare states them; a file that was checked needs neither."""
    if entry.figshare is None or is_cached(file, download_folder(entry)):
        return file
    article, number = entry.figshare
    stated = article_file(article, number, api=api, policy=policy)
    return file.model_copy(update={"n_bytes": stated.n_bytes, "md5": stated.md5})
