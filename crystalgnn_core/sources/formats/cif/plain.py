"""Which CIF texts every parser cuts into the same words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from crystalgnn_core.compiled import compiled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_BLOCK_START = re.compile(r"^[ \t]*(data_)", re.MULTILINE | re.IGNORECASE)


# every word that matters has an underscore, by which it is found
def _as_bytes(*words: str) -> tuple[NDArray[np.uint8], ...]:
    return tuple(np.frombuffer(word.encode(), np.uint8) for word in words)


_DATA, _LOOP, _SAVE, _STOP, _PATTERN = _as_bytes(
    "data", "loop", "save", "stop", "powder_pattern"
)
_MAGNETIC, _MOMENT, _OXIDATION = _as_bytes(
    "magn", "atom_site_moment", "atom_type_oxidation_number"
)
_SUPERSPACE, _WAVES, _MODULATION = _as_bytes("ssg", "wave_", "modulation")
_GROUP, _SYMMETRY, _SYMOP, _CELL, _SITE, _FORMULA, _EXPERIMENT = _as_bytes(  # with dots
    *("space_group.", "symmetry.", "space_group_symop.", "cell.", "atom_site."),
    *("chemical_formula.", "exptl_crystal."),
)
_NEW_NAME, _OLD_NAME, _HALL, _DENSITY = _as_bytes("space_group", "h_m", "hall", "density")
_OF_SYMMETRY = _as_bytes("symmetry_")[0]
_USUAL_SYMBOL, _USUAL_NUMBER, _USUAL_LIST, _USUAL_SYSTEM = _as_bytes(
    "space_group_name_h", "int_", "equiv_", "cell_"
)
_TAB, _NEWLINE, _SPACE, _TILDE, _SEMICOLON, _UNDERSCORE = (ord(sign) for sign in "\t\n ~;_")
_A, _Z, _TO_LOWER = ord("A"), ord("Z"), 32
_A_, _C_, _D_, _E_, _H_, _M_, _P_, _R_, _S_, _W_ = (ord(sign) for sign in "acdehmprsw")


class PlainTexts(NamedTuple):
    """What a first look at texts shows.

    Attributes:
        are_plain: For each whether gemmi and pymatgen cut it into the same words.
        have_rare_names: Whether any may hold a Hall symbol, a density, or the group under
            one of its newer names.
    """

    are_plain: list[bool]
    have_rare_names: bool


def look_through(texts: Sequence[str]) -> PlainTexts:
    """Find the texts that every parser cuts into the same words.

    Texts of one origin are alike, so they are first looked through as one.
    """
    is_usual, n_blocks, has_rare_names = _look("\n".join(texts))
    if is_usual and n_blocks == len(texts) and all("data_" in text for text in texts):
        return PlainTexts([not _has_quoted_hash(text) for text in texts], has_rare_names)
    return PlainTexts([_is_plain(text) for text in texts], have_rare_names=True)


def _is_plain(text: str) -> bool:
    is_usual, n_blocks, _ = _look(text)
    if not is_usual or _has_quoted_hash(text):
        return False
    # other names may hold the word that begins a block, too
    return "data_" in text if n_blocks == 1 else _BLOCK_START.findall(text) == ["data_"]


def _has_quoted_hash(text: str) -> bool:
    if text.rfind("#") <= 0:
        return False
    heads = [line.partition("#")[0] for line in text.split("\n") if "#" in line]
    return any("'" in head or '"' in head for head in heads)


def _look(text: str) -> tuple[bool, int, bool]:
    """Say whether a text is usual, how often it holds `data_`, and rare names."""
    if not text.isascii():
        return False, 0, True
    return _scan(np.frombuffer(text.encode(), np.uint8))


@compiled
def _scan(text: NDArray[np.uint8]) -> tuple[bool, int, bool]:
    """Look for signs and words that parsers understand differently.

    These are control characters, text fields that begin with a semicolon, `loop_` with
    capitals, frames and old keywords (`save_`, `stop_`), magnetic and modulated
    structures, oxidation states, names with dots, and the block `powder_pattern`.
    """
    n_blocks, has_rare_names = 0, False
    for at in range(len(text)):
        sign = text[at]
        if sign == _UNDERSCORE:
            if _is_unusual(text, at):
                return False, 0, True
            if _lower(text, at - 1) == _A_:
                n_blocks += _stands(text, at - 4, _DATA)
            has_rare_names = has_rare_names or _is_rare(text, at)
        elif sign == _NEWLINE:
            after = text[at + 1 : at + 3]
            if len(after) == 2 and after[0] == _SEMICOLON and after[1] == _SEMICOLON:
                return False, 0, True
        elif not _SPACE <= sign <= _TILDE and sign != _TAB:
            return False, 0, True
    return True, n_blocks, has_rare_names


@compiled
def _is_rare(text: NDArray[np.uint8], at: int) -> bool:
    """Say whether the underscore at a position belongs to an entry that few texts have."""
    after = _lower(text, at + 1)
    if after == _S_:
        is_first = at == 0 or text[at - 1] <= _SPACE
        return is_first and (
            _stands(text, at + 1, _NEW_NAME) or _is_rare_symmetry(text, at + 1)
        )
    if after == _H_:
        return _stands(text, at + 1, _OLD_NAME) or _stands(text, at + 1, _HALL)
    return after == _D_ and _stands(text, at + 1, _DENSITY)


@compiled
def _is_rare_symmetry(text: NDArray[np.uint8], at: int) -> bool:
    behind = at + len(_OF_SYMMETRY)
    return _stands(text, at, _OF_SYMMETRY) and not (
        _stands(text, behind, _USUAL_LIST)
        or _stands(text, behind, _USUAL_SYMBOL)
        or _stands(text, behind, _USUAL_NUMBER)
        or _stands(text, behind, _USUAL_SYSTEM)
    )


@compiled
def _is_unusual(text: NDArray[np.uint8], at: int) -> bool:
    """Say whether the underscore at a position belongs to one of the words."""
    before, after = _lower(text, at - 1), _lower(text, at + 1)
    if before == _P_ and _stands(text, at - 4, _LOOP):
        for sign in text[at - 4 : at]:
            if sign <= _Z:
                return True
    return (
        (before == _E_ and _stands(text, at - 4, _SAVE))
        or (before == _P_ and _stands(text, at - 4, _STOP))
        or (before == _R_ and _stands(text, at - 6, _PATTERN))
        or (after == _M_ and _stands(text, at + 1, _MAGNETIC))
        or (after == _M_ and _stands(text, at + 1, _MODULATION))
        or (after == _A_ and _stands(text, at + 1, _MOMENT))
        or (after == _A_ and _stands(text, at + 1, _OXIDATION))
        or (after == _A_ and _stands(text, at + 1, _SITE))
        or (after == _W_ and _stands(text, at + 1, _WAVES))
        or (after == _C_ and _stands(text, at + 1, _CELL))
        or (after == _C_ and _stands(text, at + 1, _FORMULA))
        or (after == _E_ and _stands(text, at + 1, _EXPERIMENT))
        or (after == _S_ and _is_of_group(text, at + 1))
    )


@compiled
def _is_of_group(text: NDArray[np.uint8], at: int) -> bool:
    return (
        _stands(text, at, _SUPERSPACE)
        or _stands(text, at, _GROUP)
        or _stands(text, at, _SYMMETRY)
        or _stands(text, at, _SYMOP)
    )


@compiled
def _lower(text: NDArray[np.uint8], at: int) -> int:
    """Return a sign in lower case, a space outside of the text."""
    if at < 0 or at >= len(text):
        return _SPACE
    sign = int(text[at])
    return sign + _TO_LOWER if _A <= sign <= _Z else sign


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
