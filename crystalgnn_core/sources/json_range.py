"""Where some elements of a long JSON list are."""

from __future__ import annotations

from typing import NamedTuple


class Range(NamedTuple):
    """Some elements of a list.

    Attributes:
        first: Position of the first element.
        n: How many.
        offset: Byte at which the first one begins.
    """

    first: int
    n: int
    offset: int
