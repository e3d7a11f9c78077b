"""Which screen of a name is the latest: one small file a name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crystalgnn_core.storage.files import read_json, write_json

if TYPE_CHECKING:
    from pathlib import Path


def latest_screen(store: Path, name: str) -> str | None:
    """Return the id of the latest screen of a name, or None."""
    path = _pointer(store, name)
    return str(read_json(path)) if path.is_file() else None


def point_to(store: Path, name: str, screen_id: str) -> None:
    """Make a screen the latest of its name."""
    if latest_screen(store, name) != screen_id:
        write_json(_pointer(store, name), screen_id)


def _pointer(store: Path, name: str) -> Path:
    # one file a name, so that two screens that end at once do not overwrite each other
    return store / "screens" / "latest" / f"{name}.json"
