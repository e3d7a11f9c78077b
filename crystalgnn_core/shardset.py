"""A folder of immutable, content-addressed Parquet shards, keyed by structure digest.

Each shard `<name>.parquet` has an entry `<name>.json` with its size, SHA-256, row count and
the structures that were refused. The entry is written after the shard, so a shard without a
sound entry does not count: it is rebuilt. Entries together are the manifest.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from crystalgnn_core.artifacts import (
    FileRef,
    read_json,
    write_table,
    write_text,
)
from crystalgnn_core.base import FrozenModel, digest_of_strings
from crystalgnn_core.errors import IntegrityError, TransientError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

logger = logging.getLogger(__name__)
KEY = "structure_digest"
LOCK_SECONDS = 60


class Refusal(FrozenModel):
    """A structure that could not be processed, with its reason."""

    structure_digest: str
    reason: str
    message: str


class ShardEntry(FrozenModel):
    """What the manifest says about one shard."""

    name: str
    sha256: str
    n_bytes: int
    n_rows: int
    refusals: tuple[Refusal, ...] = ()


class ShardJob(FrozenModel):
    """A shard that is to be built: everything the task needs is in `input_path`.

    Attributes:
        name: Name of the shard, the digest of what it is made from.
        folder: Folder of the shard set.
        input_path: Parquet file with the rows to process; removed when the shard is done.
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
        folder: Folder of the set; created on the first write.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path_of(self, name: str) -> Path:
        """Return the path of a shard's Parquet file."""
        return self.folder / f"{name}.parquet"

    def sound_entries(self) -> list[ShardEntry]:
        """Return the entries, in order of name, whose shard is there and undamaged."""
        entries = []
        for path in sorted(self.folder.glob("[!.]*.json")):
            entry = self.entry(path.stem)
            if entry is not None:
                entries.append(entry)
        return entries

    def entry(self, name: str) -> ShardEntry | None:
        """Return the entry of a shard, or None when either is missing or damaged."""
        path = self._entry_path(name)
        if not path.is_file():
            return None
        try:
            entry = ShardEntry.model_validate(read_json(path))
        except (IntegrityError, ValueError):
            logger.warning("%s: damaged entry; the shard will be rebuilt", path)
            return None
        reference = FileRef(
            path=str(self.path_of(name)), sha256=entry.sha256, n_bytes=entry.n_bytes
        )
        if not reference.is_sound():
            logger.warning(
                "%s: shard missing or damaged; it will be rebuilt", reference.path
            )
            return None
        return entry

    def known_digests(self) -> set[str]:
        """Return the structure digests that sound shards hold or have refused."""
        known: set[str] = set()
        for entry in self.sound_entries():
            keys = pq.read_table(self.path_of(entry.name), columns=[KEY])[KEY]
            known.update(keys.to_pylist())
            known.update(refusal.structure_digest for refusal in entry.refusals)
        return known

    def refusals(self) -> dict[str, Refusal]:
        """Return the refused structures by structure digest."""
        return {
            refusal.structure_digest: refusal
            for entry in self.sound_entries()
            for refusal in entry.refusals
        }

    def discard_damaged(self) -> None:
        """Delete shards that do not match their entry; their structures are built again."""
        for path in sorted(self.folder.glob("[!.]*.json")):
            if self.entry(path.stem) is not None:
                continue
            with _locked(self.folder / "jobs" / f"{path.stem}.lock"):
                if self.entry(path.stem) is None:  # not just being written
                    self.path_of(path.stem).unlink(missing_ok=True)
                    path.unlink(missing_ok=True)

    def plan(self, tables: Iterable[pa.Table], *, salt: str) -> Iterator[ShardJob]:
        """Yield a job for every table of rows; the rows are parked beside the shards.

        Args:
            tables: Rows of one shard each, with the column `structure_digest`.
            salt: Digest of whatever else decides what the shard holds.
        """
        for table in tables:
            name = digest_of_strings([salt, *table[KEY].to_pylist()])
            job = ShardJob(
                name=name,
                folder=str(self.folder),
                input_path=str(self.folder / "jobs" / f"{name}.parquet"),
                n_rows=table.num_rows,
            )
            write_table(Path(job.input_path), table)
            yield job

    def build(
        self, job: ShardJob, make: Callable[[pa.Table], tuple[pa.Table, list[Refusal]]]
    ) -> ShardState:
        """Make a shard from its parked rows, unless it is there and sound.

        Args:
            job: What is to be built.
            make: Turns the parked rows into the shard's rows and the refused structures.

        Raises:
            IntegrityError: Neither the shard nor the rows to make it from are there, or
                rows in are not rows written plus rows refused.
            TransientError: Another process holds the lock of this shard for too long.
        """
        entry = self.entry(job.name)
        if entry is not None:
            return ShardState(entry=entry, was_built=False)
        try:
            rows = pq.read_table(job.input_path)
        except FileNotFoundError as error:
            entry = self.entry(job.name)
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
        """Write shard and entry as one, once; drop the parked input."""
        path = self.path_of(job.name)
        lock = Path(job.input_path).with_suffix(".lock")
        with _locked(lock):
            entry = self.entry(job.name)
            if entry is not None:
                return ShardState(entry=entry, was_built=False)
            write_table(path, table)
            reference = FileRef.of(path)
            entry = ShardEntry(
                name=job.name,
                sha256=reference.sha256,
                n_bytes=reference.n_bytes,
                n_rows=table.num_rows,
                refusals=tuple(refusals),
            )
            write_text(self._entry_path(job.name), entry.model_dump_json(indent=1) + "\n")
            Path(job.input_path).unlink(missing_ok=True)
            lock.unlink(missing_ok=True)  # whoever waits for it finds the shard done
        return ShardState(entry=entry, was_built=True)

    def _entry_path(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def locate(self, digests: Iterable[str]) -> dict[str, str]:
        """Return the name of the sound shard that holds each structure, where one does."""
        wanted = set(digests)
        places: dict[str, str] = {}
        for entry in self.sound_entries():
            keys = pq.read_table(self.path_of(entry.name), columns=[KEY])[KEY].to_pylist()
            places.update((key, entry.name) for key in keys if key in wanted)
        return places

    def read_all(self, columns: list[str]) -> pa.Table:
        """Read some columns of all sound shards.

        Raises:
            IntegrityError: There is no sound shard.
        """
        entries = self.sound_entries()
        if not entries:
            raise IntegrityError(
                f"{self.folder}: no sound shard; run the stage that makes it"
            )
        return pa.concat_tables(
            pq.read_table(self.path_of(entry.name), columns=columns) for entry in entries
        )

    def read(self, digests: Sequence[str]) -> pa.Table:
        """Read the rows of the given structures, in the given order.

        Raises:
            IntegrityError: A structure is in no sound shard.
        """
        return rows_in_order(
            (pq.read_table(self.path_of(entry.name)) for entry in self.sound_entries()),
            digests,
            where=str(self.folder),
        )


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        held = FileLock(path).acquire(timeout=LOCK_SECONDS)
    except Timeout as error:
        raise TransientError(f"{path} is held by another process") from error
    with held:
        yield


def rows_in_order(
    tables: Iterable[pa.Table], digests: Sequence[str], *, where: str
) -> pa.Table:
    """Pick the rows of the given structures from tables, in the given order.

    Args:
        tables: Tables with the column `structure_digest`.
        digests: Structures to pick; repetitions are repeated.
        where: Where the tables come from, for the error.

    Raises:
        IntegrityError: A structure is in none of the tables.
    """
    wanted = set(digests)
    position: dict[str, int] = {}
    picked = []
    for table in tables:
        keep = []
        for index, key in enumerate(table[KEY].to_pylist()):
            if key in wanted and key not in position:
                position[key] = len(position)
                keep.append(index)
        if keep:
            picked.append(table.take(pa.array(keep)))
    missing = len(wanted) - len(position)
    if missing or not picked:
        example = next(
            (key for key in digests if key not in position), "none were asked for"
        )
        raise IntegrityError(
            f"{where}: {missing} of {len(wanted)} structures are in no sound shard (first: "
            f"{example}); build them again"
        )
    return pa.concat_tables(picked).take(pa.array([position[key] for key in digests]))
