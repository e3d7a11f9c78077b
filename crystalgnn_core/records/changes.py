"""How the rows of a source differ from those of the record table, and writing just that."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable, Schema, WriterProperties, write_deltalake

from crystalgnn_core.records.schema import record_schema

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

logger = logging.getLogger(__name__)
TableReader = Callable[[Sequence[str] | None], Iterable[pa.Table]]
KEY_COLUMNS = ("material_id", "content_digest")
REMOVED = "is_removed"  # only in the rows of a merge
# rows that are read and written at once; the default, a million, is held in memory
WRITING = WriterProperties(max_row_group_size=20_000)
MAX_MERGED = 100_000  # rows; more are written faster, and in less memory, than merged


class Changes(NamedTuple):
    """How the rows of a source differ from those stored.

    Attributes:
        differs: Whether each row of the source is new or changed, shape (n_rows,).
        n_new: Rows whose id is not stored.
        n_changed: Rows whose content differs.
        gone: Ids of stored rows that the source no longer has.
    """

    differs: NDArray[np.bool_]
    n_new: int
    n_changed: int
    gone: pa.ChunkedArray

    @property
    def n_rows(self) -> int:
        """Rows that are to be written or removed."""
        return self.n_new + self.n_changed + len(self.gone)


def compare_keys(stored: pa.Table, given: pa.Table) -> Changes:
    """Compare rows by id and content digest.

    Args:
        stored: Columns `KEY_COLUMNS` of the stored rows of a source.
        given: The same of what the rows shall be.
    """
    place = pc.index_in(given["material_id"], value_set=stored["material_id"])
    before = stored["content_digest"].combine_chunks().take(place.combine_chunks())
    is_new = _as_numpy(pc.is_null(place))
    is_same = _as_numpy(
        pc.fill_null(pc.equal(before, given["content_digest"].combine_chunks()), False)
    )
    is_there = pc.is_in(stored["material_id"], value_set=given["material_id"])
    return Changes(
        differs=~is_same,
        n_new=int(is_new.sum()),
        n_changed=int((~is_same & ~is_new).sum()),
        gone=stored["material_id"].filter(pc.invert(is_there)),
    )


class RecordWriter:
    """Writes the changes of one source into the record table, in one commit.

    Args:
        path: Folder of the Delta table; it is made if it is not there.
        source: Name of the source.
    """

    def __init__(self, path: Path, source: str) -> None:
        self.path = path
        self.source = source

    def write(self, changes: Changes, tables: TableReader, *, has_rows: bool) -> None:
        """Append, merge or write anew, whichever the changes need.

        Args:
            changes: What differs.
            tables: Reads the rows of the source.
            has_rows: Whether the table holds rows of the source.
        """
        open_complete(self.path, record_schema())
        if not has_rows:
            write_deltalake(
                self.path, _reader(tables(None)), mode="append", writer_properties=WRITING
            )
        elif changes.n_rows <= MAX_MERGED:
            self._merge(_differing(tables(None), changes.differs), changes.gone)
        else:
            write_deltalake(
                self.path,
                _reader(tables(None)),
                mode="overwrite",
                predicate=f"source = '{self.source}'",
                writer_properties=WRITING,
            )
        logger.info(
            "records of %s: %d new, %d changed, %d removed",
            self.source,
            changes.n_new,
            changes.n_changed,
            len(changes.gone),
        )

    def _merge(self, rows: Iterator[pa.Table], gone: pa.ChunkedArray) -> None:
        removed = pa.table(
            {
                "source": pa.array([self.source] * len(gone), pa.string()),
                "material_id": gone,
                REMOVED: pa.repeat(True, len(gone)),
            }
        )
        marked = [
            table.append_column(REMOVED, pa.repeat(False, table.num_rows)) for table in rows
        ]
        fresh = pa.concat_tables([*marked, removed], promote_options="default")
        # a removed row has nothing beside its key
        schema = record_schema().append(pa.field(REMOVED, pa.bool_()))
        columns = {
            field.name: fresh[field.name]
            if field.name in fresh.column_names
            else pa.nulls(len(fresh), field.type)
            for field in schema
        }
        fresh = pa.table(
            columns, schema=pa.schema([field.with_nullable(True) for field in schema])
        )
        keys = ("source", "material_id")
        (
            DeltaTable(self.path)
            .merge(
                fresh,
                predicate=" AND ".join(f"stored.{key} = fresh.{key}" for key in keys),
                source_alias="fresh",
                target_alias="stored",
                writer_properties=WRITING,
            )
            .when_matched_delete(f"fresh.{REMOVED}")
            .when_matched_update_all(except_cols=[REMOVED])
            .when_not_matched_insert_all(
                predicate=f"NOT fresh.{REMOVED}", except_cols=[REMOVED]
            )
            .execute()
        )


def open_complete(path: Path, schema: pa.Schema) -> DeltaTable:
    """Open a Delta table with all columns of a schema.

    It is made if it is not there; columns that came into use later are added, empty.
    """
    stored = DeltaTable.create(path, schema, mode="ignore")
    present = {field.name for field in stored.schema().fields}
    wanted = Schema.from_arrow(schema).fields
    missing = [field for field in wanted if field.name not in present]
    if missing:
        stored.alter.add_columns(missing)
        names = ", ".join(field.name for field in missing)
        logger.info("%s: columns added: %s", path, names)
    return stored


def _differing(
    tables: Iterable[pa.Table], differs: NDArray[np.bool_]
) -> Iterator[pa.Table]:
    first = 0
    for table in tables:
        chosen = differs[first : first + table.num_rows]
        first += table.num_rows
        if chosen.any():
            yield table.filter(pa.array(chosen))


def _reader(tables: Iterable[pa.Table]) -> pa.RecordBatchReader:
    batches = (batch for table in tables for batch in table.to_batches())
    return pa.RecordBatchReader.from_batches(record_schema(), batches)


def _as_numpy(mask: pa.Array | pa.ChunkedArray) -> NDArray[np.bool_]:
    return np.asarray(mask.to_numpy(zero_copy_only=False), dtype=bool)
