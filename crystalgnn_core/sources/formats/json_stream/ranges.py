"""Cut a JSON list that is too long for memory into its elements, block by block.

The borders of the elements are found by a scan that knows strings, escapes and nesting, but
checks nothing else; each element is JSON of its own, and broken where it is broken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from crystalgnn_core.errors import SourceError
from crystalgnn_core.sources.formats.json_stream.scan import (
    AFTER,
    BEFORE,
    INSIDE,
    IS_BLANK,
    NO_LIST,
    PHASE,
    TRAILING,
    initial_state,
    scan,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy as np
    from numpy.typing import NDArray


def find_ranges(blocks: Iterable[bytes], size: int) -> list[Range]:
    """Find ranges of `size` elements of a JSON list, the last one shorter.

    Args:
        blocks: The bytes of the text, in pieces of any length.
        size: Elements a range.

    Raises:
        SourceError: The text is no list, goes on after it, or ends before it does.
    """
    state = initial_state(BEFORE)
    starts: list[int] = []
    n_borders, offset = 0, 0
    for block in blocks:
        borders = scan(block, state)
        first = -n_borders % size
        starts += (borders[first::size] + (offset + 1)).tolist()
        n_borders += len(borders)
        offset += len(block)
        _check(state, offset)
    if state[PHASE] != AFTER:
        raise SourceError(
            f"the JSON list does not end in its {offset:,} bytes; the file is cut off, or "
            "a bracket or quote is missing"
        )
    n = n_borders - 1
    if n == 1 and state[IS_BLANK]:
        return []
    return [
        Range(first, min(size, n - first), start)
        for first, start in zip(range(0, n, size), starts, strict=False)
    ]


def cut_elements(blocks: Iterable[bytes], n: int) -> Iterator[bytes]:
    """Yield the text of some elements.

    Args:
        blocks: The bytes from the `offset` of a range on, in pieces of any length.
        n: How many elements.

    Raises:
        SourceError: There are fewer.
    """
    state = initial_state(INSIDE)
    pieces: list[bytes] = []
    for block in blocks:
        start = 0
        for border in scan(block, state).tolist():
            yield b"".join([*pieces, block[start:border]])
            pieces.clear()
            start, n = border + 1, n - 1
            if n == 0:
                return
        pieces.append(block[start:])
    if n:
        raise SourceError(f"the JSON list ends {n} elements too early")


def _check(state: NDArray[np.int64], offset: int) -> None:
    if state[PHASE] == NO_LIST:
        raise SourceError("the text is no JSON list: it does not begin with [")
    if state[PHASE] == TRAILING:
        raise SourceError(
            f"the JSON list ends before byte {offset:,} and the text goes on; a bracket is "
            "missing or one too many"
        )


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
