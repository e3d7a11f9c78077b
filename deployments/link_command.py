"""The command `link`: find the rows of several sources that are the same material."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from crystalgnn_core.errors import InputError
from deployments.options import Config, Set, Store, Verbose, resolve_config
from deployments.tables import show_line, show_rows

if TYPE_CHECKING:
    from crystalgnn_core.records.links.table import LinkReport


def link(
    *,
    source: Annotated[
        list[str] | None,
        typer.Option(
            "--source",
            help="Source that takes part; repeatable. All real ones by default.",
        ),
    ] = None,
    config: Config = None,
    store: Store = None,
    set_: Set = None,
    verbose: Verbose = False,
) -> None:
    """Link rows of different sources that are the same material."""
    settings = resolve_config(config, set_, store)
    from crystalgnn_core.parallel import close_pool
    from crystalgnn_core.records.links.linking import link_records
    from crystalgnn_core.records.table.store import RecordStore
    from deployments.session import prepare_environment

    if RecordStore(settings.store_path).version() is None:
        raise InputError(f"no records in {settings.store_path}; ingest sources first")
    prepare_environment(verbose=verbose)
    try:
        report = link_records(settings.store_path, settings.linking, source)
    finally:
        close_pool()
    _show(report)


def _show(report: LinkReport) -> None:
    rows = [(pair, f"{count:,}") for pair, count in report.n_joint.items()]
    if rows:
        show_rows("Materials in two sources", ("sources", "count"), rows)
    show_line(
        f"{report.n_linked:,} of {report.n_rows:,} rows are linked, in "
        f"{report.n_groups:,} groups"
    )
    done = (
        f"{report.n_fingerprints:,} structures and {report.n_compared:,} pairs looked at"
        if report.was_linked
        else "nothing changed since the last time (skipped)"
    )
    show_line(f"work     {done}")
    show_line(f"table    {report.table.path}")
