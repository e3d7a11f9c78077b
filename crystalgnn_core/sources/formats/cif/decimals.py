"""Read many decimal numbers at once, to the same bits as `float`."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import numpy as np

from crystalgnn_core.compiled import compiled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_BRACKETED = re.compile(r"([^()]+)\([0-9]+\)")
_POWERS = np.array(
    [10.0**power for power in range(23)]
)  # the powers of ten that a float64 holds exactly
_MAX_WHOLE = 2**53  # so are the whole numbers up to here, and one division rounds once
_PLUS, _MINUS, _DOT, _ZERO, _NINE, _SPACE, _OPEN, _CLOSE = (
    ord(sign) for sign in "+-.09 ()"
)


def read_decimals(words: Sequence[str]) -> NDArray[np.float64] | None:
    """Read finite numbers, uncertainties such as the (2) in 5.43(2) left out.

    Args:
        words: Texts without spaces.

    Returns:
        Shape (n_words,), or None if one of them is no finite number.
    """
    text = " ".join(words) + " "
    if text.isascii():
        values = np.empty(len(words))
        if _read_plain(np.frombuffer(text.encode(), np.uint8), _POWERS, values):
            return values
    numbers = [_read_one(word) for word in words]
    return np.array(numbers) if all(map(math.isfinite, numbers)) else None


def _read_one(word: str) -> float:
    """Read one number in any notation; NaN if it is none."""
    match = _BRACKETED.fullmatch(word)
    try:
        return float(match[1] if match else word)
    except ValueError:
        return math.nan


@compiled
def _read_plain(
    text: NDArray[np.uint8], powers: NDArray[np.float64], values: NDArray[np.float64]
) -> bool:
    """Read numbers without exponent that fit; False if one is of another kind."""
    at = 0
    for index in range(len(values)):
        is_negative = text[at] == _MINUS
        if is_negative or text[at] == _PLUS:
            at += 1
        whole, n_digits, n_decimals, is_decimal = 0, 0, 0, False
        while True:
            if text[at] == _DOT and not is_decimal:
                is_decimal = True
            elif _ZERO <= text[at] <= _NINE:
                whole = whole * 10 + text[at] - _ZERO
                n_digits += 1
                n_decimals += is_decimal
                if whole > _MAX_WHOLE or n_decimals >= len(powers):
                    return False
            else:
                break
            at += 1
        if text[at] == _OPEN:
            at = _skip_bracket(text, at)
        if n_digits == 0 or text[at] != _SPACE:
            return False
        at += 1
        values[index] = whole / powers[n_decimals]
        if is_negative:
            values[index] = -values[index]
    return at == len(text)


@compiled
def _skip_bracket(text: NDArray[np.uint8], at: int) -> int:
    """Return the position after digits in brackets, or the same one if they are broken."""
    end = at + 1
    while _ZERO <= text[end] <= _NINE:
        end += 1
    return end + 1 if text[end] == _CLOSE and end > at + 1 else at
