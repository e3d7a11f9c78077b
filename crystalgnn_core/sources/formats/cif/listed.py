"""The symmetry operations that a CIF lists."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from crystalgnn_core.sources.formats.cif.groups import keys_of
from crystalgnn_core.sources.formats.cif.symmetry import (
    Operations,
    keeps_volume,
    operations_of,
    read_operation,
)
from crystalgnn_core.sources.formats.parsing import unreadable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crystalgnn_core.sources.formats.cif.items import Items

_OPERATIONS = ("_symmetry_equiv_pos_as_xyz", "_space_group_symop_operation_xyz")
_MAGNETIC = "_space_group_symop_magn_operation_xyz"
_MAGNETIC_GROUP = "_space_group_magn_n"  # names and numbers, of BNS or OG
_CENTRING = "_space_group_symop_magn_centering_xyz"
_MAX_OPERATIONS = 1_000
_MAX_DISTINCT = 400  # of a cubic group 192, of a doubled cell of it 384
_PARTS = 10_000  # of a cell vector, by which translations differ


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
    for text in _whole(texts):
        words = text.rpartition(",")[0] if is_magnetic and text.count(",") == 3 else text
        operation = read_operation(words.strip("()[]"))
        if operation is None or not keeps_volume(operation):
            raise unreadable(
                f"{text[:60]!r} is no symmetry operation; expected one such as -x,y+1/2,z, "
                "in quotes if it holds spaces"
            )
        rows.append(operation)
    operations = operations_of(rows)
    is_identity = (operations.rotations == np.eye(3)).all(axis=(1, 2)) & (
        np.abs(operations.translations - np.rint(operations.translations)).max(axis=1)
        < 1e-6
    )
    if not is_identity.any():
        operations = operations_of([np.eye(3, 4), *rows])
    return _distinct(operations)


def _whole(texts: Sequence[str]) -> list[str]:
    """Join the words of operations that stand without quotes, such as `x, y, z`."""
    whole: list[str] = []
    for text in texts:
        if whole and (whole[-1].endswith(",") or text.startswith(",")):
            whole[-1] += f" {text}"
        else:
            whole.append(text)
    return whole


def _distinct(operations: Operations) -> Operations:
    """Keep the first of operations that are equal up to whole cells.

    Raises:
        RecordError: So many are left that no cell of a crystal has them.
    """
    parts = np.rint(operations.translations * _PARTS) % _PARTS
    rows = np.hstack([operations.rotations.reshape(-1, 9), parts])
    kept = np.sort(np.unique(rows, axis=0, return_index=True)[1])
    if len(kept) > _MAX_DISTINCT:
        raise unreadable(
            f"the CIF lists {len(kept)} different symmetry operations, expected at most "
            f"{_MAX_DISTINCT}; give a smaller cell"
        )
    return Operations(operations.rotations[kept], operations.translations[kept])


def _product(operations: Operations, centring: Operations | None) -> Operations:
    """Combine operations with the translations of a centred cell."""
    if centring is None:
        return operations
    n_shifts = len(centring.translations)
    shifted = operations.translations[:, None] + centring.translations
    return _distinct(
        Operations(
            np.repeat(operations.rotations, n_shifts, axis=0),
            (shifted - np.floor(shifted)).reshape(-1, 3),
        )
    )
