"""The command `ingest`, and the source that its options or those of `screen` describe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crystalgnn_core.base import digest_of
from crystalgnn_core.errors import ConfigError
from deployments.options import Config, Set, Store, Verbose, require_sources, resolve_config
from deployments.session import prefect_session
from deployments.tables import show_rejects, show_rows

if TYPE_CHECKING:
    from collections.abc import Iterable

    from crystalgnn_core.sources.reports import IngestReport

SOURCE_COLUMNS = (
    "source",
    "rows in",
    "rows kept",
    "rows rejected",
    "rows new",
    "rows changed",
    "rows unchanged",
    "rows removed",
)


def ingest(
    *,
    source: Annotated[
        str | None, typer.Option("--source", help="files, jarvis, synthetic or textbook.")
    ] = None,
    path: Annotated[
        str | None,
        typer.Option(
            "--path",
            help="Folder, structure file or table (files); archive in place of a download "
            "(jarvis).",
        ),
    ] = None,
    release: Annotated[
        str | None,
        typer.Option("--release", help="Named release (jarvis): dft_3d_2021 ..."),
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="Name of the records.")] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(
            "--target",
            help="TARGET=COLUMN@LABEL SCHEME of a table, or for a class "
            "TARGET=COLUMN<=VALUE@LABEL SCHEME; repeatable.",
        ),
    ] = None,
    config: Config = None,
    store: Store = None,
    set_: Set = None,
    verbose: Verbose = False,
) -> None:
    """Bring sources into the record table."""
    if source is None and (path or release or name or target):
        raise ConfigError(
            "--path, --release, --name and --target describe a --source; give that too"
        )
    entry = None
    if source is not None:
        entry = source_entry(source, path, name, target, release=release)
    options = None if entry is None else {"sources": [entry]}
    settings = resolve_config(config, set_, store, options=options)
    require_sources(settings)
    with prefect_session(verbose=verbose):
        from flows.records import ingest as flow
        from flows.stages import with_runner

        summary = with_runner(flow, settings.execution)(settings)
    show_rows("Sources", SOURCE_COLUMNS, map(_source_row, summary.reports))
    show_rejects(summary.rejected, {})
    dropped = [
        (report.source, target, count)
        for report in summary.reports
        for target, count in report.n_dropped.items()
    ]
    if dropped:
        show_rows("Implausible labels left out", ("source", "target", "#labels"), dropped)


def source_entry(
    kind: str,
    path: str | None,
    name: str | None,
    targets: Iterable[str] | None,
    *,
    release: str | None = None,
) -> dict[str, Any]:
    """Turn options into one entry of `sources`.

    Raises:
        ConfigError: A path is missing, or a target is not TARGET=COLUMN@SCHEME.
    """
    if kind == "files" and path is None:
        raise ConfigError(
            "--source files needs --path: a folder, a structure file or a table"
        )
    entry: dict[str, Any] = {"kind": kind}
    if name is None and path is not None and kind == "files":
        name = _safe_name(path)
    given = {"path": path, "name": name, "release": release}
    entry |= {key: value for key, value in given.items() if value is not None}
    columns = dict(map(_target_column, targets or ()))
    if columns:
        entry["targets"] = columns
    return entry


def _target_column(text: str) -> tuple[str, dict[str, str]]:
    target, _, rest = text.partition("=")
    place, _, scheme = rest.partition("@")
    column, is_derived, bound = place.partition("<=")
    if not (target and column and scheme) or (is_derived and not bound):
        raise ConfigError(
            f"--target {text!r}: write TARGET=COLUMN@LABEL SCHEME, such as "
            "'band_gap=gap@MP GGA/GGA+U MP2020', or for a class TARGET=COLUMN<=VALUE@..., "
            "such as 'is_metal=gap<=0@MP GGA/GGA+U MP2020'"
        )
    entry = {"column": column, "label_scheme": scheme}
    return target, entry | {"at_most": bound} if is_derived else entry


def candidates_name(path: str) -> str:
    """Name candidates so that two folders of one name, or a training table, stay apart."""
    return f"{_safe_name(path)}-{digest_of(str(Path(path).expanduser().resolve()))[:6]}"


def _safe_name(path: str) -> str:
    resolved = Path(path).expanduser().resolve()
    name = resolved.name if resolved.is_dir() else resolved.stem
    return "".join(c if c.isalnum() or c in "._-" else "-" for c in name) or "files"


def _source_row(report: IngestReport) -> tuple[object, ...]:
    counts = report.counts
    return (
        report.source,
        report.n_in,
        report.n_kept,
        sum(report.rejected.values()),
        counts.n_new,
        counts.n_changed,
        counts.n_unchanged,
        counts.n_removed,
    )
