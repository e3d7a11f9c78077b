"""From a source to the record table: part by part, counted, and skipped when unchanged."""

from __future__ import annotations

import logging
import shutil
from collections import Counter, deque
from itertools import compress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pyarrow as pa

from crystalgnn_core.base import digest_of_strings
from crystalgnn_core.parallel import garbage_kept
from crystalgnn_core.records.checks.plausibility import without_implausible
from crystalgnn_core.records.checks.validation import validate
from crystalgnn_core.records.gate.log import GateLog
from crystalgnn_core.records.schema import RawRecord, RejectedRecord, record_schema
from crystalgnn_core.sources.base import BATCH_SIZE, SourcePart, in_chunks
from crystalgnn_core.sources.ingest.commit import IngestPlan, commit_ingest, finish_commit
from crystalgnn_core.sources.ingest.folders import remove_abandoned, staging_folder
from crystalgnn_core.sources.ingest.listing import note_unsupported
from crystalgnn_core.sources.ingest.origin import refresh_provenance
from crystalgnn_core.sources.ingest.origins import forget_kept
from crystalgnn_core.sources.ingest.reports import last_report, stored_source
from crystalgnn_core.sources.ingest.staging import PartState, staged_part, write_part
from crystalgnn_core.sources.ingest.stored import StoredSource
from crystalgnn_core.storage.usage import use_store

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from crystalgnn_core.records.checks.validation import Validated
    from crystalgnn_core.records.gate.report import GateConfig
    from crystalgnn_core.sources.base import SourceConfig
    from crystalgnn_core.sources.ingest.reports import IngestReport

logger = logging.getLogger(__name__)
VALIDATION_VERSION = 2  # raise it when validation changes: sources are then read again


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
        waiting.extend(state.following)
    return commit_ingest(store, source, plan, states, gate)


def plan_ingest(store: Path, source: SourceConfig) -> IngestPlan:
    """Ask a source what there is to read; find the earlier report when nothing changed.

    A commit that was interrupted is finished first.

    Raises:
        SourceError: The source is missing or empty.
        TransientError: The source did not answer; a second try may succeed.
    """
    use_store(store)
    finish_commit(store, source.name)
    source.check_ready()
    note_unsupported(store, source)
    rules = [f"v{VALIDATION_VERSION}", source.require_labels]
    settings = digest_of_strings([*rules, source.reading_digest()])
    reading = source.plan(stored_source(store, source.name, settings))
    kept = [] if reading.kept is None else [reading.kept.sha256]
    content = reading.whole or (*(part.digest for part in reading.parts), *kept)
    digest = digest_of_strings([*rules, *content])
    folder = staging_folder(store, source.name, digest)
    remove_abandoned(folder, source.name)
    report = last_report(store, source.name)
    is_unchanged = report is not None and (reading.is_unchanged or report.digest == digest)
    if report is not None and is_unchanged:
        logger.info("source %s: unchanged, %d records", source.name, report.n_kept)
        refresh_provenance(
            store, source, digest=report.digest, source_version=report.source_version
        )
        report = report.as_unchanged(GateLog(store, source.name).current_report())
        shutil.rmtree(folder, ignore_errors=True)  # a kill after the commit leaves it
        forget_kept(reading)
    return IngestPlan(
        digest=digest,
        settings=settings,
        folder=str(folder),
        reading=reading,
        report=report if is_unchanged else None,
        engine=source.label_engine(),
    )


def read_part(source: SourceConfig, part: SourcePart, folder: Path) -> PartState:
    """Read and validate one part into a staging folder; reuse it when it is sound.

    Raises:
        IntegrityError: Rows in are not rows kept plus rows rejected.
    """
    entry = folder / f"{part.index:05d}.json"
    staged = staged_part(entry, part)
    if staged is not None:
        return staged
    tables = [record_schema().empty_table()]
    rejects: list[RejectedRecord] = []
    n_dropped: Counter[str] = Counter()
    n_in = 0
    following: list[SourcePart] = []
    origins: list[tuple[str, str, str]] = []
    with garbage_kept():
        for raws in in_chunks(_rows(source, part, following), BATCH_SIZE):
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
            origins += _origins(given, checked, dropped)
    return write_part(
        entry,
        part,
        pa.concat_tables(tables),
        rejects,
        n_in=n_in,
        following=following,
        n_dropped=n_dropped,
        origins=origins,
    )


def _origins(
    raws: Sequence[RawRecord], checked: Validated, dropped: Sequence[tuple[str, ...]]
) -> Iterator[tuple[str, str, str]]:
    """Yield id as stored, file and digest of labels of each row that is kept by file.

    A row that lost a label has no id here, so that its file is read, and the label counted,
    again.
    """
    kept, rejected = iter(checked.records["material_id"].to_pylist()), iter(checked.rejects)
    for raw, is_kept, names in zip(raws, checked.is_kept, dropped, strict=True):
        material_id = next(kept) if is_kept else next(rejected).material_id
        if raw.origin is not None:
            yield ("" if names else material_id, *raw.origin)


def read_source(source: SourceConfig) -> Iterator[RawRecord]:
    """Yield all raw records of a source without a store, as for a look at it."""
    with TemporaryDirectory() as folder:
        waiting = deque(source.plan(StoredSource(Path(folder), source.name)).parts)
        while waiting:
            following: list[SourcePart] = []
            yield from _rows(source, waiting.popleft(), following)
            waiting.extend(following)


def _rows(
    source: SourceConfig, part: SourcePart, following: list[SourcePart]
) -> Iterator[RawRecord]:
    """Yield the rows of a part; append the parts that it names to a list."""
    for item in source.read(part):
        if isinstance(item, SourcePart):
            following.append(item)
        else:
            yield item
