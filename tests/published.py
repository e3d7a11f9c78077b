"""Published weights in the cache, where a user without a network would put them."""

import shutil
from typing import TYPE_CHECKING

import pytest

from crystalgnn_core.learning.pretrained import download_folder
from crystalgnn_core.models.published.catalogue import get_published
from tests.paths import WEIGHTS

if TYPE_CHECKING:
    from crystalgnn_core.models.published.entry import PublishedEntry


def put_in_cache(name: str) -> "PublishedEntry":
    """Copy the files of a published model into the cache; skip the test without them."""
    entry = get_published(name)
    folder = download_folder(entry)
    folder.mkdir(parents=True, exist_ok=True)
    for file in entry.files:
        path = WEIGHTS / entry.network / file.name
        if not path.is_file():
            pytest.skip(f"published weights are not at hand: {path.name}")
        shutil.copyfile(path, folder / file.name)
    return entry
