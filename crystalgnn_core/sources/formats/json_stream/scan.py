"""The compiled scan for the borders of the elements of a JSON list."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from crystalgnn_core.compiled import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

INSIDE, AFTER, TRAILING = range(3)  # phases
PHASE, DEPTH, IN_STRING, IS_ESCAPED = range(4)  # what the state holds

_SPACE, _QUOTE, _BACKSLASH, _COMMA, _OPEN_LIST, _CLOSE_LIST, _OPEN, _CLOSE = range(1, 9)
_KINDS = np.zeros(256, dtype=np.uint8)  # byte to what it is; 0 is anything else
_KINDS[list(b" \t\r\n")] = _SPACE
_KINDS[list(b'"\\,[]{}')] = np.arange(_QUOTE, _CLOSE + 1)


def initial_state() -> NDArray[np.int64]:
    """Return the state inside the list, in front of an element."""
    return np.array([INSIDE, 1, 0, 0], dtype=np.int64)


def scan(block: bytes, state: NDArray[np.int64]) -> NDArray[np.int64]:
    """Find the commas of the list and its end in the next block of its text.

    Args:
        block: The block.
        state: What the blocks before it left behind; changed in place.

    Returns:
        Positions in the block, in order, int64.
    """
    borders = np.empty(len(block), dtype=np.int64)
    n_found = _find_borders(np.frombuffer(block, dtype=np.uint8), state, borders)
    return borders[:n_found]


@compiled
def _find_borders(
    block: NDArray[np.uint8], state: NDArray[np.int64], borders: NDArray[np.int64]
) -> int:
    at, found = 0, 0
    while at < len(block) and state[PHASE] <= AFTER:
        if state[IN_STRING]:
            at = _pass_string(block, at, state)
            continue
        kind = _KINDS[block[at]]
        if kind != _SPACE:
            if state[PHASE] == AFTER:
                state[PHASE] = TRAILING
            elif _pass_inside(kind, state):
                borders[found] = at
                found += 1
        at += 1
    return found


@compiled
def _pass_string(block: NDArray[np.uint8], at: int, state: NDArray[np.int64]) -> int:
    """Return the position behind the end of a string, or the end of the block."""
    while at < len(block):
        kind = _KINDS[block[at]]
        at += 1
        if state[IS_ESCAPED]:
            state[IS_ESCAPED] = 0
        elif kind == _BACKSLASH:
            state[IS_ESCAPED] = 1
        elif kind == _QUOTE:
            state[IN_STRING] = 0
            break
    return at


@compiled
def _pass_inside(kind: int, state: NDArray[np.int64]) -> bool:
    """Take notice of a character in the list; return whether it is a border.

    A brace too many at the level of the elements belongs to a broken element.
    """
    if state[DEPTH] == 1 and kind in (_COMMA, _CLOSE_LIST):
        if kind == _CLOSE_LIST:
            state[PHASE] = AFTER
        return True
    if kind == _QUOTE:
        state[IN_STRING] = 1
    elif kind in (_OPEN_LIST, _OPEN):
        state[DEPTH] += 1
    elif kind in (_CLOSE_LIST, _CLOSE) and state[DEPTH] > 1:
        state[DEPTH] -= 1
    return False
