"""The 564 tabulated settings of the space groups, found by what CIFs call them."""

from __future__ import annotations

import re
from collections import defaultdict
from functools import cache, lru_cache
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import gemmi
import numpy as np

from crystalgnn_core.sources.formats.cif.symmetry import Operations

if TYPE_CHECKING:
    from collections.abc import Iterator

_BRACKETS = re.compile(
    r"\{[^{}]*\}|\[[^\[\]]*\]|\([^()]+[a-z@ ][^()]*\)|\([hr]\)|\([a-z][12]\)", re.IGNORECASE
)
_BASIS = re.compile(r"[abcxyz][^,]*,[^,]*[abcxyz][^,]*,[^,]*[abcxyz]", re.IGNORECASE)
_ORIGIN = re.compile(r"(?:origin|choice|o)\W*(?:choice\W*)?([12])\b", re.IGNORECASE)
_END = re.compile(r"[\s,;]+origin\s*(?:choice|no\.?)?\s*[12]\s*$", re.IGNORECASE)
_TYPESET = (  # as \bar{3}, 3bar, 6_{3} of manuscripts
    (re.compile(r"\\?(?:bar|overline)\s*\{?(\d)\}?|(\d)\s*bar"), r"-\1\2"),
    (re.compile(r"_?\{(\d)\}"), r"\1"),
)
_NUMBERED = re.compile(  # 6(3) is an axis
    r"\(?\s*(?:\bno\b\.?|#)\s*\d+\s*\)?|^\d+\s*[:=]|\((?:[7-9]|[1-9]\d\d?)\)", re.IGNORECASE
)
_NOISE = re.compile(r"<[^<>]*>|[\s_~(){}\[\]'\"`*$\\]+")
# of the Pauling file and ICSD: S has the origin of choice 1, Z that of choice 2
_ENDINGS = {
    "s": "1",
    "z": "2",
    "o1": "1",
    "o2": "2",
    "oc1": "1",
    "oc2": "2",
    "h": "H",
    "hr": "H",
    "hs": "H",
    "r": "R",
    "rh": "R",
    "rs": "R",
    "rz": "R",
}
_NO_NAME = frozenset({"", "?", ".", "unknown", "none", "n/a"})


class Setting(NamedTuple):
    """A space group on certain axes, with a certain origin.

    Attributes:
        number: In the International Tables, 0 for operations that are not tabulated.
        name: Hermann-Mauguin symbol with its origin or axes, such as `F d -3 m:2`.
        hall: Hall symbol.
        choice: `1` or `2` for an origin, `H` or `R` for axes, or empty.
        rank: Settings of a higher rank are meant only if the cell excludes the others.
    """

    number: int
    name: str
    hall: str
    choice: str
    rank: int = 0

    @property
    def operations(self) -> Operations:
        """All operations, the identity first."""
        return _operations_of_hall(self.hall)


def settings_of_name(text: str) -> list[Setting] | None:
    """Look up a Hermann-Mauguin symbol in any of its usual spellings.

    Full, short and old symbols, `e` glides, any letter case, underscores or spaces, and
    what is added for an origin or for axes (`:2`, `S`, `(origin choice 1)`, `RS`).

    Returns:
        The settings it may stand for; an empty list if no group is named (`?`), None if
        the symbol is not known.
    """
    words = text.strip().replace("\n", " ")
    if words.lower().strip("()") in _NO_NAME:
        return []
    if words.isdigit():
        return settings_of_number(int(words))
    if changes_axes(words):
        return None
    for pattern, plain in _TYPESET:
        words = pattern.sub(plain, words)
    notes = " ".join(_BRACKETS.findall(words) + _END.findall(words))
    words = _NUMBERED.sub("", _END.sub("", _BRACKETS.sub(" ", words)))
    symbol, _, suffix = words.partition(":")
    key = _NOISE.sub("", symbol).lower()
    choice = _choice_of(suffix.strip(), notes)
    if key not in _by_name():
        key, ending = _without_ending(key)
        choice = choice or ending
    found = _by_name().get(key, ())
    if found:
        return _chosen(found, choice)
    tabulated = _by_hall().get(" ".join(symbol.split()).lower())
    return [tabulated] if tabulated else None


def changes_axes(text: str) -> bool:
    """Return whether a symbol has a change of axes, as in `P 1 21/c 1 (a-c,b,c)`."""
    return _BASIS.search(" ".join(_BRACKETS.findall(text))) is not None


def settings_of_hall(text: str) -> list[Setting] | None:
    """Look up a Hall symbol, also one that is not tabulated; None if it is none."""
    words = " ".join(text.replace("_", " ").split())
    if words.lower().strip("()") in _NO_NAME:
        return []
    return _of_hall_only(words)


def settings_of_number(number: int) -> list[Setting] | None:
    """List the settings of a number, of 1 without the centred ones; None for none."""
    groups = [group for group in gemmi.spacegroup_table() if group.number == number]
    return [_setting(group) for group in groups[: 1 if number == 1 else None]] or None


