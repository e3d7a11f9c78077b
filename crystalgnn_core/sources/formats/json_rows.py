"""JSON files of pymatgen's `ComputedStructureEntry`, and ASE's JSON databases."""

from __future__ import annotations

import json
import re
from abc import abstractmethod
from collections.abc import Mapping
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from crystalgnn_core.errors import RecordError
from crystalgnn_core.sources.formats.archives import DamagedFileError, read_blocks
from crystalgnn_core.sources.formats.columns import ID_COLUMNS
from crystalgnn_core.sources.formats.json_stream.members import (
    Member,
    Outside,
    iter_members,
    outside_of,
    parse_member,
)
from crystalgnn_core.sources.formats.objects import crystal_from_any
from crystalgnn_core.sources.formats.parsing import (
    as_mapping,
    describe_cause,
    parsing,
    refuse,
)
from crystalgnn_core.sources.formats.row_file import (
    RowFile,
    cut,
    merge_if_packed,
    values_of_row,
)
from crystalgnn_core.sources.formats.structure_input import StructureInput

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from crystalgnn_core.records.crystal import Crystal

_ENTRY_CLASS = "ComputedStructureEntry"
_N_LOOKED_AT = 20  # members of a file that are looked at to find its kind


def open_json_rows(path: Path, name: str | None = None) -> RowFile | None:
    """Open a JSON file of entries or of ASE rows; None if its content is neither."""
    try:
        outside = outside_of(path)
    except DamagedFileError:
        return None
    if outside is None:
        return None
    for member in islice(iter_members(path, outside), _N_LOOKED_AT):
        try:
            key, value = parse_member(member, outside.shape)
        except (ValueError, RecursionError):
            continue
        if key == "@class":
            return EntryFile(path, name, None) if value == _ENTRY_CLASS else None
        if outside.shape == "object" and _is_ase_row(value):
            return AseJson(path, name, outside)
        if _is_entry(value):
            return EntryFile(path, name, outside)
    return None


class _JsonRows(RowFile):
    """Members of a JSON list or object that are rows.

    Args:
        path: The file.
        name: Identifier of its rows; None takes the name of the file.
        outside: List or object, or None if the whole file is one row.
    """

    _keys_are_ids = True  # of an object
    _row_text = re.compile(b"")  # with what a member begins that is a row

    def __init__(self, path: Path, name: str | None, outside: Outside | None) -> None:
        super().__init__(path, name)
        self._outside = outside

    def slices(self, size: int) -> list[dict[str, Any]]:
        """List ranges of rows with the byte at which the first begins."""
        members = self._members()
        parts = cut((("offset", member.offset) for member in members), size)
        return merge_if_packed(self.path, parts)

    def rows(
        self, part: Mapping[str, Any], id_key: str | None = None
    ) -> Iterator[StructureInput]:
        """Yield the rows of a range."""
        members = self._members(part["offset"])
        shape = "list" if self._outside is None else self._outside.shape
        for row, member in enumerate(islice(members, part["n_rows"]), part["row"] + 1):
            key: str | None = None
            values: dict[str, Any] = {}
            try:
                key, value = parse_member(member, shape)
                content, values = self._read(value)
            except (ValueError, RecursionError) as error:
                message = f"not valid JSON ({describe_cause(error)}); fix the file"
                content = partial(refuse, message)
            except RecordError as error:
                content = partial(refuse, str(error))
            if self._keys_are_ids and id_key is None and key is not None:
                name = key.strip()
            else:
                number = row if key is None else key
                name = self.id_of(part, values, number, id_key)
            yield StructureInput(name, f"{self.path.name} row {row}", content, values)

    def _members(self, offset: int | None = None) -> Iterator[Member]:
        if self._outside is None:
            return iter([Member(0, b"".join(read_blocks(self.path)))])
        members = iter_members(self.path, self._outside, offset)
        return (each for each in members if each.fault or self._row_text.match(each.text))

    @abstractmethod
    def _read(self, value: Any) -> tuple[Callable[[], Crystal], dict[str, Any]]:  # noqa: ANN401
        """Return a reader of the structure, and the values.

        Raises:
            RecordError: The row is unreadable.
        """


class EntryFile(_JsonRows):
    """Entries of pymatgen, one by one.

    Values are those of `data`, `entry_id`, `run_type`, `parameters`, and energies of the
    cell in eV: `uncorrected_energy`, `correction` and `corrected_energy`.
    """

    kind = "list of computed entries"
    id_keys = ("entry_id", *ID_COLUMNS)

    def _read(self, value: Any) -> tuple[Callable[[], Crystal], dict[str, Any]]:  # noqa: ANN401
        if not _is_entry(value):
            return partial(refuse, "not a ComputedStructureEntry (structure, energy)"), {}
        structure = value["structure"]
        if not isinstance(structure, Mapping):
            given = f"structure is {str(structure)[:40]!r}, expected that of pymatgen"
            return partial(refuse, given), _values_of(value)
        return partial(crystal_from_any, structure), _values_of(value)


class AseJson(_JsonRows):
    """ASE's JSON database: an object of rows by number, and some keys that are none.

    Values are as in an SQLite database of ASE.
    """

    kind = "ASE database"
    _keys_are_ids = False
    _row_text = re.compile(rb'\s*"\d+"\s*:')  # other keys count the rows

    def _read(self, value: Any) -> tuple[Callable[[], Crystal], dict[str, Any]]:  # noqa: ANN401
        from ase.db.row import AtomsRow
        from ase.io import jsonio

        make: Any = AtomsRow  # neither is typed
        decode: Any = jsonio.decode
        with parsing("a readable row of an ASE database"):
            row = make(decode(json.dumps(value)))  # its arrays are objects in JSON
            return partial(crystal_from_any, row.toatoms()), values_of_row(row)


def _is_entry(value: object) -> bool:
    return isinstance(value, Mapping) and {"structure", "energy"} <= value.keys()


def _is_ase_row(value: object) -> bool:
    return isinstance(value, Mapping) and {"numbers", "positions"} <= value.keys()


def _values_of(entry: Mapping[str, Any]) -> dict[str, Any]:
    parameters = as_mapping(entry.get("parameters"))
    energy, correction = entry["energy"], entry.get("correction")
    own = {
        "entry_id": entry.get("entry_id"),
        "parameters": parameters,
        "data": as_mapping(entry.get("data")),
        "run_type": parameters.get("run_type"),
        "uncorrected_energy": energy,
        "correction": correction,
        "corrected_energy": _sum_of(energy, correction),
    }
    return {**own["data"], **own}


def _sum_of(energy: object, correction: object) -> float | None:
    if not (isinstance(energy, int | float) and isinstance(correction, int | float)):
        return None
    try:
        return energy + correction
    except OverflowError:  # an integer of hundreds of digits, which is no energy
        return None
