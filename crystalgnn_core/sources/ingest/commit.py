"""The commit of an ingest: one at a time for each source, and finished after a kill."""

from __future__ import annotations

import logging
import shutil
from collections import Counter
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
from pydantic import Field, ValidationError

from crystalgnn_core.base import FrozenModel
from crystalgnn_core.errors import IntegrityError
from crystalgnn_core.records.gate.log import GateLog
from crystalgnn_core.records.gate.report import GateConfig
from crystalgnn_core.records.provenance import Provenance, write_provenance
from crystalgnn_core.records.schema import INGEST_STAGE
from crystalgnn_core.records.table.store import RecordStore
from crystalgnn_core.sources.base import SourcePart, SourcePlan
from crystalgnn_core.sources.ingest.origin import provenance_of
from crystalgnn_core.sources.ingest.origins import forget_kept, note_origins
from crystalgnn_core.sources.ingest.reports import IngestReport, last_report, report_path
from crystalgnn_core.sources.ingest.staging import PartState, StagedRecords
from crystalgnn_core.sources.ingest.stored import KeptRows, StoredSource
from crystalgnn_core.storage.checksums import remove_file
from crystalgnn_core.storage.files import read_json, write_text
from crystalgnn_core.storage.locks import locked

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from crystalgnn_core.sources.base import SourceConfig

logger = logging.getLogger(__name__)
LOCK_SECONDS = 600.0


class IngestPlan(FrozenModel):
    """What to read of a source, or the report of an earlier, equal ingest.

    Attributes:
        digest: Digest of everything that is read.
        settings: Digest of the settings by which it is read.
        folder: Where its parts are staged.
        reading: What to read.
        report: The earlier ingest; None when there is something to read.
        engine: What computes the labels.
    """

    digest: str
    settings: str
    folder: str
    reading: SourcePlan
    report: IngestReport | None = None
    engine: dict[str, str] = Field(default_factory=dict)

    @property
    def parts(self) -> tuple[SourcePart, ...]:
        """Parts that are known beforehand."""
        return self.reading.parts


class _Pending(FrozenModel):
    """A commit that has begun: a crash leaves it behind, and the next plan finishes it."""

    plan: IngestPlan
    states: tuple[PartState, ...]
    targets: tuple[str, ...]
    citation: str | None = None
    gate: GateConfig = GateConfig()
    provenance: Provenance | None = None


def commit_ingest(
    store: Path,
    source: SourceConfig,
    plan: IngestPlan,
    states: Sequence[PartState],
    gate: GateConfig | None = None,
) -> IngestReport:
    """Move the parts of a source into the record table in one commit; count and judge.

    The first row of an id is kept, later ones are rejected as `duplicate_id`. When the
    staged parts are gone because an equal ingest was committed meanwhile, its report is
    returned.

    Raises:
        IntegrityError: Staged parts are missing or damaged, or rows in are not rows kept
            plus rows rejected.
        TransientError: Another writer committed at the same moment, or is at work.
    """
    pending = _Pending(
        plan=plan,
        states=tuple(states),
        targets=source.target_names(),
        citation=source.citation,
        gate=GateConfig() if gate is None else gate,
        provenance=provenance_of(
            source, digest=plan.digest, source_version=plan.reading.source_version
        ),
    )
    with _committing(store, source.name):
        if all(state.is_intact() for state in states):
            records = _gather(store, source.name, pending)
            return _commit(store, source.name, pending, records)
        report = last_report(store, source.name)
        if report is None or report.digest != plan.digest:
            raise IntegrityError(
                f"source {source.name}: staged parts in {plan.folder} are missing or "
                "damaged; ingest the source again"
            )
        return report.as_unchanged(GateLog(store, source.name).current_report())


