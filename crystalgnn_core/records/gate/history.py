"""The gate reports on the versions of a source, and who accepted them."""

from __future__ import annotations

from datetime import UTC, datetime

from pydantic import Field

from crystalgnn_core.base import FrozenModel
from crystalgnn_core.records.gate.judge import judge
from crystalgnn_core.records.gate.profile import RecordProfile
from crystalgnn_core.records.gate.report import Finding, GateConfig, GateReport


class Acceptance(FrozenModel):
    """Who accepted a suspicious version, when and why."""

    by: str
    at: datetime
    reason: str


class GateEntry(FrozenModel):
    """The gate report on one version.

    Attributes:
        report: The report.
        judged: When it was made.
        table_id: Id of the record table that was judged.
        profile: What the rows looked like; None for versions that are not compared again.
        acceptance: Who accepted it, if it was suspicious.
        is_announced: Whether its event was emitted.
        engine: What computed its labels; empty where nothing here did, or in entries of
            older versions.
    """

    report: GateReport
    judged: datetime
    table_id: str | None
    profile: RecordProfile | None
    acceptance: Acceptance | None = None
    is_announced: bool = False
    engine: dict[str, str] = Field(default_factory=dict)

    @property
    def is_accepted(self) -> bool:
        """Whether it may be trained on, and others be compared with it."""
        return not self.report.is_suspicious or self.acceptance is not None


class GateHistory(FrozenModel):
    """The gate reports on a source, oldest first.

    Attributes:
        source: Name of the source.
        entries: One for each version of its rows.
        is_pending: Whether rows are, or may be, in the table that were not judged yet.
        pending_engine: What computed their labels; None where that is not known.
    """

    source: str
    entries: tuple[GateEntry, ...] = ()
    is_pending: bool = False
    pending_engine: dict[str, str] | None = None

    @property
    def last(self) -> GateEntry | None:
        """The newest entry."""
        return self.entries[-1] if self.entries else None

    @property
    def accepted(self) -> GateEntry | None:
        """The newest version that was not suspicious, or was accepted."""
        return next((entry for entry in self.entries[::-1] if entry.is_accepted), None)

    @property
    def largest(self) -> GateEntry | None:
        """The version with the most rows since the last acceptance; no suspicious one."""
        places = [n for n, entry in enumerate(self.entries) if entry.acceptance is not None]
        since = self.entries[places[-1] if places else 0 :]
        accepted = [entry for entry in since if entry.is_accepted]
        return max(accepted, key=lambda entry: entry.report.n_rows, default=None)

    @property
    def base(self) -> GateEntry | None:
        """The version that the newest one was compared with."""
        if self.last is None or self.last.report.version_before is None:
            return None
        wanted = self.last.report.version_before
        earlier = self.entries[-2::-1]
        return next((entry for entry in earlier if entry.report.version == wanted), None)

    def without_old_profiles(self) -> GateHistory:
        """Return the same entries, with the profiles that are still compared or shown."""
        kept = [id(entry) for entry in (self.last, self.accepted, self.base)]
        entries = tuple(
            entry if id(entry) in kept else entry.model_copy(update={"profile": None})
            for entry in self.entries
        )
        return self.model_copy(update={"entries": entries})


def entry_of_stored_rows(profile: RecordProfile, table_id: str | None) -> GateEntry:
    """Make the first version of rows that were stored before there was a gate."""
    message = f"{profile.n_rows:,} rows were stored before verdicts were kept"
    first = Finding(check="first", message=message)
    report = judge(None, profile, None, GateConfig())
    report = report.model_copy(update={"findings": (first,)})
    return GateEntry(
        report=report,
        judged=datetime.now(UTC),
        table_id=table_id,
        profile=profile,
        is_announced=True,
    )


def are_equal(first: GateEntry, second: GateEntry) -> bool:
    """Return whether two versions hold the same rows and rejects."""
    one, other = first.profile, second.profile
    if one is None or other is None:
        return False
    names = ("content", "n_rows", "rejected")
    return all(getattr(one, name) == getattr(other, name) for name in names)
