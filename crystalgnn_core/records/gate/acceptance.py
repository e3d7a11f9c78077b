"""Whether a source may be trained on: not while its newest version is suspicious."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crystalgnn_core.errors import SuspiciousDataError
from crystalgnn_core.records.gate.log import GateLog

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from crystalgnn_core.records.gate.report import GateConfig, GateReport

N_REASONS = 3  # in the one line of an error


def require_accepted(
    store: Path, sources: Iterable[str], config: GateConfig | None = None
) -> None:
    """Refuse to go on with sources whose newest version is suspicious.

    The thresholds are for rows that an interrupted ingest left unjudged.

    Raises:
        SuspiciousDataError: One of them was not accepted.
    """
    refused = []
    for source in sources:
        last = GateLog(store, source, config).history().last
        if last is not None and not last.is_accepted:
            refused.append(last.report)
    if not refused:
        return
    alarms = "; ".join(_describe_alarm(report) for report in refused)
    names = " ".join(report.source for report in refused)
    raise SuspiciousDataError(
        f"{alarms}. Nothing is trained on it. Look at `crystalgnn records verdict {names} "
        f"--store {store}`; if all is well, run `crystalgnn records accept {names} --store "
        f"{store}`, or else fix the source and ingest it again"
    )


def _describe_alarm(report: GateReport) -> str:
    shown = report.reasons[:N_REASONS]
    more = len(report.reasons) - len(shown)
    reasons = "; ".join(shown) + (f"; and {more} more" if more else "")
    before = report.version_before
    beside = "with nothing before" if before is None else f"beside version {before}"
    version = f"source {report.source}: version {report.version}"
    return f"{version} is suspicious {beside}: {reasons}"