def finish_commit(store: Path, name: str) -> None:
    """Finish the commit of a source that was interrupted.

    It is forgotten if its parts are gone, or if they do not fit the store any more; the
    source is then read again.

    Raises:
        TransientError: Another process commits rows of the source.
    """
    path = _pending_path(store, name)
    if not path.is_file():
        return
    with _committing(store, name):
        try:
            pending = _Pending.model_validate(read_json(path))
            if not all(state.is_intact() for state in pending.states):
                raise IntegrityError(f"source {name}: staged parts are gone")
            records = _gather(store, name, pending)
        except (IntegrityError, ValidationError) as error:
            if path.is_file():  # else another process has finished it
                logger.warning("an interrupted commit is forgotten: %s", error)
            remove_file(path)
            return
        logger.info("source %s: finishing an interrupted commit", name)
        _commit(store, name, pending, records)


def _committing(store: Path, name: str) -> AbstractContextManager[None]:
    """Keep two processes from committing rows of one source among each other."""
    return locked(store / "ingests" / f".{name}.commit.lock", timeout=LOCK_SECONDS)


def _gather(store: Path, name: str, pending: _Pending) -> StagedRecords:
    """Collect what is to be in the tables, and see that no row is lost."""
    kept = _kept_rows(store, name, pending.plan.reading)
    records = StagedRecords(name, pending.states, kept)
    n_rejected = records.rejects().num_rows
    if records.n_in != len(records) + n_rejected:
        raise IntegrityError(
            f"source {name}: {records.n_in} rows in, but {len(records)} kept and "
            f"{n_rejected} rejected"
        )
    return records


def _commit(
    store: Path, name: str, pending: _Pending, records: StagedRecords
) -> IngestReport:
    plan, rejects = pending.plan, records.rejects()
    n_labels = records.n_labels(pending.targets)
    # an earlier report must not vouch for a table that a crash leaves half changed
    write_text(_pending_path(store, name), pending.model_dump_json())
    remove_file(report_path(store, name))
    table, gate_log = RecordStore(store), GateLog(store, name, pending.gate)
    with gate_log.committing(plan.engine):
        counts = table.replace_records(name, records.tables)
        table.replace_rejects(name, INGEST_STAGE, rejects)
        gate = gate_log.judge()
    report = IngestReport(
        source=name,
        digest=plan.digest,
        n_in=records.n_in,
        n_kept=len(records),
        rejected=dict(sorted(Counter(rejects["reason"].to_pylist()).items())),
        n_labels=n_labels,
        counts=counts,
        settings=plan.settings,
        source_version=plan.reading.source_version,
        n_dropped=records.n_dropped(),
        citation=pending.citation,
        gate=gate,
    )
    if pending.provenance is not None:
        write_provenance(store, pending.provenance)
    _note_origins(store, name, pending)
    write_text(report_path(store, name), report.model_dump_json(indent=1) + "\n")
    remove_file(_pending_path(store, name))
    forget_kept(plan.reading)
    shutil.rmtree(plan.folder, ignore_errors=True)
    return report


def _kept_rows(store: Path, name: str, reading: SourcePlan) -> KeptRows | None:
    if reading.kept is None:
        return None
    if not reading.kept.is_intact():
        raise IntegrityError(
            f"source {name}: {reading.kept.path} is missing or damaged; ingest the source "
            "again"
        )
    rows = pq.read_table(reading.kept.path)
    ids = rows["material_id"].combine_chunks()
    return KeptRows(StoredSource(store, name), ids, rows if reading.whole else None)


def _note_origins(store: Path, name: str, pending: _Pending) -> None:
    """Note which of the rows came of which file, where a source says so."""
    kept = _kept_rows(store, name, pending.plan.reading)
    states = [state.origins for state in pending.states if state.origins is not None]
    tables = [pq.read_table(state.path) for state in states]
    if kept is not None and kept.origins is not None:
        tables.append(kept.origins)
    note_origins(StoredSource(store, name).folder, pending.plan.digest, tables)


def _pending_path(store: Path, name: str) -> Path:
    return store / "ingests" / f"{name}.pending.json"
