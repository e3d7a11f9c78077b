"""The compiled scan for the borders of the elements of a JSON list."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from crystalgnn_core.compiled import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

BEFORE, INSIDE, AFTER, NO_LIST, TRAILING = range(5)  # phases
PHASE, DEPTH, IN_STRING, IS_ESCAPED, IS_BLANK = range(5)  # what the state holds

_SPACE, _QUOTE, _BACKSLASH, _COMMA, _OPEN_LIST, _CLOSE_LIST, _OPEN, _CLOSE = range(1, 9)
_KINDS = np.zeros(256, dtype=np.uint8)  # byte to what it is; 0 is anything else
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # in front of the list; in an element it stays a fault
_KINDS[list(b" \t\r\n" + _BYTE_ORDER_MARK)] = _SPACE
_KINDS[list(b'"\\,[]{}')] = np.arange(_QUOTE, _CLOSE + 1)


def initial_state(phase: int) -> NDArray[np.int64]:
    """Return the state before the list, or inside it in front of an element."""
    return np.array([phase, int(phase == INSIDE), 0, 0, 1], dtype=np.int64)


def scan(block: bytes, state: NDArray[np.int64]) -> NDArray[np.int64]:
    """Find where the list begins, its commas and its end in the next block of its text.

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
            if state[PHASE] == INSIDE:
                is_border = _pass_inside(kind, state)
            else:
                is_border = _pass_outside(kind, state)
            if is_border:
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
def _pass_outside(kind: int, state: NDArray[np.int64]) -> bool:
    """Take notice of a character before or after the list; tell whether it begins it."""
    if state[PHASE] == AFTER:
        state[PHASE] = TRAILING
        return False
    is_list = kind == _OPEN_LIST
    state[PHASE] = INSIDE if is_list else NO_LIST
    state[DEPTH] = 1
    return is_list


@compiled
def _pass_inside(kind: int, state: NDArray[np.int64]) -> bool:
    """Take notice of a character in the list; tell whether it is a border.

    A brace too many at the level of the elements belongs to a broken element.
    """
    if state[DEPTH] == 1 and kind in (_COMMA, _CLOSE_LIST):
        if kind == _CLOSE_LIST:
            state[PHASE] = AFTER
        return True
    state[IS_BLANK] = 0
    if kind == _QUOTE:
        state[IN_STRING] = 1
    elif kind in (_OPEN_LIST, _OPEN):
        state[DEPTH] += 1
    elif kind in (_CLOSE_LIST, _CLOSE) and state[DEPTH] > 1:
        state[DEPTH] -= 1
    return False
