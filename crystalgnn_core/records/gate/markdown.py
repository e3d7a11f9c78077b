"""The verdict on a source as a readable text in Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crystalgnn_core.records.gate.report import percent
from crystalgnn_core.targets import TARGETS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from crystalgnn_core.records.gate.history import GateEntry, GateHistory
    from crystalgnn_core.records.gate.profile import RecordProfile
    from crystalgnn_core.records.gate.report import GateReport

MAX_SHOWN = 12  # names of a table; the others are added up
N_ENTRIES = 20  # verdicts of the history


def describe_report(report: GateReport) -> str:
    """Put a verdict and its findings into Markdown."""
    base = report.version_before
    beside = "nothing" if base is None else f"version {base}"
    counts = (
        f"{report.n_before:,} -> {report.n_rows:,} rows: {report.n_new:,} new, "
        f"{report.n_changed:,} changed, {report.n_removed:,} removed."
    )
    title = f"{report.source}, version {report.version}: {report.verdict}"
    lines = [f"**{title}** (beside {beside})", "", counts]
    rows = [
        ("**alarm**" if entry.is_alarm else "note", entry.check, entry.message)
        for entry in report.findings
    ]
    return "\n".join([*lines, *_table(("", "check", "before -> after"), rows)])


def describe_history(history: GateHistory) -> str:
    """Put the newest verdict, the profiles it compared, and earlier verdicts into Markdown.

    Args:
        history: Verdicts on a source.
    """
    last = history.last
    title = f"# Change gate: {history.source}"
    if last is None:
        return f"{title}\n\nNo version was judged yet.\n"
    lines = [title, "", describe_report(last.report), "", _state(last)]
    if last.profile is not None:
        base = history.base
        lines += _profiles(None if base is None else base.profile, last.profile)
    lines += ["", "## Versions", *_versions(history.entries[-N_ENTRIES:])]
    return "\n".join(lines) + "\n"


def _state(entry: GateEntry) -> str:
    if not entry.report.is_suspicious:
        return "It may be trained on, and the next version is compared with it."
    if entry.acceptance is not None:
        told = entry.acceptance
        return f"Accepted by {told.by} on {told.at:%Y-%m-%d %H:%M} UTC: {told.reason}"
    return (
        "Nothing is trained on it. If all is well, run `crystalgnn records accept "
        f"{entry.report.source}`, or else mend the source and ingest it again."
    )


def _profiles(before: RecordProfile | None, after: RecordProfile) -> list[str]:
    """Lay two profiles side by side."""
    lines = ["", "## Labels"]
    columns = ("target", "", "labels", "missing", "min", "mean", "max", "std", "schemes")
    rows = []
    for target in TARGETS:
        for when, profile in (("before", before), ("now", after)):
            if profile is not None and target in profile.targets:
                rows.append((target, when, *_labels(profile, target)))
    lines += _table(columns, rows)
    for title, name in (
        ("Elements", "elements"),
        ("Licences", "licenses"),
        ("Run types", "run_types"),
        ("Releases", "source_versions"),
        ("Refused rows", "rejected"),
    ):
        then: dict[str, int] = {} if before is None else getattr(before, name)
        now: dict[str, int] = getattr(after, name)
        if then or now:
            lines += ["", f"## {title}", *_counts(then, now)]
    return lines


def _labels(profile: RecordProfile, target: str) -> tuple[str, ...]:
    found, unit = profile.targets[target], TARGETS[target].unit
    values = found.labels
    numbers = (values.minimum, values.mean, values.maximum, values.std)
    schemes = ", ".join(f"{name} {n:,}" for name, n in found.schemes.items())
    return (
        f"{values.n:,}",
        f"{found.n_missing:,} ({percent(1.0 - profile.label_share(target))})",
        *(f"{number:.4g} {unit}".strip() for number in numbers),
        schemes,
    )


def _counts(before: Mapping[str, int], after: Mapping[str, int]) -> list[str]:
    """Show the names with the greatest counts, and the others as one."""
    names = sorted({*before, *after}, key=lambda name: (-after.get(name, 0), name))
    rows = [
        (name, f"{before.get(name, 0):,}", f"{after.get(name, 0):,}")
        for name in names[:MAX_SHOWN]
    ]
    rest = names[MAX_SHOWN:]
    if rest:
        sums = [sum(found.get(name, 0) for name in rest) for found in (before, after)]
        rows.append((f"{len(rest)} others", f"{sums[0]:,}", f"{sums[1]:,}"))
    return _table(("", "rows before", "rows now"), rows)


def _versions(entries: Sequence[GateEntry]) -> list[str]:
    rows = []
    for entry in reversed(entries):
        report, told = entry.report, entry.acceptance
        accepted = "" if told is None else f"accepted by {told.by}: {told.reason}"
        rows.append(
            (
                str(report.version),
                f"{entry.judged:%Y-%m-%d %H:%M}",
                report.verdict,
                f"{report.n_rows:,}",
                f"{report.n_new:,} / {report.n_changed:,} / {report.n_removed:,}",
                accepted or "; ".join(report.reasons[:1]),
            )
        )
    columns = ("version", "judged (UTC)", "verdict", "rows", "new / changed / removed", "")
    return _table(columns, rows)


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Write a Markdown table; names come from users' files and cannot break it."""
    lines = ["", _line(columns), _line(["---"] * len(columns))]
    return [*lines, *(_line(row) for row in rows)]


def _line(cells: Sequence[str]) -> str:
    safe = (" ".join(cell.replace("|", r"\|").split()) for cell in cells)
    return f"| {' | '.join(safe)} |"
