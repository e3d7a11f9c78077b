"""The change gate: is what an ingest brought a plausible next version of the source?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crystalgnn_core.records.gate.checks import CHECKS
from crystalgnn_core.records.gate.comparison import Comparison
from crystalgnn_core.records.gate.first import check_first
from crystalgnn_core.records.gate.report import (
    Finding,
    GateConfig,
    GateReport,
    Verdict,
)
from crystalgnn_core.records.gate.thresholds import SMALL_UPDATE

if TYPE_CHECKING:
    from crystalgnn_core.records.gate.first import FirstVersion
    from crystalgnn_core.records.gate.profile import RecordProfile
    from crystalgnn_core.records.gate.report import Engines
    from crystalgnn_core.records.table.diff import RowChanges


def judge(
    before: RecordProfile | None,
    after: RecordProfile,
    rows: RowChanges | None,
    config: GateConfig,
    largest: GateReport | None = None,
    *,
    first: FirstVersion | None = None,
    engines: Engines | None = None,
) -> GateReport:
    """Judge a version of a source by the one before, if there is one.

    Where the rows before are gone, so that it is not known what differs row by row,
    profiles alone are compared. `largest` reports on the version with the most rows since
    the last acceptance, against which small losses add up. A `first` version is judged by
    what is known of inorganic crystals; without it, it is not judged. `engines` are what
    computed the labels of both versions, where that is not the same.
    """
    if before is None or before.n_rows == 0:
        message = f"there was nothing before: 0 -> {after.n_rows:,} rows"
        alarms = () if first is None else tuple(check_first(after, first))
        found = (*alarms, Finding(check="first", message=message))
        verdict: Verdict = "suspicious" if alarms else "large update"
        return _report(None, after, (after.n_rows, 0, 0), found, verdict)
    given = Comparison(before, after, rows, config, largest, engines)
    checked = [finding for check in CHECKS for finding in check(given)]
    findings = tuple(sorted(checked, key=lambda entry: not entry.is_alarm))
    counts = _count(before, after, rows)
    verdict = "large update"
    if any(finding.is_alarm for finding in findings):
        verdict = "suspicious"
    elif before.content == after.content and before.n_rows == after.n_rows:
        verdict = "unchanged"
    elif sum(counts) <= SMALL_UPDATE * before.n_rows:
        verdict = "small update"
    return _report(before, after, counts, findings, verdict)


def _count(
    before: RecordProfile, after: RecordProfile, rows: RowChanges | None
) -> tuple[int, int, int]:
    """Count the rows that are new, changed and removed."""
    if rows is not None:
        return rows.new.num_rows, rows.after.num_rows, len(rows.removed)
    if before.content == after.content:
        return 0, 0, 0
    return after.n_rows, 0, before.n_rows  # any row may be another


def _report(
    before: RecordProfile | None,
    after: RecordProfile,
    counts: tuple[int, int, int],
    findings: tuple[Finding, ...],
    verdict: Verdict,
) -> GateReport:
    n_new, n_changed, n_removed = counts
    return GateReport(
        source=after.source,
        verdict=verdict,
        version_before=None if before is None else before.version,
        version=after.version,
        n_before=0 if before is None else before.n_rows,
        n_rows=after.n_rows,
        n_new=n_new,
        n_changed=n_changed,
        n_removed=n_removed,
        findings=findings,
    )
