"""The folders in which parts wait for their commit, and those that nobody comes back to."""

from __future__ import annotations

import logging
import shutil
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger(__name__)
ABANDONED_SECONDS = 2 * 24 * 3600.0  # nothing was added: no part takes as long to read


def staging_folder(store: Path, name: str, digest: str) -> Path:
    """Return where the parts of a plan are staged."""
    return store / "staging" / f"{name}-{digest}"


def remove_abandoned(current: Path, name: str) -> None:
    """Remove what plans of a source but the current one staged and never committed.

    A folder in which something was written less than two days ago stays: another process
    may be reading into it.
    """
    oldest = time.time() - ABANDONED_SECONDS
    for folder in current.parent.glob(f"{name}-*"):
        is_own = folder.name.rpartition("-")[0] == name and folder != current
        if is_own and folder.stat().st_mtime < oldest:
            logger.info("%s: removed, as its ingest was given up", folder)
            shutil.rmtree(folder, ignore_errors=True)
