"""Models that others have published, by name; an entry needs a target that we know."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crystalgnn_core.errors import ModelError
from crystalgnn_core.models.published.entries import ENTRIES
from crystalgnn_core.targets import TARGETS
from crystalgnn_core.wording import did_you_mean

if TYPE_CHECKING:
    from crystalgnn_core.models.published.entry import PublishedEntry


def catalogue() -> dict[str, PublishedEntry]:
    """Return the published models whose target is known, by name."""
    return {entry.name: entry for entry in ENTRIES if entry.target in TARGETS}


def get_published(name: str) -> PublishedEntry:
    """Look a published model up.

    Raises:
        ModelError: There is none of this name.
    """
    known = catalogue()
    if name not in known:
        raise ModelError(
            f"no published model {name!r}; `crystalgnn models pretrained` lists "
            f"them{did_you_mean(name, known)}"
        )
    return known[name]
