"""What changed in the rows of a source between two versions of the record table."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from crystalgnn_core.errors import InputError
from crystalgnn_core.records.schema import record_schema
from crystalgnn_core.records.table.upsert import KEY_COLUMNS, compare_keys, keys_of
from crystalgnn_core.targets import TARGETS, scheme_column

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crystalgnn_core.records.table.store import RecordStore

# what the content digest of a row says
CONTENT_COLUMNS = (
    *(column for name in TARGETS for column in (name, scheme_column(name))),
    "split",
    "run_type",
    "license",
    "structure_digest",
)
ROW_COLUMNS = ("material_id", "formula", "n_sites", *CONTENT_COLUMNS)


class RowChanges(NamedTuple):
    """The rows of a source that two versions of the table do not share.

    Attributes:
        new: Rows whose id the earlier version lacks, `ROW_COLUMNS`, sorted by id.
        before: Rows of the earlier version whose content differs in the later one.
        after: The same rows in the later version, id by id.
        removed: Ids that the later version lacks, sorted.
        n_same: Rows that are in both versions alike.
    """

    new: pa.Table
    before: pa.Table
    after: pa.Table
    removed: pa.Array
    n_same: int

    @property
    def n_touched(self) -> int:
        """Rows that are new, changed or removed."""
        return self.new.num_rows + self.after.num_rows + len(self.removed)


def compare_versions(
    records: RecordStore, source: str, first: int, last: int | None = None
) -> RowChanges:
    """Compare the rows of a source in two versions of the record table.

    Memory holds the ids and digests of all rows, and the labels of those that differ. The
    later version, `last`, is the newest by default.

    Raises:
        InputError: There is no such version.
    """
    then = keys_of(records.scan([source], KEY_COLUMNS, version=first))
    now = keys_of(records.scan([source], KEY_COLUMNS, version=last))
    changes = compare_keys(then, now)
    differing = now["material_id"].filter(pa.array(changes.differs))
    is_common = pc.is_in(differing, value_set=then["material_id"])
    changed = differing.filter(is_common).combine_chunks()
    new = differing.filter(pc.invert(is_common)).combine_chunks()
    return RowChanges(
        new=_rows(records, source, new, last),
        before=_rows(records, source, changed, first),
        after=_rows(records, source, changed, last),
        removed=changes.gone.combine_chunks().sort(),
        n_same=len(changes.differs) - len(differing),
    )


def changes_since(
    records: RecordStore, source: str, version: int, until: int | None = None
) -> pa.Table:
    """List the rows of a source that changed since a version, until the newest by default.

    Returns:
        Columns `material_id`, `change` (`new`, `changed` or `removed`) and `columns`, the
        names of what differs in a changed row (`CONTENT_COLUMNS`), sorted by id.

    Raises:
        InputError: There is no such version, or it is later than `until`.
    """
    newest = records.version() if until is None else until
    if newest is None or not 0 <= version <= newest:
        raise InputError(
            f"version {version} is not before the newest, {newest}; give one from 0 on"
            if newest is not None
            else f"there is no record table in {records.records_path.parent}; ingest first"
        )
    rows = compare_versions(records, source, version, until)
    parts = [
        _listed(rows.new["material_id"], "new", [[]] * rows.new.num_rows),
        _listed(rows.after["material_id"], "changed", _differing_columns(rows)),
        _listed(rows.removed, "removed", [[]] * len(rows.removed)),
    ]
    return pa.concat_tables(parts).sort_by("material_id")


def _rows(
    records: RecordStore, source: str, ids: pa.Array, version: int | None
) -> pa.Table:
    """Read the rows with some ids, sorted by id."""
    fields = [record_schema().field(name) for name in ROW_COLUMNS]
    found = [pa.schema(fields).empty_table()]
    if len(ids):
        found += [
            table.filter(pc.is_in(table["material_id"], value_set=ids))
            for table in records.scan([source], ROW_COLUMNS, version=version)
        ]
    tables = [table.replace_schema_metadata(None) for table in found]
    return pa.concat_tables(tables, promote_options="permissive").sort_by("material_id")


def _differing_columns(rows: RowChanges) -> list[list[str]]:
    named: list[list[str]] = [[] for _ in range(rows.after.num_rows)]
    for name in CONTENT_COLUMNS:
        for place in pc.indices_nonzero(differs(rows, name)).to_pylist():
            named[place].append(name)
    return named


def differs(rows: RowChanges, column: str) -> pa.Array:
    """Return which changed rows differ in a column; two missing values are equal."""
    before, after = rows.before[column], rows.after[column]
    is_one_missing = pc.xor(pc.is_null(before), pc.is_null(after))
    is_other = pc.fill_null(pc.not_equal(before, after), False)
    result = pc.or_(is_one_missing, is_other)
    return result.combine_chunks() if isinstance(result, pa.ChunkedArray) else result


def _listed(
    ids: pa.Array | pa.ChunkedArray, change: str, columns: Sequence[list[str]]
) -> pa.Table:
    return pa.table(
        {
            "material_id": ids,
            "change": pa.repeat(change, len(ids)),
            "columns": pa.array(columns, pa.list_(pa.string())),
        }
    )
