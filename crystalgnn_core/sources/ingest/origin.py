"""The provenance of a source, from its settings and what was read of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from crystalgnn_core.records.provenance import Provenance, read_provenance, write_provenance

if TYPE_CHECKING:
    from pathlib import Path

    from crystalgnn_core.sources.base import SourceConfig


def provenance_of(
    source: SourceConfig, *, digest: str, source_version: str | None
) -> Provenance:
    """Return where the rows of a source that are read now come from, in which release."""
    place = source.place()
    given = source_version or getattr(source, "source_version", None)
    return Provenance(
        source=source.name,
        kind=str(getattr(source, "kind", type(source).__name__)),
        license=source.license,
        citation=source.citation,
        source_version=given,
        place=None if place is None else _without_secrets(place),
        synthetic=source.synthetic,
        ingested=datetime.now(UTC).isoformat(timespec="seconds"),
        digest=digest,
    )


def refresh_provenance(
    store: Path, source: SourceConfig, *, digest: str, source_version: str | None
) -> None:
    """Write the provenance of an unchanged source again where the settings say more.

    A corrected citation counts although no row is read for it; the time of reading stays.
    """
    before = read_provenance(store, source.name)
    now = provenance_of(source, digest=digest, source_version=source_version)
    if before is not None:
        now = now.model_copy(update={"ingested": before.ingested})
    if now != before:
        write_provenance(store, now)


def _without_secrets(place: str) -> str:
    """Return a path as it is, an address without user and query, which hold keys."""
    if "://" not in place:
        return place
    parts = urlsplit(place)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