def _chosen(found: tuple[Setting, ...], choice: str) -> list[Setting]:
    """Keep the settings of an origin or of axes, where the group has any to choose."""
    return [setting for setting in found if setting.choice == choice] or list(found)


def _choice_of(suffix: str, notes: str) -> str:
    """Return the choice that is named behind a colon or in brackets, empty for none."""
    if suffix[:1].upper() in {"1", "2", "H", "R"}:
        return suffix[0].upper()
    if suffix:
        return _ENDINGS.get(suffix.lower(), "")
    if match := _ORIGIN.search(notes):
        return match[1]
    lower = re.sub(r"\W+", " ", notes.lower())
    for word, choice in (
        ("cent", "2"),
        ("hex", "H"),
        ("rhomb", "R"),
        ("h", "H"),
        ("r", "R"),
    ):
        if word in lower.split() or (len(word) > 1 and word in lower):
            return choice
    return ""


def _without_ending(key: str) -> tuple[str, str]:
    for length in (3, 2, 1):
        ending = _ENDINGS.get(key[-length:])
        if ending and key[:-length] in _by_name():
            return key[:-length], ending
    return key, ""


def _of_hall_only(symbol: str) -> list[Setting] | None:
    words = " ".join(symbol.split())
    tabulated = _by_hall().get(words.lower())
    if tabulated:
        return [tabulated]
    try:
        group = gemmi.find_spacegroup_by_ops(gemmi.symops_from_hall(words))
    except (RuntimeError, ValueError):
        return None
    return [Setting(group.number if group else 0, words, words, "")]


def _setting(group: gemmi.SpaceGroup) -> Setting:
    return Setting(group.number, group.xhm(), group.hall, group.ext.strip("\0"))


@cache
def _by_hall() -> dict[str, Setting]:
    return {group.hall.lower(): _setting(group) for group in gemmi.spacegroup_table()}


@cache
def _by_name() -> dict[str, tuple[Setting, ...]]:
    """Return the settings by symbol, lower-case and without spaces."""
    found: defaultdict[str, dict[Setting, None]] = defaultdict(dict)
    for group in gemmi.spacegroup_table():
        setting = _setting(group)
        for rank, spelling in _spellings(group):
            key = spelling.replace(" ", "").lower()
            if setting not in found[key]:
                found[key][setting._replace(rank=rank)] = None
    return {key: tuple(settings) for key, settings in found.items()}


def _spellings(group: gemmi.SpaceGroup) -> Iterator[tuple[int, str]]:
    """Yield the symbols of a setting, each with its rank."""
    centring, *parts = group.hm.split()
    yield 0, group.hm
    if group.crystal_system_str() == "monoclinic":
        axis = next(place for place, part in enumerate(parts) if part != "1")
        yield (2, 0, 1)[axis], centring + parts[axis]
        return
    if group.number in {39, 41, 64, 67, 68}:
        place = "ABC".index(centring)
        with_e = [*parts[:place], "e", *parts[place + 1 :]]
        # of two settings with one such symbol the standard one is meant
        is_other = group.number in {67, 68} and group.hm not in {"C m m a", "C c c a"}
        yield int(is_other), centring + "".join(with_e)
    for full in _full_parts(group.number, parts):
        yield 0, centring + "".join(full)
    if group.number >= 200:  # the old symbols of the cubic groups, such as F m 3 m
        yield 0, centring + "".join(parts).replace("-3", "3")
    if group.ext == "H" and group.hm in {"R 3", "R 3 2"}:
        yield 0, "H" + "".join(parts)


def _full_parts(number: int, parts: list[str]) -> Iterator[tuple[str, ...]]:
    """Write mirror planes with the axes they stand on, as in `P 21/n 21/m 21/a`."""
    is_centric_mirror = [len(part) == 1 and part.isalpha() for part in parts]
    if number < 75:
        if not all(is_centric_mirror):
            return
        axes: list[tuple[str, ...]] = [("2/", "21/")] * 3
    elif number < 195:
        has_mirrors = "/" in parts[0] or parts[0] == "-3"
        axes = [
            ("2/", "21/") if has_mirrors and mirror else ("",)
            for mirror in is_centric_mirror
        ]
    else:
        if "-3" not in parts:
            return
        first: tuple[str, ...] = (
            ("2/", "21/") if len(parts) == 2 else ("4/", "41/", "42/", "43/")
        )
        axes = [first, ("",), ("2/", "21/")][: len(parts)]
    for signs in product(*axes):
        yield tuple(sign + part for sign, part in zip(signs, parts, strict=True))


@lru_cache(maxsize=1000)
def _operations_of_hall(hall: str) -> Operations:
    operations = list(gemmi.symops_from_hall(hall))
    return Operations(
        np.array([op.rot for op in operations], np.float64) / gemmi.Op.DEN,
        np.array([op.tran for op in operations], np.float64) / gemmi.Op.DEN,
    )
