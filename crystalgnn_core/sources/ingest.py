"""From a source to the record table: part by part, counted, and skipped when unchanged."""

from __future__ import annotations

import logging
import shutil
from collections import Counter, deque
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar, cast

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from crystalgnn_core.artifacts import read_json, write_text
from crystalgnn_core.base import FrozenModel, digest_of_strings
from crystalgnn_core.errors import IntegrityError
from crystalgnn_core.parallel import garbage_kept
from crystalgnn_core.records.ledger import Ledger
from crystalgnn_core.records.plausibility import without_implausible
from crystalgnn_core.records.provenance import Provenance, write_provenance
from crystalgnn_core.records.schema import RejectedRecord, record_schema
from crystalgnn_core.records.store import RecordStore
from crystalgnn_core.records.validation import validate
from crystalgnn_core.records.verdict import GateConfig
from crystalgnn_core.sources.base import BATCH_SIZE, SourcePart, SourcePlan, in_chunks
from crystalgnn_core.sources.origin import provenance_of, refresh_provenance
from crystalgnn_core.sources.reports import (
    IngestReport,
    last_report,
    report_path,
    stored_source,
)
from crystalgnn_core.sources.staging import (
    STAGE,
    PartState,
    StagedRecords,
    staged_part,
    write_part,
)
from crystalgnn_core.sources.stored import KeptRows, StoredSource

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from crystalgnn_core.sources.base import SourceConfig

logger = logging.getLogger(__name__)
T = TypeVar("T")
VALIDATION_VERSION = 2  # raise it when validation changes: sources are then read again


class IngestPlan(FrozenModel):
    """What to read of a source, or the report of an earlier, equal ingest.

    Attributes:
        digest: Digest of everything that is read.
        settings: Digest of the settings by which it is read.
        folder: Where its parts are staged.
        reading: What to read.
        report: The earlier ingest; None when there is something to read.
    """

    digest: str
    settings: str
    folder: str
    reading: SourcePlan
    report: IngestReport | None = None

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


def ingest_source(
    store: Path, source: SourceConfig, gate: GateConfig | None = None
) -> IngestReport:
    """Bring one source into the record table of a store, part after part.

    Args:
        store: Store folder.
        source: What to read.
        gate: From where on the new version is suspicious; the defaults if not given.

    Raises:
        SourceError: The source is missing or empty.
        TransientError: The source did not answer, or another process writes.
    """
    plan = plan_ingest(store, source)
    if plan.report is not None:
        return plan.report
    states = []
    waiting = deque(plan.parts)
    while waiting:
        state = read_part(source, waiting.popleft(), Path(plan.folder))
        states.append(state)
        if state.following is not None:
            waiting.append(state.following)
    return commit_ingest(store, source, plan, states, gate)


def plan_ingest(store: Path, source: SourceConfig) -> IngestPlan:
    """Ask a source what there is to read; find the earlier report when nothing changed.

    A commit that was interrupted is finished first.

    Raises:
        SourceError: The source is missing or empty.
        TransientError: The source did not answer; a second try may succeed.
    """
    _finish_pending(store, source.name)
    rules = [f"v{VALIDATION_VERSION}", source.require_labels]
    settings = digest_of_strings([*rules, source.reading_digest()])
    reading = source.plan(stored_source(store, source.name, settings))
    kept = [] if reading.kept is None else [reading.kept.sha256]
    digest = digest_of_strings([*rules, *(part.digest for part in reading.parts), *kept])
    report = last_report(store, source.name)
    is_unchanged = report is not None and (reading.is_unchanged or report.digest == digest)
    if report is not None and is_unchanged:
        logger.info("source %s: unchanged, %d records", source.name, report.n_kept)
        refresh_provenance(
            store, source, digest=report.digest, source_version=report.source_version
        )
        report = report.as_unchanged(Ledger(store, source.name).standing())
    return IngestPlan(
        digest=digest,
        settings=settings,
        folder=str(store / "staging" / f"{source.name}-{digest}"),
        reading=reading,
        report=report if is_unchanged else None,
    )


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
    n_dropped: Counter[str] = Counter()
    n_in = 0
    rows = _Following(source.read(part))
    with garbage_kept():
        for raws in in_chunks(rows, BATCH_SIZE):
            n_in += len(raws)
            given, dropped = without_implausible(
                raws, source.implausible, source.require_labels
            )
            checked = validate(
                given,
                source=source.name,
                targets=source.target_names(),
                require_labels=source.require_labels,
            )
            tables.append(checked.records)
            rejects += checked.rejects
            for names in compress(dropped, checked.is_kept):
                n_dropped.update(names)
    return write_part(
        entry,
        pa.concat_tables(tables),
        rejects,
        n_in=n_in,
        following=rows.following,
        n_dropped=n_dropped,
    )


