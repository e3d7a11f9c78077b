"""What changed between two states of a set of materials."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crystalgnn_core.base import FrozenModel

if TYPE_CHECKING:
    from collections.abc import Mapping


class ChangeCounts(FrozenModel):
    """Counts of materials by what became of them."""

    n_new: int
    n_changed: int
    n_removed: int
    n_unchanged: int


def compare_contents(before: Mapping[str, str], after: Mapping[str, str]) -> ChangeCounts:
    """Compare two mappings from material to content digest."""
    common = before.keys() & after.keys()
    n_changed = sum(before[key] != after[key] for key in common)
    return ChangeCounts(
        n_new=len(after.keys() - before.keys()),
        n_changed=n_changed,
        n_removed=len(before.keys() - after.keys()),
        n_unchanged=len(common) - n_changed,
    )
