"""The gate reports on the versions of a source, kept in the store."""

from __future__ import annotations

import getpass
from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow.compute as pc
from pydantic import ValidationError

from crystalgnn_core.errors import ConfigError, InputError, IntegrityError
from crystalgnn_core.records.gate.first import FirstVersion, read_first_version
from crystalgnn_core.records.gate.history import (
    Acceptance,
    GateEntry,
    GateHistory,
    are_equal,
    entry_of_stored_rows,
)
from crystalgnn_core.records.gate.judge import judge
from crystalgnn_core.records.gate.markdown import describe_history
from crystalgnn_core.records.gate.profile import (
    PROFILE_COLUMNS,
    RecordProfile,
    profile_rows,
)
from crystalgnn_core.records.gate.report import GateConfig, GateReport
from crystalgnn_core.records.schema import INGEST_STAGE
from crystalgnn_core.records.table.diff import compare_versions
from crystalgnn_core.records.table.store import RecordStore
from crystalgnn_core.storage.checksums import is_lost
from crystalgnn_core.storage.files import is_as_written, read_json, write_text
from crystalgnn_core.storage.locks import locked

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    import pyarrow as pa

    from crystalgnn_core.records.table.diff import RowChanges

SUFFIX = ".gate"
LOCK_SECONDS = 60


