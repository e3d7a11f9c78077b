"""The manifest of a folder of shards: an entry a shard, and tombstones of superseded rows.

Each shard `<name>.parquet` has an entry `<name>.json` with its size, SHA-256, row count and
the structures that were refused. The entry is written after the shard, so a shard without a
sound entry does not count: it is rebuilt. Shards are immutable; structures that no record
has any more are listed in `tombstones/rows.parquet` until the folder is compacted.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from crystalgnn_core.base import FrozenModel
from crystalgnn_core.errors import RejectReason
from crystalgnn_core.storage.checksums import remove_file
from crystalgnn_core.storage.files import (
    FileRef,
    is_as_written,
    read_model,
    read_table,
    write_model,
    write_table,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

logger = logging.getLogger(__name__)
KEY = "structure_digest"
TOMBSTONES = "tombstones/rows.parquet"


class Refusal(FrozenModel):
    """A structure that could not be processed, with its reason."""

    structure_digest: str
    reason: RejectReason
    message: str


class ShardEntry(FrozenModel):
    """What the manifest says about one shard."""

    name: str
    sha256: str
    n_bytes: int
    n_rows: int
    refusals: tuple[Refusal, ...] = ()


class Manifest:
    """The entries and tombstones of one folder of shards."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def shard_path(self, name: str) -> Path:
        """Return the path of a shard's Parquet file."""
        return self.folder / f"{name}.parquet"

    def entry_path(self, name: str) -> Path:
        """Return the path of a shard's entry."""
        return self.folder / f"{name}.json"

    def names(self) -> list[str]:
        """Return the names, in order, of all shards, sound or not, finished or not."""
        files = [*self.folder.glob("[!.]*.json"), *self.folder.glob("[!.]*.parquet")]
        return sorted({path.stem for path in files})

    def sound(self, name: str) -> ShardEntry | None:
        """Return the entry of a shard, or None when either is missing or damaged."""
        path = self.entry_path(name)
        if not path.is_file():
            return None
        entry = read_model(path, ShardEntry)
        if entry is None:
            logger.warning("%s: damaged entry; the shard will be rebuilt", path)
            return None
        shard = str(self.shard_path(name))
        if not FileRef(path=shard, sha256=entry.sha256, n_bytes=entry.n_bytes).is_intact():
            logger.warning("%s: shard missing or damaged; it will be rebuilt", shard)
            return None
        return entry

    def write(self, name: str, table: pa.Table, refusals: Iterable[Refusal]) -> ShardEntry:
        """Write a shard, then its entry."""
        path = self.shard_path(name)
        write_table(path, table)
        reference = FileRef.of(path)
        entry = ShardEntry(
            name=name,
            sha256=reference.sha256,
            n_bytes=reference.n_bytes,
            n_rows=table.num_rows,
            refusals=tuple(refusals),
        )
        write_model(self.entry_path(name), entry)
        return entry

    def remove(self, name: str) -> None:
        """Delete a shard, its entry first, so that no entry points at nothing."""
        remove_file(self.entry_path(name))
        remove_file(self.shard_path(name))

    def read(self, name: str, columns: list[str] | None = None) -> pa.Table:
        """Read all or some columns of a shard."""
        return pq.read_table(self.shard_path(name), columns=columns)

    def keys(self, name: str) -> list[str]:
        """Return the structure digests of a shard's rows, in order."""
        keys: list[str] = self.read(name, [KEY])[KEY].to_pylist()
        return keys

    def tombstones(self) -> set[str]:
        """Return the structures whose rows are superseded.

        Raises:
            IntegrityError: The file is damaged.
        """
        path = self.folder / TOMBSTONES
        if not path.is_file():
            return set()
        return set(read_table(path)[KEY].to_pylist())

    def set_tombstones(self, digests: Iterable[str]) -> None:
        """Make the tombstones those of the given structures; write only what differs."""
        superseded = sorted(digests)
        path = self.folder / TOMBSTONES
        is_intact = is_as_written(path) or not (superseded or path.is_file())
        if not is_intact or set(superseded) != self.tombstones():
            table = pa.table({KEY: pa.array(superseded, pa.string())})
            write_table(path, table)
