"""What a raw record must hold: its crystal, or its fault."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crystalgnn_core.records.crystal import Crystal
    from crystalgnn_core.records.schema import RawRecord


def crystal_of(record: RawRecord) -> Crystal:
    """Return the crystal of a record that was read."""
    assert record.error is None, record.error
    assert record.crystal is not None
    return record.crystal


def fault_of(record: RawRecord) -> tuple[str, str]:
    """Return reason and message of a record that was refused."""
    assert record.crystal is None
    assert record.error is not None
    return record.error
