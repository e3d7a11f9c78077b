"""A folder of immutable, content-addressed Parquet shards, keyed by structure digest."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from crystalgnn_core.base import FrozenModel, digest_of_strings
from crystalgnn_core.errors import IntegrityError
from crystalgnn_core.storage.files import read_spool, write_spool
from crystalgnn_core.storage.locks import locked
from crystalgnn_core.storage.manifest import KEY, Manifest, Refusal, ShardEntry
from crystalgnn_core.storage.rows import rows_in_order

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

__all__ = ["KEY", "Refusal", "ShardEntry", "ShardJob", "ShardSet", "ShardState"]
LOCK_SECONDS = 60
MAPPED = "mapped"  # folder beside the shards with what is copied from them for reading


class ShardJob(FrozenModel):
    """A shard that is to be built: everything the task needs is in `input_path`.

    Attributes:
        name: Name of the shard, the digest of what it is made from.
        folder: Folder of the shard set.
        input_path: Arrow file with the rows to process; removed when the shard is done.
        n_rows: Rows in the input.
    """

    name: str
    folder: str
    input_path: str
    n_rows: int


class ShardState(FrozenModel):
    """What a task returns: the entry, and whether the shard had to be built."""

    entry: ShardEntry
    was_built: bool


class ShardSet:
    """The shards of one folder.

    Args:
        folder: Folder of the set, whose name says what its shards are made with (graph
            settings, model weights); created on the first write.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest = Manifest(folder)

    def intact_entries(self) -> list[ShardEntry]:
        """Return the entries, in order of name, whose shard is there and undamaged."""
        found = map(self.manifest.sound, self.manifest.names())
        return [entry for entry in found if entry is not None]

    def known_digests(self) -> set[str]:
        """Return the structure digests that sound shards hold or have refused."""
        known: set[str] = set()
        for entry in self.intact_entries():
            known.update(self.manifest.keys(entry.name))
            known.update(refusal.structure_digest for refusal in entry.refusals)
        return known

    def refusals(self) -> dict[str, Refusal]:
        """Return the refused structures by structure digest."""
        return {
            refusal.structure_digest: refusal
            for entry in self.intact_entries()
            for refusal in entry.refusals
        }

    def mark_superseded(self, read_live: Callable[[], Collection[str]]) -> int:
        """Make tombstones for the rows of all structures that are not live.

        A structure that is live again loses its tombstone: its row is as good as ever.

        Args:
            read_live: Returns the live structures; called after the shards are listed, so
                that one which is recorded and built meanwhile counts as live.

        Returns:
            How many structures have a tombstone now.
        """
        superseded = self.known_digests().difference(read_live())
        self.manifest.set_tombstones(superseded)
        return len(superseded)

    def discard_damaged(self) -> None:
        """Delete shards without an entry that fits; their structures are built again."""
        for name in self.manifest.names():
            if self.manifest.sound(name) is not None:
                continue
            with locked(self.folder / "jobs" / f"{name}.lock", timeout=LOCK_SECONDS):
                if self.manifest.sound(name) is None:  # not just being written
                    self.manifest.remove(name)

    def name_of(self, digests: Iterable[str]) -> str:
        """Name a shard by what decides its content: its rows, and the folder's name."""
        return digest_of_strings([self.folder.name, *digests])

    def plan(self, tables: Iterable[pa.Table]) -> Iterator[ShardJob]:
        """Yield a job for every table of rows; the rows are spooled beside the shards."""
        for table in tables:
            name = self.name_of(table[KEY].to_pylist())
            job = ShardJob(
                name=name,
                folder=str(self.folder),
                input_path=str(self.folder / "jobs" / f"{name}.arrow"),
                n_rows=table.num_rows,
            )
            write_spool(Path(job.input_path), table)
            yield job

    def build(
        self, job: ShardJob, make: Callable[[pa.Table], tuple[pa.Table, list[Refusal]]]
    ) -> ShardState:
        """Make a shard unless it is there and sound; `make` turns its spooled rows into it.

        Raises:
            IntegrityError: Neither the shard nor the rows to make it from are there, or
                rows in are not rows written plus rows refused.
            TransientError: Another process holds the lock of this shard for too long.
        """
        entry = self.manifest.sound(job.name)
        if entry is not None:
            return ShardState(entry=entry, was_built=False)
        try:
            rows = read_spool(Path(job.input_path))
        except FileNotFoundError as error:
            entry = self.manifest.sound(job.name)
            if entry is None:
                raise IntegrityError(
                    f"{job.input_path}: the rows of this shard are gone; plan it again"
                ) from error
            return ShardState(entry=entry, was_built=False)  # finished by another process
        table, refusals = make(rows)
        if table.num_rows + len(refusals) != job.n_rows:
            raise IntegrityError(
                f"shard {job.name}: {job.n_rows} rows in, but {table.num_rows} written and "
                f"{len(refusals)} refused"
            )
        return self._publish(job, table, refusals)

    def _publish(
        self, job: ShardJob, table: pa.Table, refusals: list[Refusal]
    ) -> ShardState:
        """Write shard and entry as one, once; drop the spooled input."""
        lock = Path(job.input_path).with_suffix(".lock")
        with locked(lock, timeout=LOCK_SECONDS):
            entry = self.manifest.sound(job.name)
            if entry is not None:
                return ShardState(entry=entry, was_built=False)
            entry = self.manifest.write(job.name, table, refusals)
            Path(job.input_path).unlink(missing_ok=True)
            lock.unlink(missing_ok=True)  # whoever waits for it finds the shard done
        return ShardState(entry=entry, was_built=True)

    def locate(self, digests: Iterable[str]) -> dict[str, str]:
        """Return the name of the sound shard that holds each structure, where one does."""
        wanted = set(digests)
        return {
            key: entry.name
            for entry in self.intact_entries()
            for key in self.manifest.keys(entry.name)
            if key in wanted
        }

    def read_all(self, columns: list[str]) -> pa.Table:
        """Read some columns of all sound shards.

        Raises:
            IntegrityError: There is no sound shard.
        """
        entries = self.intact_entries()
        if not entries:
            raise IntegrityError(
                f"{self.folder}: no sound shard; run the stage that makes it"
            )
        return pa.concat_tables(self.manifest.read(one.name, columns) for one in entries)

    def read(self, digests: Sequence[str]) -> pa.Table:
        """Read the rows of the given structures, in the given order.

        Raises:
            IntegrityError: A structure is in no sound shard.
        """
        tables = (self.manifest.read(entry.name) for entry in self.intact_entries())
        return rows_in_order(tables, digests, where=str(self.folder))