class _Following(Generic[T]):
    """The items of an iterator, and what it returns at its end if it is a generator."""

    def __init__(self, items: Iterator[T]) -> None:
        self._items = items
        self.following: SourcePart | None = None

    def __iter__(self) -> Generator[T]:
        items = cast("Generator[T, None, SourcePart | None]", self._items)
        self.following = yield from items


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
        TransientError: Another writer committed at the same moment.
    """
    if not all(state.is_sound() for state in states):
        report = last_report(store, source.name)
        if report is None or report.digest != plan.digest:
            raise IntegrityError(
                f"source {source.name}: staged parts in {plan.folder} are missing or "
                "damaged; ingest the source again"
            )
        return report.as_unchanged(Ledger(store, source.name).standing())
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
    return _commit(store, source.name, pending)


def _commit(store: Path, name: str, pending: _Pending) -> IngestReport:
    plan = pending.plan
    kept = _kept_rows(store, name, plan.reading)
    records = StagedRecords(name, pending.states, kept)
    rejects = records.rejects()
    if records.n_in != len(records) + rejects.num_rows:
        raise IntegrityError(
            f"source {name}: {records.n_in} rows in, but {len(records)} kept and "
            f"{rejects.num_rows} rejected"
        )
    n_labels = records.n_labels(pending.targets)
    # an earlier report must not vouch for a table that a crash leaves half changed
    write_text(_pending_path(store, name), pending.model_dump_json())
    report_path(store, name).unlink(missing_ok=True)
    table, ledger = RecordStore(store), Ledger(store, name, pending.gate)
    ledger.begin()
    counts = table.replace_records(name, records.tables)
    table.replace_rejects(name, STAGE, rejects)
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
        gate=ledger.judge(),
    )
    if pending.provenance is not None:
        write_provenance(store, pending.provenance)
    write_text(report_path(store, name), report.model_dump_json(indent=1) + "\n")
    _pending_path(store, name).unlink()
    shutil.rmtree(plan.folder, ignore_errors=True)
    return report


def _kept_rows(store: Path, name: str, reading: SourcePlan) -> KeptRows | None:
    if reading.kept is None:
        return None
    if not reading.kept.is_sound():
        raise IntegrityError(
            f"source {name}: {reading.kept.path} is missing or damaged; ingest the source "
            "again"
        )
    ids = pq.read_table(reading.kept.path, columns=["material_id"])["material_id"]
    return KeptRows(StoredSource(store, name), ids.combine_chunks())


def _pending_path(store: Path, name: str) -> Path:
    return store / "ingests" / f"{name}.pending.json"


def _finish_pending(store: Path, name: str) -> None:
    """Finish a commit that was interrupted; forget it if its parts are gone."""
    path = _pending_path(store, name)
    if not path.is_file():
        return
    try:
        pending = _Pending.model_validate(read_json(path))
        kept = pending.plan.reading.kept
        is_whole = kept is None or kept.is_sound()
    except (IntegrityError, ValidationError):
        is_whole = False
    if is_whole and all(state.is_sound() for state in pending.states):
        logger.info("source %s: finishing an interrupted commit", name)
        _commit(store, name, pending)
    else:
        path.unlink()
