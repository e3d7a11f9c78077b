"""The record table: a Delta table by (source, material_id) that keeps its versions."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError
from pyarrow.dataset import ParquetFragmentScanOptions

from crystalgnn_core.base import FrozenModel
from crystalgnn_core.errors import InputError, TransientError
from crystalgnn_core.records.schema import record_schema, reject_schema, with_all_columns
from crystalgnn_core.records.table.delta import (
    address_of,
    damage_named,
    list_new_files,
    open_table,
    remove_uncommitted,
)
from crystalgnn_core.records.table.upsert import (
    KEY_COLUMNS,
    TableReader,
    compare_keys,
    keys_of,
    open_complete,
    write_rows,
)
from crystalgnn_core.storage.locks import locked
from crystalgnn_core.wording import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from pyarrow.dataset import Scanner

logger = logging.getLogger(__name__)
KEYS = ("source", "material_id")
RECORD_VERSION = "record_version"
LOCK_SECONDS = 60
SCAN_BUFFER = 2**20  # bytes of a column that are read at a time
SCAN_ROWS = 10_000  # rows that are streamed at a time; few batches are read ahead


class RecordCounts(FrozenModel):
    """How the rows of one source changed.

    Attributes:
        n_new: Rows whose id was not there before.
        n_changed: Rows whose content differs from what was stored.
        n_unchanged: Rows that are stored already.
        n_removed: Rows that the source no longer has; older versions still hold them.
        version: Table version that holds the result.
    """

    n_new: int
    n_changed: int
    n_unchanged: int
    n_removed: int
    version: int


class RecordStore:
    """Records and rejects of one store folder, in `records/` and `rejects/` below it."""

    def __init__(self, store: Path) -> None:
        self.records_path = store / "records"
        self.rejects_path = store / "rejects"

    def require_intact(self) -> None:
        """See that the newest versions of records and rejects are as they were written.

        Raises:
            IntegrityError: A file is missing or damaged.
        """
        for path in (self.records_path, self.rejects_path):
            open_table(path)

    def version(self) -> int | None:
        """Return the newest version of the record table, or None when there is none."""
        table = open_table(self.records_path)
        return None if table is None else table.version()

    def table_id(self) -> str | None:
        """Return the id of the record table; one that is made again has another."""
        table = open_table(self.records_path)
        return None if table is None else str(table.metadata().id)

    def replace_records(self, source: str, tables: TableReader) -> RecordCounts:
        """Make the rows of one source those of some tables, in a single commit.

        Nothing is committed when nothing differs, so the version stands for the content.
        Memory holds the keys and digests of the source, and one table at a time.

        Args:
            source: Source whose rows these are.
            tables: Called with names of columns, or None for all, and returns tables with
                `record_schema`; ids are unique.

        Raises:
            TransientError: Another writer is at work.
        """
        # what differs is decided and committed as one
        with self._writing():
            open_table(self.records_path)  # nothing is removed beside a damaged log
            remove_uncommitted(self.records_path)
            stored = keys_of(self.scan([source], KEY_COLUMNS))
            changes = compare_keys(stored, keys_of(tables(KEY_COLUMNS)))
            if changes.n_rows:
                is_new = stored.num_rows == 0
                with _committing(self.records_path):
                    write_rows(self.records_path, source, tables(None), is_new=is_new)
                logger.info(
                    "records of %s: %d new, %d changed, %d removed",
                    source,
                    changes.n_new,
                    changes.n_changed,
                    len(changes.gone),
                )
            version = self.version()
        return RecordCounts(
            n_new=changes.n_new,
            n_changed=changes.n_changed,
            n_unchanged=len(changes.differs) - changes.n_new - changes.n_changed,
            n_removed=len(changes.gone),
            version=-1 if version is None else version,
        )

    def replace_rejects(self, source: str, stage: str, rejects: pa.Table) -> None:
        """Replace the rejected rows of one source and stage.

        Raises:
            TransientError: Another writer committed at the same moment.
        """
        with self._writing(), _committing(self.rejects_path):
            open_table(self.rejects_path)
            remove_uncommitted(self.rejects_path)
            open_complete(self.rejects_path, reject_schema())
            write_deltalake(
                address_of(self.rejects_path),
                rejects,
                mode="overwrite",
                predicate=f"source = '{source}' AND stage = '{stage}'",
            )

    def rejects(self) -> pa.Table:
        """Read all rejected rows."""
        stored = open_table(self.rejects_path)
        if stored is None:
            return reject_schema().empty_table()
        with damage_named(self.rejects_path):
            table = stored.to_pyarrow_table()
        return with_all_columns(table, schema=reject_schema())

    def read(
        self,
        sources: Sequence[str],
        columns: Sequence[str] | None = None,
        *,
        version: int | None = None,
    ) -> pa.Table:
        """Read the records of some sources, ordered by source and material id.

        The columns are those beside `source` and `material_id`, all by default; the version
        is the newest by default.

        Raises:
            InputError: No source is named, one of them has no record, or there is no such
                version.
        """
        wanted = None if columns is None else list(dict.fromkeys([*KEYS, *columns]))
        tables = list(self.scan(sources, wanted, version=version))
        found = {
            name for table in tables for name in pc.unique(table["source"]).to_pylist()
        }
        missing = [source for source in sources if source not in found]
        if missing or not tables:
            stored = sorted(self.source_counts())
            meant = "".join(did_you_mean(name, stored) for name in missing[:1])
            raise InputError(
                f"no records of source {', '.join(map(repr, missing)) or '(none named)'} "
                f"in {self.records_path}; ingest it first "
                f"(stored: {', '.join(stored) or 'nothing'}){meant}"
            )
        return pa.concat_tables(tables).sort_by([(key, "ascending") for key in KEYS])

    def scan(
        self,
        sources: Sequence[str],
        columns: Sequence[str] | None = None,
        *,
        version: int | None = None,
    ) -> Iterator[pa.Table]:
        """Stream the records of some sources as tables of bounded size.

        The metadata of each table hold the version that it was read from, `RECORD_VERSION`.
        Columns that came into use after the table was written are empty. Delta keeps no
        order of rows: equal commits come in another one each time. The table is opened at
        once, so a writer, inside which none can be opened, may take the stream.

        Raises:
            InputError: There is no such version.
            IntegrityError: The table is damaged.
        """
        stored = open_table(self.records_path, version)
        if stored is None:
            return iter(())
        dataset, read = stored.to_pyarrow_dataset(), str(stored.version())
        known = record_schema().names if columns is None else columns
        scanner = dataset.scanner(
            batch_size=SCAN_ROWS,
            batch_readahead=4,
            fragment_readahead=1,
            # otherwise whole row groups are held
            fragment_scan_options=ParquetFragmentScanOptions(
                use_buffered_stream=True, buffer_size=SCAN_BUFFER, pre_buffer=False
            ),
            columns=[name for name in known if name in dataset.schema.names],
            # typed, as an empty list alone would have the type null
            filter=pc.field("source").isin(pa.array(sources, pa.string())),
        )
        return (
            with_all_columns(
                pa.Table.from_batches([batch]), columns
            ).replace_schema_metadata({RECORD_VERSION: read})
            for batch in self._batches(scanner)
            if batch.num_rows
        )

    def _batches(self, scanner: Scanner) -> Iterator[pa.RecordBatch]:
        with damage_named(self.records_path):
            yield from scanner.to_batches()

    def source_counts(self) -> dict[str, int]:
        """Return the number of records of each stored source."""
        counts = pc.value_counts(self._column("source")).to_pylist()
        return {entry["values"]: entry["counts"] for entry in counts}

    def source_names(self) -> set[str]:
        """Return the names of the sources of which anything was kept or refused."""
        refused = pc.unique(self.rejects()["source"]).to_pylist()
        return {*self.source_counts(), *refused}

    def structure_digests(self) -> set[str]:
        """Return the structure digests of all records of all sources."""
        return set(pc.unique(self._column("structure_digest")).to_pylist())

    def _column(self, name: str) -> pa.ChunkedArray:
        table = open_table(self.records_path)
        if table is None:
            return record_schema().empty_table()[name]
        with damage_named(self.records_path):
            return table.to_pyarrow_dataset().to_table(columns=[name])[name]

    def _writing(self) -> AbstractContextManager[None]:
        return locked(self.records_path.with_name(".records.lock"), timeout=LOCK_SECONDS)


@contextmanager
def _committing(path: Path) -> Iterator[None]:
    """Commit inside, and list the checksums of the new files.

    A conflict of two writers, which a second try resolves, becomes a TransientError.
    """
    try:
        yield
        list_new_files(DeltaTable(address_of(path)), path)
    except CommitFailedError as error:
        reason = str(error).partition("\n")[0]
        raise TransientError(
            f"{path}: another writer committed at the same moment ({reason})"
        ) from error
