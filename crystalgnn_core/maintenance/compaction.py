"""Drop superseded rows and gather small shards: the only change to shards once written."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from crystalgnn_core.base import FrozenModel
from crystalgnn_core.errors import InputError
from crystalgnn_core.records.table.store import RecordStore
from crystalgnn_core.storage.manifest import KEY
from crystalgnn_core.storage.rows import rechunk
from crystalgnn_core.storage.shards import MAPPED, ShardSet

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from crystalgnn_core.storage.manifest import Refusal, ShardEntry

SMALL = 0.5  # of the shard size


class Compaction(FrozenModel):
    """What a compaction did to one folder.

    Attributes:
        n_shards: Shards before and after.
        n_bytes: Bytes of all shards before and after.
        n_rows: Rows and refusals before and after.
    """

    n_shards: tuple[int, int]
    n_bytes: tuple[int, int]
    n_rows: tuple[int, int]


def compact_store(store: Path, *, shard_size: int) -> Iterator[tuple[str, Compaction]]:
    """Compact every folder of graph and prediction shards of a store.

    Rows of structures that no record of the newest version has are dropped, and so are the
    mapped copies of the graphs, which training makes again when it wants them.

    Yields:
        Name of the folder below the store, and what was done.

    Raises:
        InputError: The store has no record table.
    """
    records = RecordStore(store)
    if records.version() is None:
        raise InputError(
            f"{records.records_path}: no record table, so every row would be dropped; "
            "ingest all sources first"
        )
    for kind in ("graphs", "predictions"):
        for folder in sorted((store / kind).glob("[!.]*/")):
            shutil.rmtree(folder / MAPPED, ignore_errors=True)
            shards = ShardSet(folder)
            shards.discard_damaged()
            shards.mark_superseded(records.structure_digests)
            yield f"{kind}/{folder.name}", compact(shards, shard_size=shard_size)


def compact(shards: ShardSet, *, shard_size: int) -> Compaction:
    """Rewrite the shards that hold tombstones, and those that are small, as full shards.

    New shards are written before old ones are deleted, so a crash loses nothing; rows that
    it leaves in two shards are dropped by the next compaction. The tombstones must be up to
    date (`ShardSet.mark_superseded`), and no other job may read or build the folder.
    """
    before = shards.intact_entries()
    superseded = shards.manifest.tombstones()
    to_rewrite = _entries_to_rewrite(shards, before, superseded, shard_size)
    if to_rewrite:
        kept = {entry.name for entry in before} - {entry.name for entry in to_rewrite}
        held = {key for name in kept for key in shards.manifest.keys(name)}
        refusals = _live_refusals(to_rewrite, superseded)
        live = _live_rows(shards, to_rewrite, superseded | held)
        origin = _merged_metadata(shards, to_rewrite)
        written = set()
        for table in rechunk(live, shard_size):
            name = shards.name_of(table[KEY].to_pylist())
            shards.manifest.write(name, table.replace_schema_metadata(origin), refusals)
            written.add(name)
            refusals = []
        if refusals:  # no row is left to go with them
            name = shards.name_of(refusal.structure_digest for refusal in refusals)
            empty = pq.read_schema(shards.manifest.shard_path(to_rewrite[0].name))
            table = empty.with_metadata(origin).empty_table()
            shards.manifest.write(name, table, refusals)
            written.add(name)
        for entry in to_rewrite:
            if entry.name not in written:
                shards.manifest.remove(entry.name)
        shards.manifest.set_tombstones(())
    return _report(before, shards.intact_entries())


def _entries_to_rewrite(
    shards: ShardSet, entries: list[ShardEntry], superseded: set[str], shard_size: int
) -> list[ShardEntry]:
    """Choose the shards to rewrite: with tombstones or repeated rows, or small ones."""
    seen: set[str] = set()
    with_tombstones, small = [], []
    for entry in entries:
        keys = set(shards.manifest.keys(entry.name))
        refused = {refusal.structure_digest for refusal in entry.refusals}
        if (keys | refused) & superseded or keys & seen:
            with_tombstones.append(entry)
        elif entry.n_rows < SMALL * shard_size:
            small.append(entry)
        seen |= keys
    return with_tombstones + small if with_tombstones or len(small) > 1 else []


def _merged_metadata(shards: ShardSet, to_rewrite: list[ShardEntry]) -> dict[str, str]:
    """Return the metadata of some shards, as a JSON list where they differ."""
    found: dict[str, dict[str, None]] = {}
    for entry in to_rewrite:
        metadata = pq.read_schema(shards.manifest.shard_path(entry.name)).metadata or {}
        for key, value in metadata.items():
            found.setdefault(key.decode(), {})[value.decode()] = None
    return {
        key: next(iter(values)) if len(values) == 1 else json.dumps(list(values))
        for key, values in found.items()
    }


def _live_rows(
    shards: ShardSet, to_rewrite: list[ShardEntry], dropped: set[str]
) -> Iterator[pa.Table]:
    """Yield the rows of some shards that are not dropped, each structure once."""
    seen = set(dropped)
    for entry in to_rewrite:
        table = shards.manifest.read(entry.name)
        keep = []
        for index, key in enumerate(table[KEY].to_pylist()):
            if key not in seen:
                seen.add(key)
                keep.append(index)
        if keep:
            yield table.take(pa.array(keep))


def _live_refusals(to_rewrite: list[ShardEntry], superseded: set[str]) -> list[Refusal]:
    found = {
        refusal.structure_digest: refusal
        for entry in to_rewrite
        for refusal in entry.refusals
        if refusal.structure_digest not in superseded
    }
    return list(found.values())


def _report(before: list[ShardEntry], after: list[ShardEntry]) -> Compaction:
    sizes = [sum(entry.n_bytes for entry in state) for state in (before, after)]
    counts = [
        sum(entry.n_rows + len(entry.refusals) for entry in state)
        for state in (before, after)
    ]
    return Compaction(
        n_shards=(len(before), len(after)),
        n_bytes=(sizes[0], sizes[1]),
        n_rows=(counts[0], counts[1]),
    )
