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
from crystalgnn_core.sources.formats.archives import read_blocks
from crystalgnn_core.sources.formats.ase_db import values_of_row
from crystalgnn_core.sources.formats.columns import ID_COLUMNS
from crystalgnn_core.sources.formats.json_stream.members import (
    Member,
    Outside,
    Shape,
    iter_members,
    outside_of,
    parse_member,
)
from crystalgnn_core.sources.formats.objects import crystal_from_any
from crystalgnn_core.sources.formats.parsing import describe_cause, parsing
from crystalgnn_core.sources.formats.pieces import Piece, refuse
from crystalgnn_core.sources.formats.row_files import RowFile, cut

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from crystalgnn_core.records.crystal import Crystal

_ENTRY_CLASS = "ComputedStructureEntry"
_MAX_SLICES = 16  # of an archive, which is unpacked from its beginning for each
_ROW_KEY = re.compile(rb'\s*"\d+"\s*:')  # of ASE; other keys count the rows
_N_LOOKED_AT = 20  # members of a file that are looked at to tell what it is


def open_json_rows(path: Path, name: str | None = None) -> RowFile | None:
    """Open a JSON file of entries or of ASE rows; None if its content is neither."""
    outside = outside_of(path)
    if outside is None:
        return None
    for member in islice(iter_members(path, *outside), _N_LOOKED_AT):
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

    def __init__(self, path: Path, name: str | None, outside: Outside | None) -> None:
        super().__init__(path, name)
        self._outside = outside

    def slices(self, size: int) -> list[dict[str, Any]]:
        """List ranges of rows with the byte at which the first begins."""
        offset = 0 if self._outside is None else self._outside.offset
        members = filter(self._is_row, self._members(offset))
        pieces = cut((("offset", member.offset) for member in members), size)
        if self.path.suffix.lower() == ".gz" and len(pieces) > _MAX_SLICES:
            return _merged(pieces, -(-len(pieces) // _MAX_SLICES))
        return pieces

    def rows(self, piece: Mapping[str, Any], id_key: str | None = None) -> Iterator[Piece]:
        """Yield the rows of a range."""
        members = filter(self._is_row, self._members(piece["offset"]))
        shape: Shape = "list" if self._outside is None else self._outside.shape
        for row, member in enumerate(islice(members, piece["n_rows"]), piece["row"] + 1):
            key: str | None = None
            values: dict[str, Any] = {}
            try:
                key, value = parse_member(member, shape)
                content, values = self._read(value)
            except (ValueError, RecursionError) as error:
                message = f"not valid JSON ({describe_cause(error)}); mend the file"
                content = partial(refuse, message)
            except RecordError as error:
                content = partial(refuse, str(error))
            if self._keys_are_ids and id_key is None and key is not None:
                name = key.strip()
            else:
                number = row if key is None else key
                name = self.id_of(piece, values, number, id_key)
            yield Piece(name, f"{self.path.name} row {row}", content, values)

    def _members(self, offset: int) -> Iterator[Member]:
        if self._outside is None:
            return iter([Member(0, b"".join(read_blocks(self.path)))])
        return iter_members(self.path, self._outside.shape, offset)

    def _is_row(self, member: Member) -> bool:
        del member
        return True

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

    def _is_row(self, member: Member) -> bool:
        return member.fault is not None or _ROW_KEY.match(member.text) is not None

    def _read(self, value: Any) -> tuple[Callable[[], Crystal], dict[str, Any]]:  # noqa: ANN401
        from ase.db.row import AtomsRow
        from ase.io import jsonio

        make: Any = AtomsRow  # neither is typed
        decode: Any = jsonio.decode
        with parsing("a readable row of an ASE database"):
            row = make(decode(json.dumps(value)))  # its arrays are objects in JSON
            return partial(crystal_from_any, row.toatoms()), values_of_row(row)


def _merged(pieces: Sequence[dict[str, Any]], n_each: int) -> list[dict[str, Any]]:
    """Join ranges of rows, some at a time."""
    starts = range(0, len(pieces), n_each)
    return [
        pieces[at] | {"n_rows": sum(piece["n_rows"] for piece in pieces[at : at + n_each])}
        for at in starts
    ]


def _is_entry(value: object) -> bool:
    return isinstance(value, Mapping) and {"structure", "energy"} <= value.keys()


def _is_ase_row(value: object) -> bool:
    return isinstance(value, Mapping) and {"numbers", "positions"} <= value.keys()


def _values_of(entry: Mapping[str, Any]) -> dict[str, Any]:
    data = entry.get("data")
    given = entry.get("parameters")
    parameters = given if isinstance(given, Mapping) else {}
    energy, correction = entry["energy"], entry.get("correction")
    own = {
        "entry_id": entry.get("entry_id"),
        "parameters": parameters,
        "data": data if isinstance(data, Mapping) else {},
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
