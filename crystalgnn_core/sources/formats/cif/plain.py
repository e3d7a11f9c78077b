"""Which CIF texts every parser cuts into the same words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from crystalgnn_core.compiled import compiled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_QUOTE_BEFORE_HASH = re.compile(r"^[^#\n]*['\"][^#\n]*#", re.MULTILINE)
_BLOCK_START = re.compile(r"^\s*(data_)", re.MULTILINE | re.IGNORECASE)
# every word that matters has an underscore, by which it is found
_DATA, _LOOP, _SAVE, _STOP, _MAGNETIC, _MOMENT, _OXIDATION, _PATTERN = (
    np.frombuffer(word.encode(), np.uint8)
    for word in (
        *("data", "loop", "save", "stop", "magn"),
        *("atom_site_moment", "atom_type_oxidation_number", "powder_pattern"),
    )
)
_TAB, _NEWLINE, _SPACE, _TILDE, _SEMICOLON, _UNDERSCORE = (ord(sign) for sign in "\t\n ~;_")
_A, _Z, _TO_LOWER = ord("A"), ord("Z"), 32


def are_plain(texts: Sequence[str]) -> list[bool]:
    """Say for each text whether gemmi and pymatgen cut it into the same words.

    Texts of one origin are alike, so they are first looked through as one.
    """
    is_usual, n_blocks = _look_through("\n".join(texts))
    if is_usual and n_blocks == len(texts) and all("data_" in text for text in texts):
        return [not _has_quoted_hash(text) for text in texts]
    return [_is_plain(text) for text in texts]


def _is_plain(text: str) -> bool:
    is_usual, n_blocks = _look_through(text)
    if not is_usual or _has_quoted_hash(text):
        return False
    # other names may hold the word that begins a block, too
    return "data_" in text if n_blocks == 1 else _BLOCK_START.findall(text) == ["data_"]


def _has_quoted_hash(text: str) -> bool:
    return text.rfind("#") > 0 and _QUOTE_BEFORE_HASH.search(text) is not None


def _look_through(text: str) -> tuple[bool, int]:
    """Say whether a text is usual, and how often it holds `data_` in any letter case."""
    if not text.isascii():
        return False, 0
    return _scan(np.frombuffer(text.encode(), np.uint8))


@compiled
def _scan(text: NDArray[np.uint8]) -> tuple[bool, int]:
    """Look for signs and words that parsers understand differently.

    These are control characters, text fields that begin with a semicolon, `loop_` with
    capitals, frames and old keywords (`save_`, `stop_`), magnetic structures, oxidation
    states, and the block `powder_pattern`, which pymatgen skips.
    """
    n_blocks = 0
    for at in range(len(text)):
        sign = text[at]
        if sign == _UNDERSCORE:
            if _is_unusual(text, at):
                return False, 0
            n_blocks += _stands(text, at - 4, _DATA)
        elif sign == _NEWLINE:
            after = text[at + 1 : at + 3]
            if len(after) == 2 and after[0] == _SEMICOLON and after[1] == _SEMICOLON:
                return False, 0
        elif not _SPACE <= sign <= _TILDE and sign != _TAB:
            return False, 0
    return True, n_blocks


@compiled
def _is_unusual(text: NDArray[np.uint8], at: int) -> bool:
    """Say whether the underscore at a position belongs to one of the words."""
    if _stands(text, at - 4, _LOOP):
        for sign in text[at - 4 : at]:
            if sign <= _Z:
                return True
    return (
        _stands(text, at - 4, _SAVE)
        or _stands(text, at - 4, _STOP)
        or _stands(text, at + 1, _MAGNETIC)
        or _stands(text, at + 1, _MOMENT)
        or _stands(text, at + 1, _OXIDATION)
        or _stands(text, at - 6, _PATTERN)
    )


@compiled
def _stands(text: NDArray[np.uint8], at: int, word: NDArray[np.uint8]) -> bool:
    """Say whether a lower-case word stands at a position, in any letter case."""
    if at < 0 or at + len(word) > len(text):
        return False
    for place in range(len(word)):
        sign = text[at + place]
        if _A <= sign <= _Z:
            sign += _TO_LOWER
        if sign != word[place]:
            return False
    return True
