"""The base of files of many structures with values beside them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from crystalgnn_core.errors import printable
from crystalgnn_core.sources.formats.columns import ID_COLUMNS, read_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from crystalgnn_core.sources.formats.structure_input import StructureInput

_SLICE = 10_000  # rows whose places are noted at a time


class RowFile(ABC):
    """A file of structures with values beside them, read by ranges of rows.

    Attributes:
        kind: What it is, for messages.
        id_keys: Values that may hold the identifier; the first that is there counts.
        path: The file.
        name: Identifier of its only row, or what stands before the numbers of several.
        structure_key: Value that holds the structure where there is a choice, set before
            rows are read; None takes a usual one.
    """

    kind: ClassVar[str]
    id_keys: ClassVar[tuple[str, ...]] = ID_COLUMNS

    def __init__(self, path: Path, name: str | None = None) -> None:
        self.path = path
        self.structure_key: str | None = None
        self.name = name or printable(path.name.partition(".")[0] or path.name)

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
    def rows(
        self, part: Mapping[str, Any], id_key: str | None = None
    ) -> Iterator[StructureInput]:
        """Yield every row of a range, unreadable ones included.

        Args:
            part: One of `slices`.
            id_key: Value that holds the identifier; None takes the first of `id_keys` that
                is there, else the name of the file and, of several rows, their number.
        """

    def inputs(self) -> Iterator[StructureInput]:
        """Yield every row of the file."""
        for part in self.slices(_SLICE):
            yield from self.rows(part)

    def id_of(
        self,
        part: Mapping[str, Any],
        values: Mapping[str, Any],
        number: int | str,
        id_key: str | None,
    ) -> str:
        """Return the identifier of a row, empty if the chosen value is missing."""
        if id_key is not None:
            return read_id(values.get(id_key))
        for key in self.id_keys:
            if found := read_id(values.get(key)):
                return found
        return self.name if part["n_all"] == 1 else f"{self.name}-{number}"


def cut(places: Iterable[tuple[str, int | None]], size: int) -> list[dict[str, Any]]:
    """Cut rows into ranges as `RowFile.slices` returns them.

    Args:
        places: Name and number by which each row is found again, in order.
        size: Rows of a range.
    """
    parts: list[dict[str, Any]] = []
    n_all = 0
    for row, (name, number) in enumerate(places):
        if row % size == 0:
            parts.append({"row": row, "n_rows": 0, name: number})
        parts[-1]["n_rows"] += 1
        n_all += 1
    return [{**part, "n_all": n_all} for part in parts]


def values_of_row(row: Any) -> dict[str, Any]:  # noqa: ANN401  ASE's are not typed
    """Return what stands beside the structure of a row: results, data, key-value pairs."""
    results = {name: row.get(name) for name in ("energy", "free_energy", "magmom")}
    data = row.data if isinstance(row.data, dict) else {}
    known = {name: value for name, value in results.items() if value is not None}
    return known | data | row.key_value_pairs
