"""What the last ingest of a source did, and whether the store still holds all of it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pydantic import Field, ValidationError

from crystalgnn_core.base import FrozenModel
from crystalgnn_core.errors import IntegrityError
from crystalgnn_core.records.gate.log import GateLog
from crystalgnn_core.records.gate.report import GateReport
from crystalgnn_core.records.table.store import RecordCounts, RecordStore
from crystalgnn_core.sources.ingest.stored import StoredSource
from crystalgnn_core.storage.files import read_json

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger(__name__)


class IngestReport(FrozenModel):
    """What came of one source: rows in = kept + rejected, always.

    Attributes:
        source: Name of the source.
        digest: Digest of everything that was read.
        n_in: Rows the source yielded.
        n_kept: Rows in the record table now.
        rejected: Reject reason to count.
        n_labels: Target to number of labels kept.
        counts: How the record table changed.
        was_read: False when the source was unchanged and nothing had to be read.
        settings: Digest of the settings by which it was read.
        source_version: Release that was read, where the source names one.
        n_dropped: Target to number of implausible labels that rows were kept without.
        citation: What to cite for the data.
        gate: The verdict on this version of the rows; None in reports of older versions.
    """

    source: str
    digest: str
    n_in: int
    n_kept: int
    rejected: dict[str, int]
    n_labels: dict[str, int]
    counts: RecordCounts
    was_read: bool = True
    settings: str | None = None
    source_version: str | None = None
    n_dropped: dict[str, int] = Field(default_factory=dict)
    citation: str | None = None
    gate: GateReport | None = None

    def as_unchanged(self, gate: GateReport | None) -> IngestReport:
        """Return the report of a later ingest without work, with the verdict of now."""
        unchanged = {"n_new": 0, "n_changed": 0, "n_removed": 0, "n_unchanged": self.n_kept}
        counts = self.counts.model_copy(update=unchanged)
        return self.model_copy(update={"was_read": False, "counts": counts, "gate": gate})


def report_path(store: Path, name: str) -> Path:
    """Return where the report of the last ingest of a source is kept.

    What `provenance_path` names after a source `a` is no report of one `a.provenance`.
    """
    is_taken = name.endswith(".provenance")
    return store / "ingests" / (f"{name}@report.json" if is_taken else f"{name}.json")


def last_report(store: Path, name: str) -> IngestReport | None:
    """Return the report of the last ingest if its rows are still in the tables."""
    path = report_path(store, name)
    if not path.is_file():
        return None
    try:
        report = IngestReport.model_validate(read_json(path))
    except (IntegrityError, ValidationError):
        logger.warning("%s: damaged report; source %s will be read again", path, name)
        return None
    table = RecordStore(store)
    if table.version() is None or table.source_counts().get(name, 0) != report.n_kept:
        return None
    if StoredSource(store, name).rejects().num_rows != sum(report.rejected.values()):
        return None
    return report


def stored_source(store: Path, name: str, settings: str | None = None) -> StoredSource:
    """Describe what a store holds of a source that is to be read by some settings."""
    report = last_report(store, name)
    if report is None:
        return StoredSource(store, name, settings=settings)
    last = GateLog(store, name).history().last
    return StoredSource(
        store,
        name,
        report.digest,
        report.settings,
        report.source_version,
        settings,
        is_trusted=last is None or last.is_accepted,
    )
