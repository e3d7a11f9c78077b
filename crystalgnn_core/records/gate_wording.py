"""How the change gate words its numbers: before -> after, in a short sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_NAMED = 5


def percent(share: float) -> str:
    """Write a share as a percentage; a small non-zero one never reads as zero."""
    if 0.0 < share < 0.0005:
        return "< 0.1 %"
    return f"{100.0 * share:.1f} %"


def change(before: float, after: float, unit: str = "") -> str:
    """Write two numbers with four digits, and their unit."""
    return f"{before:.4g} -> {after:.4g}{f' {unit}' if unit else ''}"


def counts(before: Mapping[str, int], after: Mapping[str, int]) -> str:
    """Write how often each of some names occurs, before and after, those that differ."""
    known = [*before, *(name for name in after if name not in before)]
    differing = [name for name in known if before.get(name, 0) != after.get(name, 0)]
    return named(
        [f"{name} {before.get(name, 0):,} -> {after.get(name, 0):,}" for name in differing]
    )


def named(items: Sequence[str]) -> str:
    """Name the first of some items, and count the others."""
    more = len(items) - MAX_NAMED
    return ", ".join(items[:MAX_NAMED]) + (f" and {more} more" if more > 0 else "")
