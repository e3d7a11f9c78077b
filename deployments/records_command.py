"""The commands `crystalgnn records ...`: look at stored sources, judge and accept them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crystalgnn_core.base import DEFAULT_STORE
from crystalgnn_core.errors import InputError, printable
from crystalgnn_core.wording import did_you_mean
from deployments.link_command import link
from deployments.options import require_store, require_table_name
from deployments.tables import show_line, show_rows

if TYPE_CHECKING:
    import pyarrow as pa

    from crystalgnn_core.records.gate.history import GateEntry
    from crystalgnn_core.records.gate.profile import RecordProfile

app = typer.Typer(
    no_args_is_help=True, help="Look at stored sources, and accept suspicious versions."
)
app.command()(link)
RECORD_COLUMNS = ("source", "rows", "rows refused", "#version", "verdict")
ORIGIN_COLUMNS = ("source", "release", "licences, with rows")
LABEL_COLUMNS = ("source", "target", "#labels", "label schemes")
StorePath = Annotated[Path, typer.Option("--store", help="Folder that holds the records.")]
Source = Annotated[str, typer.Argument(help="Name of a stored source.")]
Output = Annotated[
    Path | None, typer.Option("--output", help="Write the rows: .parquet or .csv.")
]


@app.command()
def show(store: StorePath = Path(DEFAULT_STORE)) -> None:
    """List the sources: rows, labels by scheme, licences, citation, version, verdict."""
    from crystalgnn_core.records.gate.log import GateLog, profile_source
    from crystalgnn_core.records.table.store import RecordStore
    from crystalgnn_core.sources.ingest.reports import last_report

    store = require_store(store)
    records = RecordStore(store)
    rows: list[tuple[str, ...]] = []
    origins: list[tuple[str, ...]] = []
    labels: list[tuple[str, ...]] = []
    citations = []
    for source in sorted(records.source_counts()):
        profile = profile_source(records, source)
        report, last = last_report(store, source), GateLog(store, source).history().last
        counts = (f"{profile.n_rows:,}", f"{profile.n_rejected:,}")
        rows.append((source, *counts, *_last_verdict(last)))
        releases = ", ".join(profile.source_versions)
        origins.append((source, releases, _counted(profile.licenses)))
        labels += _label_rows(profile)
        if report is not None and report.citation:
            citations.append(f"{source}: {report.citation}")
    for title, columns, found, n_whole in (
        (f"Records in {store}", RECORD_COLUMNS, rows, 1),
        ("Origin", ORIGIN_COLUMNS, origins, 1),
        ("Labels", LABEL_COLUMNS, labels, 2),
    ):
        if found or found is rows:
            show_rows(title, columns, found, n_whole=n_whole)
    for line in citations:
        show_line(line)


@app.command()
def changes(
    source: Source,
    since: Annotated[int, typer.Option("--since", min=0, help="Version to compare with.")],
    output: Output = None,
    store: StorePath = Path(DEFAULT_STORE),
) -> None:
    """Count the rows that are new, changed or removed since a version of the table."""
    from crystalgnn_core.records.gate.profile import count_values
    from crystalgnn_core.records.table.diff import changes_since
    from crystalgnn_core.records.table.store import RecordStore

    require_table_name(output)
    store = require_store(store)
    records = RecordStore(store)
    table = changes_since(records, source, since)
    if not table.num_rows:
        _require_source(store, source)
    counts = count_values(table["change"])
    differing = count_values(table["columns"].combine_chunks().flatten())
    rows: list[tuple[object, ...]] = [
        (change, "", f"{counts[change]:,}") for change in ("new", "changed", "removed")
    ]
    rows += [("", name, f"{n:,}") for name, n in sorted(differing.items())]
    title = f"{source}: version {since} -> {records.version()}"
    show_rows(title, ("change", "column that differs", "rows"), rows)
    _write(table, output)


@app.command()
def verdict(
    sources: Annotated[list[str], typer.Argument(help="Names of stored sources.")],
    store: StorePath = Path(DEFAULT_STORE),
) -> None:
    """Print what the change gate found in the newest version of sources."""
    from crystalgnn_core.records.gate.log import GateLog
    from crystalgnn_core.records.gate.markdown import describe_history

    store = require_store(store)
    for source in sources:
        gate_log = GateLog(store, source)
        if not gate_log.path.is_file():
            _require_source(store, source)
        for line in describe_history(gate_log.history()).splitlines():
            show_line(line)


@app.command()
def accept(
    sources: Annotated[list[str], typer.Argument(help="Names of stored sources.")],
    reason: Annotated[
        str, typer.Option("--reason", help="Kept in the history.")
    ] = "looked at by hand",
    store: StorePath = Path(DEFAULT_STORE),
) -> None:
    """Accept the suspicious newest version of sources: it may be trained on."""
    from crystalgnn_core.records.gate.log import GateLog

    store = require_store(store)
    for source in sources:
        if not GateLog(store, source).path.is_file():
            _require_source(store, source)
    for source in sources:
        report = GateLog(store, source).accept(reason)
        show_line(f"{source}: version {report.version} is accepted")


@app.command()
def rejects(
    source: Source, output: Output = None, store: StorePath = Path(DEFAULT_STORE)
) -> None:
    """Count the rows of a source that were refused, by reason, with an example each."""
    import pyarrow.compute as pc

    from crystalgnn_core.records.table.store import RecordStore

    require_table_name(output)
    store = require_store(store)
    table = RecordStore(store).rejects()
    table = table.filter(pc.equal(table["source"], printable(source)))
    if not table.num_rows:
        _require_source(store, source)
    found: dict[str, list[str]] = {}
    for reason, message in zip(
        table["reason"].to_pylist(), table["message"].to_pylist(), strict=True
    ):
        found.setdefault(reason, []).append(message)
    rows = [
        (reason, f"{len(messages):,}", messages[0])
        for reason, messages in sorted(found.items(), key=lambda entry: -len(entry[1]))
    ]
    show_rows(f"Refused rows of {source}", ("reason", "rows", "for example"), rows)
    _write(table, output)


def _last_verdict(last: GateEntry | None) -> tuple[str, str]:
    """Return which version was judged last, and how."""
    if last is None:
        return "-", "not judged"
    accepted = "" if last.acceptance is None else " (accepted)"
    return str(last.report.version), f"{last.report.verdict}{accepted}"


def _label_rows(profile: RecordProfile) -> list[tuple[str, str, str, str]]:
    return [
        (profile.source, target, f"{found.labels.n:,}", _counted(found.schemes))
        for target, found in profile.targets.items()
    ]


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {n:,}" for name, n in counts.items())


def _require_source(store: Path, source: str) -> None:
    from crystalgnn_core.records.table.store import RecordStore

    known = RecordStore(store).source_counts()
    if source not in known:
        names = ", ".join(sorted(known)) or "nothing"
        raise InputError(
            f"{store} holds no source {source!r} (stored: {names})"
            f"{did_you_mean(source, known)}"
        )


def _write(table: pa.Table, output: Path | None) -> None:
    """Write rows as Parquet or CSV, by the suffix; lists are joined in CSV."""
    if output is None:
        return
    from crystalgnn_core.storage.files import atomic_path, write_table

    if output.suffix.lower() == ".parquet":
        write_table(output, table, with_checksum=False)
    else:
        frame = table.to_pandas()
        if "columns" in frame:
            frame["columns"] = [";".join(names) for names in frame["columns"]]
        with atomic_path(output, with_checksum=False) as temporary:
            frame.to_csv(temporary, index=False)
    show_line(f"rows     {output}")
