"""Files of many structures with values beside them: frames, databases, lists of entries."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from crystalgnn_core.errors import SourceError
from crystalgnn_core.sources.formats.columns import ID_COLUMNS, read_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from crystalgnn_core.sources.formats.pieces import Piece

XYZ_SUFFIXES = (".extxyz", ".xyz")
ASE_SUFFIX = ".db"
JSON_SUFFIXES = (".json", ".json.gz")
_SLICE = 10_000  # rows whose places are noted at a time


class RowFile(ABC):
    """A file of structures with values beside them, read by ranges of rows.

    Attributes:
        kind: What it is, for messages.
        id_keys: Values that may hold the identifier; the first that is there counts.
        path: The file.
        name: Identifier of its only row, or what stands before the numbers of several.
    """

    kind: ClassVar[str]
    id_keys: ClassVar[tuple[str, ...]] = ID_COLUMNS

    def __init__(self, path: Path, name: str | None = None) -> None:
        self.path = path
        self.name = name or path.name.partition(".")[0] or path.name

    @abstractmethod
    def slices(self, size: int) -> list[dict[str, Any]]:
        """List ranges of `size` rows.

        Returns:
            For each `row`, the first from 0, `n_rows`, the number of rows in all, `n_all`,
            and what finds the first again.

        Raises:
            SourceError: The file is not what its name says.
        """

    @abstractmethod
    def rows(self, piece: Mapping[str, Any], id_key: str | None = None) -> Iterator[Piece]:
        """Yield every row of a range, unreadable ones included.

        Args:
            piece: One of `slices`.
            id_key: Value that holds the identifier; None takes the first of `id_keys` that
                is there, else the name of the file and, of several rows, their number.
        """

    def pieces(self) -> Iterator[Piece]:
        """Yield every row of the file."""
        for piece in self.slices(_SLICE):
            yield from self.rows(piece)

    def id_of(
        self,
        piece: Mapping[str, Any],
        values: Mapping[str, Any],
        number: int | str,
        id_key: str | None,
    ) -> str:
        """Return the identifier of a row, empty if a chosen value is missing.

        Args:
            piece: The range in which the row stands.
            values: What stands beside the structure.
            number: Number of the row.
            id_key: Value that was chosen.
        """
        if id_key is not None:
            return read_id(values.get(id_key))
        for key in self.id_keys:
            if found := read_id(values.get(key)):
                return found
        return self.name if piece["n_all"] == 1 else f"{self.name}-{number}"


def cut(places: Iterable[tuple[str, int | None]], size: int) -> list[dict[str, Any]]:
    """Cut rows into ranges as `RowFile.slices` returns them.

    Args:
        places: Name and number by which each row is found again, in order.
        size: Rows of a range.
    """
    pieces: list[dict[str, Any]] = []
    n_all = 0
    for row, (name, number) in enumerate(places):
        if row % size == 0:
            pieces.append({"row": row, "n_rows": 0, name: number})
        pieces[-1]["n_rows"] += 1
        n_all += 1
    return [{**piece, "n_all": n_all} for piece in pieces]


def open_row_file(path: Path, name: str | None = None) -> RowFile | None:
    """Open a file of structures with values, told by its suffix, JSON by its content.

    Args:
        path: The file.
        name: Identifier of its rows, see `RowFile`; None takes the name of the file.

    Returns:
        The file, or None if it is of another kind, such as JSON of a bare structure.

    Raises:
        SourceError: An SQLite file is no ASE database.
    """
    lowered = path.name.lower()
    if lowered.endswith(XYZ_SUFFIXES):
        from crystalgnn_core.sources.formats.extxyz import XyzFile

        return XyzFile(path, name)
    if lowered.endswith(ASE_SUFFIX):
        from crystalgnn_core.sources.formats.ase_db import AseDatabase

        return AseDatabase(path, name)
    if lowered.endswith(JSON_SUFFIXES):
        from crystalgnn_core.sources.formats.json_rows import open_json_rows

        return open_json_rows(path, name)
    return None


def may_hold_values(path: Path) -> bool:
    """Tell whether a file is of a kind that holds values beside structures."""
    try:
        return open_row_file(path) is not None
    except SourceError:
        return False
