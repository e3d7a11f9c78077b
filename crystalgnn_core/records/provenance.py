"""Where records come from: licence, citation and release, stated with every result."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

from pydantic import Field, ValidationError

from crystalgnn_core.base import FrozenModel
from crystalgnn_core.errors import IntegrityError
from crystalgnn_core.storage.files import read_json, write_text

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import pyarrow as pa

NOT_STATED = "not stated"
FACT_COLUMNS = ("license", "source_version")  # what is stated of each row
# BY-NC, BY-NC-SA 4.0, "non-commercial", "noncommercial use only"
_NONCOMMERCIAL = re.compile(r"\bnc\b|non[\s-]?commercial", re.IGNORECASE)


class Provenance(FrozenModel):
    """What an ingest knows of its source as a whole.

    Attributes:
        source: Name of the source in the record table.
        kind: Kind of source, such as `jarvis` or `files`.
        license: Licence of its rows, where all have one; rows may carry their own.
        citation: What to cite for the data.
        source_version: Release that was read.
        place: Address or path that was read.
        ingested: When it was read, UTC, ISO 8601.
        digest: Digest of what was read; that of the ingest.
        synthetic: Whether the rows are examples, not data on materials; None where an older
            version wrote it.
    """

    source: str
    kind: str
    license: str | None = None
    citation: str | None = None
    source_version: str | None = None
    place: str | None = None
    ingested: str
    digest: str
    synthetic: bool | None = None


class SourceFacts(FrozenModel):
    """What a report says about some rows of one source.

    Attributes:
        source: Name of the source.
        n_rows: Rows that are spoken of; 0 where the number is not known.
        licenses: Licence to number of rows, `not stated` for rows without one.
        kind: Kind of source; None where it is not known.
        source_version: Release; where rows are of many, how many.
        citation: What to cite.
        address: Web address; paths of a machine are left out.
        ingested: Day on which it was read, such as `2026-11-25`.
    """

    source: str
    n_rows: int
    licenses: dict[str, int] = Field(default_factory=dict)
    kind: str | None = None
    source_version: str | None = None
    citation: str | None = None
    address: str | None = None
    ingested: str | None = None

    @property
    def noncommercial(self) -> tuple[str, ...]:
        """Licences of these rows that exclude commercial use."""
        return tuple(text for text in self.licenses if is_noncommercial(text))


def is_noncommercial(license_text: str) -> bool:
    """Return whether a licence excludes commercial use, such as CC BY-NC 4.0."""
    return _NONCOMMERCIAL.search(license_text) is not None


def name_noncommercial(facts: Iterable[SourceFacts]) -> tuple[str, ...]:
    """Name each source that excludes commercial use, such as `mp (CC BY-NC 4.0)`, once."""
    known = [one for one in facts if one.noncommercial]
    named = (f"{one.source} ({', '.join(one.noncommercial)})" for one in known)
    return tuple(dict.fromkeys(named))


def provenance_path(store: Path, source: str) -> Path:
    """Return the file that holds the provenance of a source."""
    return store / "ingests" / f"{source}.provenance.json"


def write_provenance(store: Path, provenance: Provenance) -> None:
    """Write the provenance of a source atomically; an older one is replaced."""
    path = provenance_path(store, provenance.source)
    write_text(path, provenance.model_dump_json(indent=1) + "\n")


def read_provenance(store: Path, source: str) -> Provenance | None:
    """Read the provenance of a source.

    Returns:
        None for a source that was ingested before provenance was kept.

    Raises:
        IntegrityError: The file is damaged.
    """
    path = provenance_path(store, source)
    if not path.is_file():
        return None
    try:
        return Provenance.model_validate(read_json(path))
    except ValidationError as error:
        raise IntegrityError(
            f"{path}: no provenance of a source; delete it and ingest {source} again"
        ) from error


def describe_sources(store: Path, rows: pa.Table) -> tuple[SourceFacts, ...]:
    """Return where rows (`source`, `FACT_COLUMNS`) come from, in order of the sources."""
    licenses = _count(rows, "license")
    versions = _count(rows, "source_version")
    return tuple(
        _describe(read_provenance(store, name), name, licenses[name], versions[name])
        for name in sorted(licenses)
    )


def _count(rows: pa.Table, column: str) -> dict[str, dict[str, int]]:
    """Count the rows of each source by what a column holds, the most frequent first."""
    groups = rows.select(["source", column]).group_by(["source", column])
    counted = groups.aggregate([([], "count_all")]).to_pylist()
    counts: dict[str, dict[str, int]] = defaultdict(dict)
    for row in sorted(counted, key=lambda row: (-row["count_all"], row[column] or "")):
        counts[row["source"]][row[column] or NOT_STATED] = row["count_all"]
    return counts


def _describe(
    known: Provenance | None,
    source: str,
    licenses: dict[str, int],
    versions: dict[str, int],
) -> SourceFacts:
    facts = SourceFacts(
        source=source,
        n_rows=sum(licenses.values()),
        licenses=licenses,
        source_version=_one_version(versions),
    )
    if known is None:
        return facts
    is_address = known.place is not None and "://" in known.place
    return facts.model_copy(
        update={
            "kind": known.kind,
            "source_version": known.source_version or facts.source_version,
            "citation": known.citation,
            "address": known.place if is_address else None,
            "ingested": known.ingested[:10],
        }
    )


def _one_version(versions: dict[str, int]) -> str | None:
    stated = [version for version in versions if version != NOT_STATED]
    if len(stated) > 1:
        return f"{len(stated):,} versions"
    return stated[0] if stated else None
