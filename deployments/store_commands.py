"""The commands `crystalgnn store ...`: verify a store, and gather its shards."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crystalgnn_core.base import DEFAULT_STORE
from deployments.options import require_store
from deployments.tables import show_line, show_rows

app = typer.Typer(no_args_is_help=True, help="Verify a store, and compact its shards.")
StorePath = Annotated[Path, typer.Option("--store", help="Store folder.")]


@app.command()
def check(store: StorePath = Path(DEFAULT_STORE)) -> None:
    """Verify every digest; name what is damaged, and exit with 1 if anything is."""
    from crystalgnn_core.maintenance.integrity import check_store

    store = require_store(store)
    checked = list(check_store(store))
    show_rows(
        f"Store {store}",
        ("part", "#sound", "of", "#superseded rows", "#damaged"),
        [
            (p.area, f"{p.n_sound:,}", p.unit, f"{p.n_superseded:,}", len(p.damages))
            for p in checked
        ],
    )
    damages = [damage for part in checked for damage in part.damages]
    for damage in damages:
        show_line(f"{damage.path}: {damage.problem}; {damage.advice}")
    if damages:
        raise typer.Exit(1)


@app.command()
def compact(
    store: StorePath = Path(DEFAULT_STORE),
    shard_size: Annotated[
        int, typer.Option("--shard-size", min=1, help="Structures per shard.")
    ] = 5000,
) -> None:
    """Drop rows of structures that no record has any more, and gather small shards.

    Run it while no other job uses the store.
    """
    from crystalgnn_core.maintenance.compaction import compact_store

    store = require_store(store)
    show_rows(
        f"Store {store}",
        ("part", "shards", "rows", "MB"),
        [
            (
                name,
                f"{done.n_shards[0]:,} -> {done.n_shards[1]:,}",
                f"{done.n_rows[0]:,} -> {done.n_rows[1]:,}",
                f"{done.n_bytes[0] / 1e6:,.1f} -> {done.n_bytes[1] / 1e6:,.1f}",
            )
            for name, done in compact_store(store, shard_size=shard_size)
        ],
    )
