"""References to files of a folder that was moved or copied with its store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


def in_place(content: Any, folder: Path) -> Any:  # noqa: ANN401  any JSON value
    """Return JSON in which references to files of a folder say where these are now.

    A reference is an object with `path` and `sha256`; those to files elsewhere stay.
    """
    if isinstance(content, list):
        return [in_place(value, folder) for value in content]
    if not isinstance(content, dict):
        return content
    placed = {key: in_place(value, folder) for key, value in content.items()}
    if {"path", "sha256"} <= content.keys():
        _, is_own, name = str(content["path"]).rpartition(f"/{folder.name}/")
        if is_own:
            placed["path"] = str(folder / name)
    return placed
