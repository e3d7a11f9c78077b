"""The command `ingest`, and the source that its options or those of `screen` describe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crystalgnn_core.base import digest_of
from crystalgnn_core.errors import ConfigError
from deployments.options import Config, Set, Store, Verbose, require_sources, resolve_config
from deployments.session import prefect_session
from deployments.tables import show_rejects, show_rows, show_suspicious

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from crystalgnn_core.sources.ingest.reports import IngestReport

KINDS = (
    "files",
    "vasp",
    "jarvis",
    "materials-project",
    "optimade",
    "synthetic",
    "textbook",
)
SOURCE_COLUMNS = (
    "source",
    "rows in",
    "rows kept",
    "rows rejected",
    "rows new",
    "rows changed",
    "rows unchanged",
    "rows removed",
    "verdict",
)
_PLACES = {
    "files": "a folder, a structure file or a table",
    "vasp": "a folder of runs, or a vasprun.xml",
}


def ingest(
    *,
    source: Annotated[
        str | None,
        typer.Option("--source", help=f"{', '.join(KINDS[:-1])} or {KINDS[-1]}."),
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
            "TARGET=COLUMN<=VALUE@LABEL SCHEME; of a provider, TARGET=PROPERTY@LABEL "
            "SCHEME; repeatable.",
        ),
    ] = None,
    provider: Annotated[
        str | None, typer.Option("--provider", help="Shipped provider (optimade).")
    ] = None,
    url: Annotated[
        str | None, typer.Option("--url", help="Base address of a provider (optimade).")
    ] = None,
    filter_: Annotated[
        str | None, typer.Option("--filter", help="Filter of the rows (optimade).")
    ] = None,
    config: Config = None,
    store: Store = None,
    set_: Set = None,
    verbose: Verbose = False,
) -> None:
    """Bring sources into the record table."""
    options = _source_options(
        source,
        target or (),
        path=path,
        name=name,
        release=release,
        provider=provider,
        url=url,
        filter=filter_,
    )
    settings = resolve_config(config, set_, store, options=options)
    require_sources(settings)
    with prefect_session(verbose=verbose):
        from flows.records import ingest as flow
        from flows.stages import with_runner

        summary = with_runner(flow, settings.execution)(settings)
    show_rows("Sources", SOURCE_COLUMNS, map(_source_row, summary.reports))
    for report in summary.reports:
        if report.gate is not None and report.gate.is_suspicious:
            show_suspicious(report.gate, settings.store_path)
    show_rejects(summary.rejected, {})
    dropped = [
        (report.source, target, count)
        for report in summary.reports
        for target, count in report.n_dropped.items()
    ]
    if dropped:
        show_rows("Implausible labels left out", ("source", "target", "#labels"), dropped)


def _source_options(
    kind: str | None, targets: Sequence[str], **settings: str | None
) -> dict[str, Any] | None:
    """Turn options into `sources`; without any, those of the configuration stand."""
    if kind is not None:
        return {"sources": [source_entry(kind, targets, **settings)]}
    given = [f"--{name}" for name, value in settings.items() if value is not None]
    if targets:
        given.append("--target")
    if given:
        raise ConfigError(f"{', '.join(given)} describe a --source; give that too")
    return None


def source_entry(
    kind: str, targets: Iterable[str] = (), **settings: str | None
) -> dict[str, Any]:
    """Turn options into one entry of `sources`.

    Args:
        kind: Kind of the source.
        targets: Columns of targets, as TARGET=COLUMN@SCHEME.
        settings: Settings by name, such as `path`; those that are None are not given.

    Raises:
        ConfigError: A path or an address is missing, or a target is not
            TARGET=COLUMN@SCHEME.
    """
    given = {key: value for key, value in settings.items() if value is not None}
    if kind == "optimade" and not {"provider", "url"} & set(given):
        raise ConfigError(
            "--source optimade needs --url: the base address of a provider; or --provider, "
            "the name of a shipped one"
        )
    if kind in _PLACES:
        if "path" not in given:
            raise ConfigError(f"--source {kind} needs --path: {_PLACES[kind]}")
        given.setdefault("name", _safe_name(given["path"]))
    entry: dict[str, Any] = {"kind": kind, **given}
    columns = dict(map(_target_column, targets))
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
        "" if report.gate is None else report.gate.verdict,
    )
