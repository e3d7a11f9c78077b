"""The command `ingest`, and the source that its options or those of `screen` describe."""

from __future__ import annotations

import unicodedata
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError

from crystalgnn_core.base import digest_of
from crystalgnn_core.errors import ConfigError
from crystalgnn_core.storage.paths import local_path, whole_path
from deployments.options import Job, require_sources, takes_job
from deployments.session import prefect_session
from deployments.tables import show_left_out, show_rejects, show_rows, show_suspicious

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from crystalgnn_core.sources.base import SourceConfig
    from crystalgnn_core.sources.ingest.reports import IngestReport

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


@takes_job
def ingest(
    *,
    source: Annotated[
        str | None,
        typer.Option(
            "--source",
            help="files, vasp, jarvis, materials-project, optimade, synthetic, textbook, "
            "or the kind of an installed package.",
        ),
    ] = None,
    path: Annotated[
        str | None,
        typer.Option(
            "--path",
            help="Folder, structure file or table (files); folder or run (vasp); archive "
            "in place of a download (jarvis).",
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
    job: Job,
) -> None:
    """Bring sources into the record table."""
    options = partial(
        _source_options,
        source,
        target or (),
        path=path,
        name=name,
        release=release,
        provider=provider,
        url=url,
        filter=filter_,
    )
    # the store may hold rows of the path under a name of their own
    settings = job.settings(options(store=job.settings(options()).store_path))
    require_sources(settings)
    with prefect_session(verbose=job.verbose):
        from crystalgnn_core.screening.candidates import read_unread
        from flows.records import ingest as flow
        from flows.stages import with_runner

        summary = with_runner(flow, settings.execution)(settings)
    show_rows("Sources", SOURCE_COLUMNS, map(_source_row, summary.reports))
    for report in summary.reports:
        if report.gate is not None and report.gate.is_suspicious:
            show_suspicious(report.gate, settings.store_path)
    unread = read_unread(settings.store_path, [one.source for one in summary.reports])
    show_rejects(Counter(sorted((one.stage, one.reason) for one in unread)))
    show_left_out([one.material_id for one in unread if one.reason == "unsupported_file"])
    dropped = [
        (report.source, target, count)
        for report in summary.reports
        for target, count in report.n_dropped.items()
    ]
    if dropped:
        show_rows("Implausible labels left out", ("source", "target", "#labels"), dropped)


def _source_options(
    kind: str | None,
    targets: Sequence[str],
    *,
    store: Path | None = None,
    **settings: str | None,
) -> dict[str, Any] | None:
    """Turn options into `sources`; without any, those of the configuration stand."""
    if kind is not None:
        return {"sources": [source_entry(kind, targets, store=store, **settings)]}
    given = [f"--{name}" for name, value in settings.items() if value is not None]
    if targets:
        given.append("--target")
    if given:
        raise ConfigError(f"{', '.join(given)} describe a --source; give that too")
    return None


def source_entry(
    kind: str,
    targets: Iterable[str] = (),
    *,
    store: Path | None = None,
    **settings: str | None,
) -> dict[str, Any]:
    """Turn options into one entry of `sources`.

    Args:
        kind: Kind of the source.
        targets: Columns of targets, as TARGET=COLUMN@SCHEME.
        store: Where rows may be stored under the name that is made of a path.
        settings: Settings by name, such as `path`; those that are None are not given.

    Raises:
        ConfigError: There is no such kind, a path or an address is missing, or a target is
            not TARGET=COLUMN@SCHEME.
    """
    from crystalgnn_core.sources.union import source_class

    cls = source_class(kind)
    entry: dict[str, Any] = {
        key: value for key, value in settings.items() if value is not None
    }
    if "path" in entry and cls.model_fields["name"].is_required():
        entry.setdefault("name", source_name(entry["path"], store))
    columns = dict(map(_target_column, targets))
    if columns:
        entry["targets"] = columns
    for name in _missing(cls, entry):
        if name in settings and name != "name":
            what = cls.model_fields[name].description
            raise ConfigError(
                f"--source {kind} needs --{name}{'' if what is None else f': {what}'}"
            )
    return {"kind": kind, **entry}


def _missing(cls: type[SourceConfig], entry: dict[str, Any]) -> list[str]:
    """Return the settings without which an entry cannot be read."""
    try:
        cls.model_validate(entry)
    except ValidationError as error:
        faults = error.errors(include_url=False)
        return [str(f["loc"][0]) for f in faults if f["type"] == "missing"]
    return []


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
    safe = _safe_name(_name_of(path))
    return f"{safe}-{digest_of(str(whole_path(local_path(path))))[:6]}"


def source_name(path: str, store: Path | None) -> str:
    """Name a source after its file or folder, by the characters that a name may have.

    Of a name with others, or with an end that names another file of the store, a digest is
    appended, so that two such names stay apart; rows of that path that are stored under the
    name without it keep that.
    """
    from crystalgnn_core.records.provenance import read_provenance
    from crystalgnn_core.sources.base import RESERVED

    name = _name_of(path)
    safe = _safe_name(name)
    if safe == name and name.strip(".") and not name.endswith(RESERVED):
        return name
    known = None if store is None else read_provenance(store, safe)
    if known is not None and known.place is not None:
        stored, given = (whole_path(local_path(each)) for each in (known.place, path))
        if stored == given:
            return safe
    return f"{safe}-{digest_of(name)[:6]}"


def _name_of(path: str) -> str:
    """Return the name of a folder, or of a file without suffix, composed as usual."""
    resolved = whole_path(local_path(path))
    name = resolved.name if resolved.is_dir() else resolved.stem
    return unicodedata.normalize("NFC", name)  # as macOS takes names apart


def _safe_name(name: str) -> str:
    """Write a name in the characters of a source, without accents."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return "".join(c if c.isalnum() or c in "._-" else "-" for c in plain) or "files"


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
