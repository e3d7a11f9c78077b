"""Published models by name: downloaded on first use, checked, and made into bundles."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from crystalgnn_core.errors import DownloadError, TransientError
from crystalgnn_core.learning.conversion import convert
from crystalgnn_core.models.published.catalogue import get_published
from crystalgnn_core.remote.cache import cache_folder
from crystalgnn_core.remote.downloads import PATIENCE, Patience, fetch, is_at_hand
from crystalgnn_core.remote.figshare import API, article_file

if TYPE_CHECKING:
    from pathlib import Path

    from crystalgnn_core.models.published.entry import PublishedEntry
    from crystalgnn_core.remote.downloads import RemoteFile

logger = logging.getLogger(__name__)


def obtain(name: str, *, patience: Patience = PATIENCE, api: str = API) -> Path:
    """Return the bundle of a published model, in the user's cache.

    Args:
        name: Name in the catalogue.
        patience: Times and tries of the download.
        api: Base address of Figshare's API.

    Raises:
        ModelError: There is none of this name, or its file cannot be converted.
        DownloadError: A file is not to be had, or is not the expected one.
        TransientError: The host cannot be reached.
    """
    entry = get_published(name)
    folder = download_folder(entry)
    paths = []
    for file in entry.files:
        try:
            known = _with_stated_digest(file, entry, patience, api)
            paths.append(fetch(known, folder, patience))
        except (DownloadError, TransientError) as error:
            if is_at_hand(file, folder):
                raise
            what = "that file" if file.url in str(error) else file.url
            raise type(error)(
                f"{error}; or save {what} by other means as {folder / file.name}"
            ) from error
    return convert(paths[0], entry=entry)


def download_folder(entry: PublishedEntry) -> Path:
    """Return the folder for the files of an entry as their authors wrote them."""
    return cache_folder() / "downloads" / entry.network


def is_in_cache(entry: PublishedEntry) -> bool:
    """Tell whether the files of an entry need not be downloaded."""
    return all(is_at_hand(file, download_folder(entry)) for file in entry.files)


def _with_stated_digest(
    file: RemoteFile, entry: PublishedEntry, patience: Patience, api: str
) -> RemoteFile:
    """Add size and MD5 as Figshare states them; a file that was checked needs neither."""
    if entry.figshare is None or is_at_hand(file, download_folder(entry)):
        return file
    article, number = entry.figshare
    stated = article_file(article, number, api=api, patience=patience)
    return file.model_copy(update={"n_bytes": stated.n_bytes, "md5": stated.md5})
