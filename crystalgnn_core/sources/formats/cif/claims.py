"""What a CIF states of its symmetry by name: symbols, numbers, and hints at a group."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from gemmi import cif

from crystalgnn_core.sources.formats.cif.groups import is_group, keys_of
from crystalgnn_core.sources.formats.cif.symbols import (
    Setting,
    changes_axes,
    settings_of_hall,
    settings_of_name,
    settings_of_number,
)
from crystalgnn_core.sources.formats.cif.symmetry import read_operations
from crystalgnn_core.sources.formats.parsing import unreadable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crystalgnn_core.sources.formats.cif.items import Items

_SYMBOLS = (
    "_symmetry_space_group_name_h-m",
    "_space_group_name_h-m_alt",
    "_space_group_name_h-m",
    "_space_group_name_h-m_full",
    "_symmetry_space_group_name_h_m",
    "_symmetry_space_group_name",
    "_symmetry_space_group",
    "_space_group_name",
    "_space_group",
)
_HALLS = ("_symmetry_space_group_name_hall", "_space_group_name_hall")
_NUMBERS = (
    "_symmetry_int_tables_number",
    "_space_group_it_number",
    "_symmetry_group_it_number",
    "_symmetry_it_number",
    "_space_group_it_num",
    "_space_group_number",
    "_symmetry_space_group_number",
)
COMMON_NAMES = (_SYMBOLS[0], _NUMBERS[0])  # of most programs
# of the group on standard axes, whichever the cell has
_REFERENCES = ("_space_group_name_h-m_ref",)
NAMES = (*_SYMBOLS, *_HALLS, *_REFERENCES, *_NUMBERS)
_ANY_NAME = ("_space_group_name_", "_symmetry_space_group_name_")
_NO_SYMMETRY = frozenset({"c1", "c1^1", "c_1^1", "c1.1"})  # as Schoenflies wrote it
_OF_SYSTEM = ("_symmetry_cell_setting", "_space_group_crystal_system")
_MULTIPLICITY = "_atom_site_symmetry_multiplicity"
_COORDINATE_SYSTEM = "_space_group_it_coordinate_system_code"


def _settings_of_digits(text: str) -> list[Setting] | None:
    digits = text.strip().removesuffix(".0")
    if digits in {"", "?", ".", "0", "-1"}:
        return []
    return settings_of_number(int(digits)) if digits.isdigit() and len(digits) < 4 else None


_KINDS = (
    ("symbol", _SYMBOLS, settings_of_name),
    ("Hall symbol", _HALLS, settings_of_hall),
    ("reference symbol", _REFERENCES, settings_of_name),
    ("number", _NUMBERS, _settings_of_digits),
)


class Claim(NamedTuple):
    """One name of the space group.

    Attributes:
        text: As the CIF gives it, for messages.
        settings: What it may stand for; empty if it is not known.
        names_axes: Whether it names axes, unlike a number or the symbol for standard ones.
        is_moved: Whether it is a symbol with a change of axes, which is not known.
    """

    text: str
    settings: list[Setting]
    names_axes: bool = True
    is_moved: bool = False

    @property
    def is_trivial(self) -> bool:
        """Whether it says that there is no symmetry, which many programs write."""
        return [setting.hall for setting in self.settings] == ["P 1"]

    @property
    def numbers(self) -> set[int]:
        """The numbers of the groups that it may stand for."""
        return {setting.number for setting in self.settings}


def read_claims(items: Items) -> list[Claim]:
    """List the names of the space group: symbols, Hall symbols, then those without axes."""
    claims = []
    choice = (items.value(_COORDINATE_SYSTEM) or "")[:1].upper()
    for what, names, look_up in _KINDS:
        for text in dict.fromkeys(items.values(names).values()):
            settings = look_up(text)
            if settings is None or settings:
                found = settings or []
                chosen = [setting for setting in found if setting.choice == choice != ""]
                words = f"{what} {text[:60]!r}"
                names_axes = names not in (_REFERENCES, _NUMBERS)
                is_moved = not found and changes_axes(text)
                claims.append(Claim(words, chosen or found, names_axes, is_moved))
    return claims


def refuse_other_names(items: Items, claims: list[Claim]) -> None:
    """Refuse a group that is named only in ways that are not read, such as Schoenflies's.

    Raises:
        RecordError: There is such a name, and no other that says more than `P 1`.
    """
    if any(claim.settings and not claim.is_trivial for claim in claims):
        return
    others = (name for name in items.names if name.startswith(_ANY_NAME))
    for name in sorted(set(others).difference(NAMES)):
        text = items.value(name) or ""
        is_name = not name.endswith("_description") and text.strip("?. ")
        if is_name and text.strip().lower() not in _NO_SYMMETRY:
            raise unreadable(
                f"the space group is given as {name} {text[:60]!r} only, and no symmetry "
                "operations are listed; list them, or give _space_group_name_H-M_alt"
            )


def hint_of_symmetry(items: Items) -> str:
    """Return what says that there is symmetry where no group is named, empty for none."""
    system = items.values(_OF_SYSTEM)
    for name, text in system.items():
        if text.strip().lower() not in {"triclinic", "anorthic", "unknown", "none"}:
            return f"{name} is {text[:40]!r}"
    for word in items.column(_MULTIPLICITY):
        if word.partition(".")[0] not in {"?", "", "0", "1"}:
            return f"{_MULTIPLICITY} is {word[:40]!r}"
    return ""


def doubted_symbol(claims: Sequence[Claim]) -> Claim | None:
    """Return a symbol that is not known where no other symbol is.

    Raises:
        RecordError: It names other axes, and no Hall symbol does so in a known way.
    """
    known = [claim for claim in claims if claim.names_axes and claim.settings]
    unknown = [claim for claim in claims if claim.names_axes and not claim.settings]
    is_moved_too = any(c.text.startswith("Hall") and "(" in c.text for c in known)
    for claim in unknown:
        if claim.is_moved and not is_moved_too:
            raise unreadable(
                f"space group {claim.text} has other axes, and no symmetry operations are "
                "listed; list them"
            )
    return unknown[0] if unknown and not known else None


@lru_cache(maxsize=10_000)
def names_operations(
    names: tuple[str, ...], values: tuple[str | None, ...], texts: tuple[str, ...]
) -> bool:
    """Return whether all that names a group is known, and names the listed operations.

    Args:
        names: Entries that may name a group.
        values: Of the entries, in quotes or not, None for missing ones.
        texts: The operations as listed, the identity first.
    """
    operations = read_operations(texts)
    if operations is None or not is_group(operations):
        return False
    keys = keys_of(operations)
    claims = [claim for claim in map(_settings_of, names, values) if claim != []]
    return all(
        claim is not None and any(keys == keys_of(setting.operations) for setting in claim)
        for claim in claims
    )


def _settings_of(name: str, value: str | None) -> list[Setting] | None:
    if value is None:
        return []
    look_up = next(look_up for _, names, look_up in _KINDS if name.lower() in names)
    return look_up(cif.as_string(value))
