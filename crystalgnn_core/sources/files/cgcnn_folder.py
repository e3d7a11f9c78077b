"""Folders as CGCNN reads them: `<id>.cif` files and a table `id_prop.csv` without names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crystalgnn_core.sources.formats.columns import ID_COLUMNS, read_id
from crystalgnn_core.sources.formats.tables import CsvTable, Table, open_table

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

LABEL_TABLE = "id_prop.csv"
_SLICE = 10_000  # rows that are read at a time


def label_table_of(folder: Path) -> Path | None:
    """Return CGCNN's table of labels, if a folder holds one."""
    table = folder / LABEL_TABLE
    return table if table.is_file() else None


def open_labels(path: Path, id_column: str | None = None) -> Table:
    """Open a table of labels; `id_prop.csv` has no names of columns, unless it has.

    Raises:
        SourceError: The file is of another kind, empty or damaged.
    """
    table = open_table(path)
    if path.name.lower() != LABEL_TABLE or not isinstance(table, CsvTable):
        return table
    is_named = table.columns[0] in {*ID_COLUMNS, id_column} - {None, "0"}
    return table if is_named else CsvTable(path, has_names=False)


def ids_without_file(table: Table, found: Iterable[str]) -> list[str]:
    """List the ids of a table without names that have no structure, each once, in order."""
    ids = table.columns[0]
    rows = (row for part in table.slices(_SLICE) for row in table.rows(part, [ids]))
    known = {"", *found}
    return [name for name in dict.fromkeys(map(_first, rows)) if name not in known]


def _first(row: dict[str, object]) -> str:
    return read_id(next(iter(row.values()), ""))
