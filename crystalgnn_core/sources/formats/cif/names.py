"""Which element a site of a CIF is named after, read strictly."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from crystalgnn_core.errors import RecordError
from crystalgnn_core.records.elements import NUMBER_OF_SYMBOL

if TYPE_CHECKING:
    from collections.abc import Collection

_NAME = re.compile(r"(?:\d{1,3}(?=[A-Z][a-z]?\d*[+-]?$))?([A-Za-z]+)(.*)", re.DOTALL)
_CHARGE = re.compile(r"[\d.]*[+-]?[\d.]*(?:\([\dIVX+-]*\))?(?:_.*)?", re.DOTALL)
# water, hydroxyl, ammonia and other groups, of which a CIF gives the heavy atom at most
_GROUP = re.compile(
    r"(?:[Ww]at|WAT|[HD]2O|HO[HD]|H3O|DOD|HOH|O-?[HhDd]|O[Ww]|O\([HhWwDd]\d*\)|[Oo]\d+[Ww]"
    r"|[BCNOS]\d+H\d|NH[1-4]?|N\(H|ND[1-4]|CH[1-4]|CN|NO[23]|CO[23]|SO[34]|PO[34]|ClO[34]|HO)"
    r"(?![a-z])"
)
# sites that are called so, brackets and signs left out; O4h is rather a Wyckoff position
_CALLED_SO = re.compile(
    r"(?:[HD]2O|h2o|H3O|HO[HD]?|DO[HD]|[Ww]at|WAT|[Aa]q)\d*|OH[a-z]?\d*|O\d*[Ww]\d*|O\d+H"
    r"|[BCNOS]\d*(?:O[HD]|[HD]2O|[Ww]at|[Aa]q|[Hh]yd|[Aa]mm)\d*|[BCNS]\d*H[1-4]"
)
_LETTERED = re.compile(r"(O\(?\d+\)?[-_]?)H")
_SIGNS = re.compile(r"[()\[\]_*'\-\s]+")
_WITHOUT_HYDROGEN = re.compile(r"(?:CN|NO[23]|CO[23]|SO[34]|PO[34]|ClO[34])(?![a-z])")
_OXYGEN_D = re.compile(r"O[Dd][a-zA-Z]?\d*")
_MIXTURE = re.compile(r"\d*\.\d+\s*[A-Z]|.*[A-Za-z0-9]\s*[,/+&]\s*\d*\.?\d*[A-Z]")
_MAX_LENGTH = 40
_LAST_USUAL = 103  # heavier ones form no crystals; Nh is rather a group of N and H
_DUMMIES = frozenset(
    {"cg", "ct", "cnt", "cen", "cent", "du", "dum", "va", "vac", "box", "lp"}
)
# of two letters in capitals that are groups of atoms, too
_AMBIGUOUS = frozenset(
    {"CO", "NO", "CN", "HO", "HF", "NP", "OS", "PO", "CS", "CF", "NB", "RE"}
)


@lru_cache(maxsize=10_000)
def is_group_of_atoms(name: str) -> bool:
    """Return whether a name is that of water, a hydroxyl or another group of atoms."""
    return _GROUP.match(name) is not None


@lru_cache(maxsize=10_000)
def is_group_with_hydrogen(name: str) -> bool:
    """Return whether a name is that of water, a hydroxyl or an ammonium, not a nitrate."""
    if _CALLED_SO.fullmatch(_SIGNS.sub("", name)):
        return True
    return is_group_of_atoms(name) and not _WITHOUT_HYDROGEN.match(name)


@lru_cache(maxsize=10_000)
def is_doubtful(name: str) -> bool:
    """Return whether a name may be that of a group of atoms, for whatever reason."""
    return is_group_of_atoms(name) or is_group_with_hydrogen(name)


def is_lettered(name: str, names: Collection[str]) -> bool:
    """Return whether a name such as `O1H` is one of a row: `O1A`, `O1B` and so on."""
    found = _LETTERED.fullmatch(name)
    return found is not None and f"{found[1]}A" in names


def is_oxygen(name: str, formula: Collection[str] | None) -> bool:
    """Return whether a formula without hydrogen says that a name is that of an oxygen.

    These are `OD` of feldspars, which may be a deuteroxyl, too, and `O1H`.
    """
    is_dry = formula is not None and "O" in formula and "H" not in formula
    return is_dry and bool(_OXYGEN_D.fullmatch(name) or _LETTERED.fullmatch(name))


def element_of(type_symbol: str, label: str, formula: Collection[str] | None) -> str:
    """Return the element of a site: the type symbol decides, or without one the label.

    Args:
        type_symbol: Such as `Fe3+` or `O2-`; empty if there is none.
        label: Such as `Fe1`, `O1A` or `Si(1)`.
        formula: Elements of the stated formula, which decides about `CA1`; None without.

    Returns:
        The symbol, `D` for deuterium.

    Raises:
        RecordError: `unknown_element` for anything else, `disordered_site` for several.
    """
    name = (type_symbol or label)[:_MAX_LENGTH]
    if _MIXTURE.match(name):
        raise RecordError(
            "disordered_site",
            f"site {label} is named {name!r}, several elements; order the structure first",
        )
    if is_group_of_atoms(name) and not is_oxygen(name, formula):
        raise _unknown(label, name, "a group of atoms whose places are not all given")
    match = _NAME.fullmatch(name)
    letters = match[1] if match else ""
    if match is None or letters.lower() in _DUMMIES:
        raise _unknown(label, name, "no element")
    if type_symbol and not _CHARGE.fullmatch(match[2]):
        raise _unknown(label, name, "no element with a charge")
    if letters == "D" and (type_symbol or name == "D"):
        return "D"
    sure, possible = _readings(letters, is_type=bool(type_symbol))
    if sure:
        return sure
    stated = [symbol for symbol in possible if formula is not None and symbol in formula]
    if len(stated) == 1:
        return stated[0]
    raise _unknown(label, name, "no element")


def _readings(letters: str, *, is_type: bool) -> tuple[str, list[str]]:
    """Return the one sure reading of letters, or those among which a formula decides."""
    if letters in NUMBER_OF_SYMBOL:
        is_usual = NUMBER_OF_SYMBOL[letters] <= _LAST_USUAL
        return (letters, []) if is_usual else ("", [letters])
    two, one = letters[:2].title(), letters[0].upper()
    if is_type and len(letters) <= 2 and two in NUMBER_OF_SYMBOL:  # CL, na, o
        return ("" if letters.upper() in _AMBIGUOUS else two), [two, one]
    if letters[:2] == two and two in NUMBER_OF_SYMBOL:  # NaA
        return "", [two]
    possible = [two, one] if letters[1:2].isupper() or letters.islower() else [one]
    return "", [
        symbol for symbol in possible if symbol in NUMBER_OF_SYMBOL or symbol == "D"
    ]


def _unknown(label: str, name: str, what: str) -> RecordError:
    site = f"site {label}" if label != name else "a site"
    return RecordError(
        "unknown_element",
        f"{site} is named {name!r}, {what}; give each atom a place of its own and its "
        "element in _atom_site_type_symbol",
    )
