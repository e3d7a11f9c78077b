"""The user's cache: what was fetched or converted once and can be made again."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return the user's cache: `$CRYSTALGNN_CACHE`, or the system's usual place."""
    chosen = os.environ.get("CRYSTALGNN_CACHE")
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "crystalgnn"
