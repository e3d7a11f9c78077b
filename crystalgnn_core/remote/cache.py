"""The user's cache: what was fetched or converted once and can be made again."""

from __future__ import annotations

import os
from pathlib import Path

from crystalgnn_core.errors import ConfigError
from crystalgnn_core.storage.paths import local_path


def cache_folder() -> Path:
    """Return the user's cache: `$CRYSTALGNN_CACHE`, or the system's usual place.

    Raises:
        ConfigError: The variable names a file.
    """
    chosen = os.environ.get("CRYSTALGNN_CACHE")
    if chosen:
        folder = local_path(chosen)
        if folder.is_file():
            raise ConfigError(
                f"CRYSTALGNN_CACHE is {chosen}, which is a file; name a folder, or unset it"
            )
        return folder
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "crystalgnn"
