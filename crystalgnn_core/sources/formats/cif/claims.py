"""What a CIF states of its symmetry: names of a space group, and operations."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from gemmi import cif

from crystalgnn_core.sources.formats.cif.groups import is_group, keys_of
from crystalgnn_core.sources.formats.cif.symbols import (
    Setting,
    settings_of_hall,
    settings_of_name,
    settings_of_number,
)
from crystalgnn_core.sources.formats.cif.symmetry import (
    Operations,
    operations_of,
    read_operation,
    read_operations,
)
from crystalgnn_core.sources.formats.parsing import unreadable

if TYPE_CHECKING:
    from crystalgnn_core.sources.formats.cif.items import Items

_SYMBOLS = (
    "_symmetry_space_group_name_h-m",
    "_space_group_name_h-m_alt",
    "_space_group_name_h-m",
    "_space_group_name_h-m_full",
    "_symmetry_space_group_name_h_m",
)
_HALLS = ("_symmetry_space_group_name_hall", "_space_group_name_hall")
_NUMBERS = ("_symmetry_int_tables_number", "_space_group_it_number")
COMMON_NAMES = (_SYMBOLS[0], _NUMBERS[0])  # of most programs
NAMES = (*_SYMBOLS, *_HALLS, *_NUMBERS)
_COORDINATE_SYSTEM = "_space_group_it_coordinate_system_code"
_OPERATIONS = ("_symmetry_equiv_pos_as_xyz", "_space_group_symop_operation_xyz")
_MAGNETIC = "_space_group_symop_magn_operation_xyz"
_MAGNETIC_GROUP = "_space_group_magn_n"  # names and numbers, of BNS or OG
_CENTRING = "_space_group_symop_magn_centering_xyz"
_MAX_OPERATIONS = 1_000


def _settings_of_digits(text: str) -> list[Setting] | None:
    digits = text.strip().removesuffix(".0")
    if digits in {"", "?", ".", "0", "-1"}:
        return []
    return settings_of_number(int(digits)) if digits.isdigit() and len(digits) < 4 else None


_KINDS = (
    ("symbol", _SYMBOLS, settings_of_name),
    ("Hall symbol", _HALLS, settings_of_hall),
    ("number", _NUMBERS, _settings_of_digits),
)


class Claim(NamedTuple):
    """One name of the space group.

    Attributes:
        text: As the CIF gives it, for messages.
        settings: What it may stand for; empty if it is not known.
        is_number: Whether it is the number of the group.
    """

    text: str
    settings: list[Setting]
    is_number: bool = False

    @property
    def is_trivial(self) -> bool:
        """Whether it says that there is no symmetry, which many programs write."""
        return [setting.hall for setting in self.settings] == ["P 1"]

    @property
    def numbers(self) -> set[int]:
        """The numbers of the groups that it may stand for."""
        return {setting.number for setting in self.settings}


def read_claims(items: Items) -> list[Claim]:
    """List the names of the space group: symbols, then Hall symbols, then numbers."""
    claims = []
    choice = (items.value(_COORDINATE_SYSTEM) or "")[:1].upper()
    for what, names, look_up in _KINDS:
        for text in dict.fromkeys(items.values(names).values()):
            settings = look_up(text)
            if settings is None or settings:
                found = settings or []
                chosen = [setting for setting in found if setting.choice == choice != ""]
                words = f"{what} {text[:60]!r}"
                claims.append(Claim(words, chosen or found, what == "number"))
    return claims


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


def listed_operations(items: Items) -> Operations | None:
    """Read the operations that a CIF lists, of a magnetic one without time reversal.

    Returns:
        The operations, the identity among them; None if none are listed.

    Raises:
        RecordError: One cannot be read, or two lists differ.
    """
    if _MAGNETIC in items.names:
        operations = _read_list(items.column(_MAGNETIC), is_magnetic=True)
        centring = _read_list(items.column(_CENTRING) or ["x,y,z,+1"], is_magnetic=True)
        return None if operations is None else _product(operations, centring)
    lists = [_read_list(items.column(name)) for name in _OPERATIONS]
    found = [operations for operations in lists if operations is not None]
    if len(found) > 1 and keys_of(found[0]) != keys_of(found[1]):
        raise unreadable(
            f"{_OPERATIONS[0]} and {_OPERATIONS[1]} list different operations; keep one"
        )
    if not found and any(name.startswith(_MAGNETIC_GROUP) for name in items.names):
        raise unreadable(
            "the CIF names a magnetic space group, but lists no symmetry operations; list "
            f"them in {_MAGNETIC}"
        )
    return found[0] if found else None


def _read_list(texts: list[str], *, is_magnetic: bool = False) -> Operations | None:
    if not texts or all(text in {"", "?", "."} for text in texts):
        return None
    if len(texts) > _MAX_OPERATIONS:
        raise unreadable(
            f"the CIF lists {len(texts)} symmetry operations, expected at most "
            f"{_MAX_OPERATIONS}"
        )
    rows = []
    for text in texts:
        words = text.rpartition(",")[0] if is_magnetic and text.count(",") == 3 else text
        operation = read_operation(words.strip("()[]"))
        if operation is None or abs(abs(np.linalg.det(operation[:, :3])) - 1.0) > 1e-6:
            raise unreadable(
                f"{text[:60]!r} is no symmetry operation; expected one such as -x,y+1/2,z"
            )
        rows.append(operation)
    operations = operations_of(rows)
    is_identity = (operations.rotations == np.eye(3)).all(axis=(1, 2)) & (
        np.abs(operations.translations - np.rint(operations.translations)).max(axis=1)
        < 1e-6
    )
    if is_identity.any():
        return operations
    return operations_of([np.eye(3, 4), *rows])


def _product(operations: Operations, centring: Operations | None) -> Operations:
    """Combine operations with the translations of a centred cell."""
    if centring is None:
        return operations
    n_shifts = len(centring.translations)
    shifted = operations.translations[:, None] + centring.translations
    return Operations(
        np.repeat(operations.rotations, n_shifts, axis=0),
        (shifted - np.floor(shifted)).reshape(-1, 3),
    )
