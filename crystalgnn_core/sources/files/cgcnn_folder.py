"""Folders of CGCNN and ALIGNN: files, and a table `id_prop.csv` whose lines name them."""

from __future__ import annotations

from bisect import bisect_left
from itertools import takewhile
from typing import TYPE_CHECKING

from crystalgnn_core.sources.formats.columns import ID_COLUMNS, named_columns, read_id
from crystalgnn_core.sources.formats.folders import find_files
from crystalgnn_core.sources.formats.tables import LABEL_TABLE, CsvTable, Table, open_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from crystalgnn_core.sources.formats.columns import TableColumns, TargetColumn

_SLICE = 10_000  # rows that are read at a time


def label_table_of(folder: Path) -> Path | None:
    """Return CGCNN's table of labels, if a folder holds one."""
    table = folder / LABEL_TABLE
    return table if table.is_file() else None


def open_labels(
    path: Path, columns: TableColumns, targets: Mapping[str, TargetColumn]
) -> Table:
    """Open a table of labels; `id_prop.csv` has no names of columns, unless it has.

    Raises:
        SourceError: The file is of another kind, empty or damaged.
    """
    table = open_table(path)
    if path.name.lower() != LABEL_TABLE or not isinstance(table, CsvTable):
        return table
    asked = [target.column for target in targets.values()]
    names = {name for name in (columns.material_id, *asked) if name and not name.isdigit()}
    usual = named_columns(table.columns[:1], ID_COLUMNS, is_usual=True)
    is_named = bool(usual) or not names.isdisjoint(table.columns)
    return table if is_named else CsvTable(path, has_names=False)


def ids_in(table: Table, column: str) -> list[str]:
    """List the ids of a table of labels, each once, in order."""
    rows = (row for part in table.slices(_SLICE) for row in table.rows(part, [column]))
    ids = dict.fromkeys(read_id(row.get(column)) for row in rows)
    return [name for name in ids if name]


def files_of_lines(ids: Sequence[str], names: Sequence[str]) -> dict[str, list[str]]:
    """Find the file that each line of `id_prop.csv` names.

    CGCNN writes `9` for `9.cif`, ALIGNN the whole name of a file of any kind.

    Args:
        ids: First fields of the lines.
        names: Files of the folder, relative to it.

    Returns:
        Id to file; to several if the id is what all of them begin with.
    """
    known, in_order = set(names), sorted(names)
    found: dict[str, list[str]] = {}
    for name in ids:
        whole = name.removeprefix("./")
        exact = [file for file in (whole, f"{whole}.cif") if file in known]
        start = bisect_left(in_order, f"{whole}.")
        others = takewhile(lambda file: file.startswith(f"{whole}."), in_order[start:])  # noqa: B023  used at once
        found[name] = exact[:1] or list(others)
    return found


def names_in(folder: Path) -> list[str]:
    """List the files of a folder, relative to it, whatever their kind."""
    files = (path.relative_to(folder).as_posix() for path in find_files(folder, ["*"]))
    return [name for name in files if name.lower() != LABEL_TABLE]
