"""ASE databases in SQLite files: rows with key-value pairs and data."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any

from crystalgnn_core.errors import RecordError, SourceError
from crystalgnn_core.sources.formats.objects import crystal_from_any
from crystalgnn_core.sources.formats.parsing import read_row, refuse
from crystalgnn_core.sources.formats.row_file import RowFile, cut, values_of_row
from crystalgnn_core.sources.formats.structure_input import StructureInput

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from crystalgnn_core.records.crystal import Crystal


class AseDatabase(RowFile):
    """An ASE database, read by ranges of row ids.

    Values are the key-value pairs, then data, then results such as the energy.
    """

    kind = "ASE database"

    def slices(self, size: int) -> list[dict[str, Any]]:
        """List ranges of rows with their ids."""
        return cut((("first_id", number) for number in self._ids()), size)

    def rows(
        self, part: Mapping[str, Any], id_key: str | None = None
    ) -> Iterator[StructureInput]:
        """Yield the rows of a range."""
        import ase.db

        # the client would write its tables into another kind of SQLite file
        ids = self._ids(part["first_id"], part["n_rows"])
        connect: Any = ase.db.connect  # not typed
        with connect(str(self.path), type="db") as database:
            for number in ids:
                content, values = _content_of(database, number)
                name = self.id_of(part, values, number, id_key)
                where = f"{self.path.name} row {number}"
                yield StructureInput(name, where, content, values)

    def _ids(self, first: int = 0, n_rows: int = -1) -> list[int]:
        """Return ids of rows in order; a negative number of rows is no limit."""
        query = "SELECT id FROM systems WHERE id >= ? ORDER BY id LIMIT ?"
        address = f"{self.path.resolve().as_uri()}?mode=ro"
        try:
            with closing(sqlite3.connect(address, uri=True)) as connection:
                found = connection.execute(query, (first, n_rows)).fetchall()
        except sqlite3.Error as error:
            raise SourceError(
                f"{self.path}: not a readable ASE database ({error})"
            ) from error
        return [number for (number,) in found]


def _content_of(
    database: Any,  # noqa: ANN401  ASE's are not typed
    number: int,
) -> tuple[Callable[[], Crystal], dict[str, Any]]:
    """Return a reader of the structure of a row, and its values."""

    def read() -> tuple[Callable[[], Crystal], dict[str, Any]]:
        row = database.get(id=number)
        return partial(crystal_from_any, row.toatoms()), values_of_row(row)

    found = read_row(read, "a readable row of an ASE database")
    return (partial(refuse, found), {}) if isinstance(found, RecordError) else found