class GateLog:
    """The gate reports on one source.

    Raises:
        ConfigError: The name ends in `.gate`, which names the reports of another source.
    """

    def __init__(self, store: Path, source: str, config: GateConfig | None = None) -> None:
        if source.endswith(SUFFIX):
            raise ConfigError(f"source {source}: a name cannot end in {SUFFIX}; rename it")
        self.store = store
        self.source = source
        self.config = GateConfig() if config is None else config
        self.path = store / "ingests" / f"{source}{SUFFIX}.json"
        self.page = self.path.with_suffix(".md")

    def history(self) -> GateHistory:
        """Read the reports; rows that an interrupted ingest left unjudged are judged.

        Raises:
            IntegrityError: The file is damaged.
            TransientError: Another process changes the rows for longer than a minute.
        """
        history = self._read()
        if not history.is_pending:
            if not is_as_written(self.page) and history.entries:
                write_text(self.page, describe_history(history))
            return history
        with self._committing():  # what another process is writing, it will judge itself
            if self._read().is_pending:
                self.judge()
        return self._read()

    @contextmanager
    def committing(self, engine: Mapping[str, str] | None = None) -> Iterator[None]:
        """Change the rows inside, and judge them at the end; others wait for the report.

        Args:
            engine: What computes their labels.

        Raises:
            TransientError: Another process changes them for longer than a minute.
        """
        with self._committing():
            self.begin(engine)
            yield

    def begin(self, engine: Mapping[str, str] | None = None) -> None:
        """Note that rows are about to be committed, before they are, and what made them.

        Rows that were stored before there was a gate become the first version.
        """
        with self._changing() as history:
            entries = history.entries
            if not entries and not history.is_pending:
                profile, table_id = self._profile()
                if profile.n_rows:
                    entries = (entry_of_stored_rows(profile, table_id),)
            given = None if engine is None else dict(engine)
            self._write(history, entries=entries, is_pending=True, pending_engine=given)

    def judge(self) -> GateReport:
        """Judge the rows in the table by the last version that is accepted, and keep that.

        An equal version is not entered twice.
        """
        with self._changing() as history:
            profile, table_id = self._profile()
            base, largest = history.accepted, history.largest
            rows = None if base is None else self._rows_since(base, profile, table_id)
            earlier = {} if base is None else base.engine
            engine = earlier if history.pending_engine is None else history.pending_engine
            report = judge(
                None if base is None else base.profile,
                profile,
                rows,
                self.config,
                None if largest is None else largest.report,
                first=self._first_version(base, profile),
                engines=None if engine == earlier else (earlier, engine),
            )
            entries, last = history.entries, history.last
            entry = GateEntry(
                report=report,
                judged=datetime.now(UTC),
                table_id=table_id,
                profile=profile,
                engine=engine,
            )
            if last is not None and not last.is_accepted and are_equal(last, entry):
                entry = entry.model_copy(update={"is_announced": last.is_announced})
                entries = (*entries[:-1], entry)
            elif report.verdict != "unchanged" or (last is not None and last is not base):
                entries = (*entries, entry)
            elif last is not None:  # of another engine, but the same rows
                same = last.model_copy(update={"engine": engine})
                entries = (*entries[:-1], same)
            self._write(history, entries=entries, is_pending=False, pending_engine=None)
        return report

    def current_report(self) -> GateReport | None:
        """Return the report on the rows as they are, without new ones; None if unknown.

        A suspicious version that was not accepted stays suspicious.
        """
        last = self.history().last
        if last is None or not last.is_accepted:
            return None if last is None else last.report
        nothing = {"n_new": 0, "n_changed": 0, "n_removed": 0, "findings": ()}
        same = {"version_before": last.report.version, "n_before": last.report.n_rows}
        return last.report.model_copy(update={"verdict": "unchanged", **nothing, **same})

    def accept(self, reason: str, by: str | None = None) -> GateReport:
        """Accept the suspicious newest version permanently; `by` is the user by default.

        Raises:
            InputError: The newest version is not suspicious, or was accepted before.
        """
        self.history()
        with self._changing() as history:
            last = history.last
            if last is None or last.is_accepted:
                found = "has no verdict yet" if last is None else _describe_acceptance(last)
                raise InputError(
                    f"source {self.source} {found}; there is nothing to accept"
                )
            acceptance = Acceptance(
                by=getpass.getuser() if by is None else by,
                at=datetime.now(UTC),
                reason=reason,
            )
            accepted = last.model_copy(update={"acceptance": acceptance})
            self._write(history, entries=(*history.entries[:-1], accepted))
        return accepted.report

    def mark_announced(self) -> None:
        """Note that the event of the newest version was emitted."""
        with self._changing() as history:
            if history.entries:
                last = history.entries[-1].model_copy(update={"is_announced": True})
                self._write(history, entries=(*history.entries[:-1], last))

    def _profile(self) -> tuple[RecordProfile, str | None]:
        """Profile the rows as they are in the newest version."""
        records = RecordStore(self.store)
        return profile_source(records, self.source), records.table_id()

    def _rows_since(
        self, base: GateEntry, profile: RecordProfile, table_id: str | None
    ) -> RowChanges | None:
        """Compare row by row; None when the rows of the earlier version are gone."""
        if table_id is None or base.table_id != table_id:
            return None
        records = RecordStore(self.store)
        try:
            return compare_versions(
                records, self.source, base.report.version, profile.version
            )
        except (InputError, IntegrityError):  # cleaned up by another program, or damaged
            return None

    def _first_version(
        self, base: GateEntry | None, profile: RecordProfile
    ) -> FirstVersion | None:
        if base is not None and base.report.n_rows:
            return None
        records = RecordStore(self.store)
        return read_first_version(records, rejects_of(records, self.source), profile)

    def _read(self) -> GateHistory:
        if not self.path.is_file():
            return GateHistory(source=self.source, is_pending=is_lost(self.path))
        try:
            return GateHistory.model_validate(read_json(self.path))
        except ValidationError as error:
            raise IntegrityError(
                f"{self.path}: damaged verdicts; restore the file from a backup, or delete "
                f"it and ingest {self.source} again"
            ) from error

    def _committing(self) -> AbstractContextManager[None]:
        lock = self.path.with_name(f".{self.source}.verdict.lock")
        return locked(lock, timeout=LOCK_SECONDS)

    @contextmanager
    def _changing(self) -> Iterator[GateHistory]:
        lock = self.path.with_name(f".{self.source}{SUFFIX}.lock")
        with locked(lock, timeout=LOCK_SECONDS):
            yield self._read()

    def _write(self, history: GateHistory, **changes: object) -> None:
        history = history.model_copy(update=changes).without_old_profiles()
        write_text(self.path, history.model_dump_json(indent=1) + "\n")
        write_text(self.page, describe_history(history))


def profile_source(records: RecordStore, source: str) -> RecordProfile:
    """Profile the rows of a source as they are in the newest version."""
    version = records.version()
    tables = records.scan([source], PROFILE_COLUMNS, version=version)
    rejected = count_rejects(records, source)
    return profile_rows(source, -1 if version is None else version, tables, rejected)


def count_rejects(records: RecordStore, source: str) -> dict[str, int]:
    """Count the rows of a source that its ingest refused, by reason."""
    reasons = rejects_of(records, source)["reason"].to_pylist()
    return dict(sorted(Counter(reasons).items()))


def rejects_of(records: RecordStore, source: str) -> pa.Table:
    """Read the rows of a source that its ingest refused."""
    rejects = records.rejects()
    is_own = pc.equal(rejects["source"], source)
    return rejects.filter(pc.and_(is_own, pc.equal(rejects["stage"], INGEST_STAGE)))


def _describe_acceptance(entry: GateEntry) -> str:
    if entry.acceptance is None:
        return f"is not suspicious ({entry.report.verdict})"
    return f"was accepted by {entry.acceptance.by} on {entry.acceptance.at:%Y-%m-%d}"
