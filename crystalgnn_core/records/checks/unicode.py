"""Texts and dates as the tables can hold them, whatever a source found in its rows."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime

    from crystalgnn_core.records.schema import RawRecord


def storable(raw: RawRecord) -> RawRecord:
    r"""Return a record whose texts are Unicode and whose date has a year up to 9999.

    JSON can hold halves of characters (`"\ud800"`), which no table takes; each becomes a
    question mark. A date that is out of the range in UTC counts as missing.
    """
    changes: dict[str, Any] = {}
    for name in ("material_id", "split", "run_type", "source_version", "license"):
        text = getattr(raw, name)
        if text is not None and not _is_unicode(text):
            changes[name] = _as_unicode(text)
    if raw.error is not None and not _is_unicode(raw.error[1]):
        changes["error"] = (raw.error[0], _as_unicode(raw.error[1]))
    if raw.last_updated is not None and not _is_date(raw.last_updated):
        changes["last_updated"] = None
    return raw._replace(**changes) if changes else raw


def _is_unicode(text: str) -> bool:
    return text.isascii() or _as_unicode(text) == text


def _as_unicode(text: str) -> str:
    return text.encode("utf-8", errors="replace").decode("utf-8")


def _is_date(date: datetime) -> bool:
    try:
        date.astimezone(UTC)
    except OverflowError:
        return False
    return True
