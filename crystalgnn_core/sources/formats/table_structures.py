"""Structures of a table, without labels: one record a row, whatever a row holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crystalgnn_core.errors import SourceError
from crystalgnn_core.sources.base import BATCH_SIZE, in_chunks
from crystalgnn_core.sources.formats.columns import (
    ID_COLUMNS,
    STRUCTURE_COLUMNS,
    pick_column,
    read_id,
    structure_content,
)
from crystalgnn_core.sources.formats.pieces import Piece, read_pieces
from crystalgnn_core.sources.formats.tables import open_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from crystalgnn_core.records.schema import RawRecord
    from crystalgnn_core.sources.formats.tables import Table


def table_pieces(
    table: Table, part: Mapping[str, Any], columns: Mapping[str, str]
) -> Iterator[Piece]:
    """Yield the structures of a range of rows, with the values of their other columns.

    Args:
        table: The table.
        part: One of its `slices`.
        columns: Field name, `material_id` and `structure` among them, to column.
    """
    rows = table.rows(part, list(dict.fromkeys(columns.values())))
    for number, row in enumerate(rows, start=part["row"] + 1):
        values = {name: row.get(column) for name, column in columns.items()}
        content = structure_content(
            values["structure"], columns["structure"], is_ragged=not row
        )
        where = f"{table.path.name} row {number}"
        yield Piece(read_id(values["material_id"]), where, content, values)


def read_table(path: Path) -> Iterator[RawRecord]:
    """Yield a record for every row of a Parquet or CSV table.

    The structure stands in a column `cif` or `structure`, the identifier in `material_id`,
    `candidate_id` or `id`; in a table without one, rows are numbered from 1.

    Raises:
        SourceError: The table cannot be read, or has no rows.
        ConfigError: It has no column of structures.
    """
    table = open_table(path)
    structures = pick_column(table, None, STRUCTURE_COLUMNS)
    ids = next((name for name in ID_COLUMNS if name in table.columns), None)
    columns = [structures] if ids is None else [ids, structures]
    parts = table.slices(BATCH_SIZE)
    if not parts:
        raise SourceError(f"{path}: the table holds no rows; expected at least one")
    rows = (row for part in parts for row in table.rows(part, columns))
    for chunk in in_chunks(enumerate(rows, start=1), BATCH_SIZE):
        yield from read_pieces(
            [
                Piece(
                    str(number) if ids is None else read_id(row.get(ids)),
                    f"{path.name} row {number}",
                    structure_content(row.get(structures), structures, is_ragged=not row),
                )
                for number, row in chunk
            ]
        )
