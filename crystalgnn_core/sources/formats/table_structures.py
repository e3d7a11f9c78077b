"""Structures of a table, without labels: one record a row, whatever a row holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crystalgnn_core.errors import SourceError
from crystalgnn_core.sources.base import BATCH_SIZE, in_chunks
from crystalgnn_core.sources.formats.columns import (
    ID_COLUMNS,
    STRUCTURE_COLUMNS,
    named_columns,
    pick_column,
    read_id,
    structure_content,
)
from crystalgnn_core.sources.formats.structure_input import StructureInput, read_structures
from crystalgnn_core.sources.formats.tables import FAULT, open_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from crystalgnn_core.records.schema import RawRecord
    from crystalgnn_core.sources.formats.tables import Table


def table_inputs(
    table: Table, part: Mapping[str, Any], columns: Mapping[str, str]
) -> Iterator[StructureInput]:
    """Yield the structures of a range of rows, with the values of their other columns.

    Args:
        table: The table.
        part: One of its `slices`.
        columns: Field name, `structure` among them, to column; without `material_id` the
            rows are numbered from 1.
    """
    rows = table.rows(part, list(dict.fromkeys(columns.values())))
    for number, row in enumerate(rows, start=part["row"] + 1):
        values = {name: row.get(column) for name, column in columns.items()}
        fault = row.get(FAULT)
        material_id = read_id(values.get("material_id", number))
        if "\ufffd" in material_id:
            fault = "the id is no UTF-8 text; save the table in UTF-8"
        content = structure_content(
            values["structure"],
            columns["structure"],
            fault=None if fault is None else str(fault),
        )
        yield StructureInput(
            material_id, f"{table.path.name} row {number}", content, values
        )


def read_table(path: Path) -> Iterator[RawRecord]:
    """Yield a record for every row of a Parquet or CSV table.

    The structure stands in one of `STRUCTURE_COLUMNS`, the identifier in `material_id`,
    `id` or another of `ID_COLUMNS`, else in the index of pandas; in a table without one, or
    whose index merely counts the rows, they are numbered from 1.

    Raises:
        SourceError: The table cannot be read, or has no rows.
        ConfigError: It has no column of structures.
    """
    table = open_table(path)
    columns = {"structure": pick_column(table, None, STRUCTURE_COLUMNS)}
    if named_columns(table.columns, ID_COLUMNS, is_usual=True):
        columns["material_id"] = pick_column(table, None, ID_COLUMNS)
    parts = table.slices(BATCH_SIZE)
    if not parts:
        raise SourceError(f"{path}: the table holds no rows; expected at least one")
    for name in table.index if len(columns) == 1 else ():
        names = (read_id(row.get(name)) for row in table.rows(parts[0], [name]))
        if name != columns["structure"] and are_ids(list(names)):
            columns["material_id"] = name
            break
    inputs = (given for part in parts for given in table_inputs(table, part, columns))
    for chunk in in_chunks(inputs, BATCH_SIZE):
        yield from read_structures(chunk)


def are_ids(names: Sequence[str]) -> bool:
    """Return whether an index names rows, and does not count them from 0 or 1."""
    is_count = any(
        all(name in {"", str(number)} for number, name in enumerate(names, start))
        for start in (0, 1)
    )
    given = [name for name in names if name]
    return not is_count and len({*given}) == len(given)
