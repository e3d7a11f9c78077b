"""From a source to the record table: part by part, counted, and skipped when unchanged."""

from __future__ import annotations

import logging
import shutil
from collections import Counter
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ValidationError

from crystalgnn_core.artifacts import read_json, write_text
from crystalgnn_core.base import FrozenModel, digest_of_strings
from crystalgnn_core.errors import IntegrityError
from crystalgnn_core.parallel import garbage_kept
from crystalgnn_core.records.schema import RejectedRecord, record_schema
from crystalgnn_core.records.store import RecordCounts, RecordStore
from crystalgnn_core.records.validation import validate
from crystalgnn_core.sources.base import BATCH_SIZE, SourcePart, in_chunks
from crystalgnn_core.sources.staging import (
    STAGE,
    PartState,
    StagedRecords,
    staged_part,
    write_part,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from crystalgnn_core.sources.base import SourceConfig

logger = logging.getLogger(__name__)
VALIDATION_VERSION = 1  # raise it when validation changes: sources are then read again


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
    """

    source: str
    digest: str
    n_in: int
    n_kept: int
    rejected: dict[str, int]
    n_labels: dict[str, int]
    counts: RecordCounts
    was_read: bool = True


class IngestPlan(FrozenModel):
    """Parts to read, or the report of an earlier, equal ingest."""

    digest: str
    folder: str
    parts: tuple[SourcePart, ...]
    report: IngestReport | None = None


def plan_ingest(store: Path, source: SourceConfig) -> IngestPlan:
    """List the parts of a source; find the earlier report when nothing changed.

    Raises:
        SourceError: The source is missing or empty.
    """
    parts = source.parts()
    digest = digest_of_strings(
        [f"v{VALIDATION_VERSION}", source.require_labels, *(part.digest for part in parts)]
    )
    folder = str(store / "staging" / f"{source.name}-{digest}")
    report = _earlier_report(store, source.name, digest)
    return IngestPlan(digest=digest, folder=folder, parts=tuple(parts), report=report)


def read_part(source: SourceConfig, part: SourcePart, folder: Path) -> PartState:
    """Read and validate one part into a staging folder; reuse it when it is sound.

    Raises:
        IntegrityError: Rows in are not rows kept plus rows rejected.
    """
    entry = folder / f"{part.index:05d}.json"
    staged = staged_part(entry)
    if staged is not None:
        return staged
    tables = [record_schema().empty_table()]
    rejects: list[RejectedRecord] = []
    n_in = 0
    with garbage_kept():
        for raws in in_chunks(source.read(part), BATCH_SIZE):
            n_in += len(raws)
            checked = validate(
                raws,
                source=source.name,
                targets=source.target_names(),
                require_labels=source.require_labels,
            )
            tables.append(checked.records)
            rejects += checked.rejects
    return write_part(entry, pa.concat_tables(tables), rejects, n_in)


def commit_ingest(
    store: Path, source: SourceConfig, plan: IngestPlan, states: Sequence[PartState]
) -> IngestReport:
    """Move the parts of a source into the record table in one commit, and count.

    The first row of an id is kept, later ones are rejected as `duplicate_id`. When the
    staged parts are gone because an equal ingest was committed meanwhile, its report is
    returned.

    Raises:
        IntegrityError: Staged parts are missing or damaged, or rows in are not rows kept
            plus rows rejected.
        TransientError: Another writer committed at the same moment.
    """
    if not all(state.is_sound() for state in states):
        report = _earlier_report(store, source.name, plan.digest)
        if report is None:
            raise IntegrityError(
                f"source {source.name}: staged parts in {plan.folder} are missing or "
                "damaged; ingest the source again"
            )
        return report
    records = StagedRecords(source.name, states)
    rejects = records.rejects()
    n_in = sum(state.n_in for state in states)
    if n_in != len(records) + rejects.num_rows:
        raise IntegrityError(
            f"source {source.name}: {n_in} rows in, but {len(records)} kept and "
            f"{rejects.num_rows} rejected"
        )
    # an earlier report must not vouch for a table that a crash leaves half changed
    _report_path(store, source.name).unlink(missing_ok=True)
    table = RecordStore(store)
    counts = table.replace_records(source.name, records.tables)
    table.replace_rejects(source.name, STAGE, rejects)
    report = IngestReport(
        source=source.name,
        digest=plan.digest,
        n_in=n_in,
        n_kept=len(records),
        rejected=dict(sorted(Counter(rejects["reason"].to_pylist()).items())),
        n_labels=records.n_labels(source.target_names()),
        counts=counts,
    )
    write_text(_report_path(store, source.name), report.model_dump_json(indent=1) + "\n")
    shutil.rmtree(plan.folder, ignore_errors=True)
    return report


def _report_path(store: Path, name: str) -> Path:
    return store / "ingests" / f"{name}.json"


def _earlier_report(store: Path, name: str, digest: str) -> IngestReport | None:
    """Return the report of an equal earlier ingest whose rows are still in the table."""
    path = _report_path(store, name)
    if not path.is_file():
        return None
    try:
        report = IngestReport.model_validate(read_json(path))
    except (IntegrityError, ValidationError):
        logger.warning("%s: damaged report; source %s will be read again", path, name)
        return None
    table = RecordStore(store)
    if report.digest != digest or table.version() is None:
        return None
    if table.source_counts().get(name, 0) != report.n_kept:
        return None
    if _n_rejects(table, name) != sum(report.rejected.values()):
        return None
    logger.info("source %s: unchanged, %d records", name, report.n_kept)
    unchanged = {"n_new": 0, "n_changed": 0, "n_removed": 0, "n_unchanged": report.n_kept}
    counts = report.counts.model_copy(update=unchanged)
    return report.model_copy(update={"was_read": False, "counts": counts})


def _n_rejects(table: RecordStore, name: str) -> int:
    rejects = table.rejects()
    is_own = pc.and_(pc.equal(rejects["source"], name), pc.equal(rejects["stage"], STAGE))
    return pc.sum(is_own).as_py() or 0
