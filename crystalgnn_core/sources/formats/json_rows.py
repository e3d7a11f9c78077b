"""JSON files of structures with ids and values beside them, and ASE's JSON databases."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crystalgnn_core.errors import RecordError
from crystalgnn_core.sources.formats.archives import DamagedFileError, read_blocks
from crystalgnn_core.sources.formats.columns import ID_COLUMNS, plain_name, read_id
from crystalgnn_core.sources.formats.documents import Document, id_in, read_document
from crystalgnn_core.sources.formats.json_base import JsonRows, invalid
from crystalgnn_core.sources.formats.json_layout import Layout, find_layout
from crystalgnn_core.sources.formats.json_stream.members import (
    Member,
    Outside,
    iter_lines,
    iter_members,
    outside_of,
    parse_member,
)
from crystalgnn_core.sources.formats.json_text import load_json
from crystalgnn_core.sources.formats.objects import crystal_from_any
from crystalgnn_core.sources.formats.parsing import parsing, refuse
from crystalgnn_core.sources.formats.row_file import RowFile, values_of_row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crystalgnn_core.sources.formats.archives import Packed
    from crystalgnn_core.sources.formats.structure_input import Content

_ASE_ROW = re.compile(rb'\s*"\d+"\s*:')  # other keys count the rows
_N_LOOKED_AT = 20  # members of a file that are looked at to find its kind


def open_json_rows(path: Path, name: str | None = None) -> RowFile | None:
    """Open a JSON file of materials; None if it holds bare structures, or none at all."""
    try:
        if (outside := _ase_rows(path)) is not None:
            return AseJson(path, name, outside)
        return None if find_layout(path) is None else JsonFile(path, name)
    except RecordError:  # which its only row is to name
        return JsonFile(path, name)
    except (DamagedFileError, ValueError, RecursionError):
        return None


def structures_of_json(text: str) -> list[tuple[str, Content]]:
    """List the structures of a JSON text, each with its id, empty if it has none."""
    source = text.encode("utf-8", errors="surrogatepass")
    try:
        if find_layout(source) is not None:
            inputs = JsonFile(Path("JSON"), source=source).inputs()
            return [(given.material_id, given.content) for given in inputs]
        value = load_json(text)
    except RecordError as error:
        return [("", partial(refuse, str(error)))]
    except (ValueError, RecursionError) as error:
        return [("", partial(refuse, invalid(error)))]
    entries = value if isinstance(value, list) else [value]
    if not entries:
        return [("", partial(refuse, "the JSON list is empty"))]
    return [read_document(entry)[:2] for entry in entries]


class JsonFile(JsonRows):
    """Documents of materials, one by one, see `read_document`.

    Values are the other keys of a document. Those of pymatgen's `ComputedStructureEntry`
    are those of `data`, `entry_id`, `run_type`, `parameters`, and energies of the cell in
    eV: `uncorrected_energy`, `correction` and `corrected_energy`.

    Args:
        path: The file.
        name: Identifier of its rows; None takes the name of the file.
        source: Its content, of which rows without an id have an empty one; None reads the
            file.
    """

    kind = "JSON file"

    def __init__(
        self, path: Path, name: str | None = None, source: bytes | None = None
    ) -> None:
        super().__init__(path, name)
        self._source: Packed = path if source is None else source

    def _layout(self) -> Layout:
        return find_layout(self._source, self.structure_key) or Layout()

    def _members(self, offset: int | None = None) -> Iterator[Member]:
        try:
            layout = self._layout()
        except RecordError as error:
            return iter([Member(0, b"", str(error))])
        if layout.is_lines:
            return iter_lines(self._source, offset or 0)
        if layout.rows is None:
            return iter([Member(0, b"".join(read_blocks(self._source)))])
        return iter_members(self._source, layout.rows, offset)

    def _read(
        self, member: Member, row: int, part: Mapping[str, Any]
    ) -> tuple[str | None, Document]:
        if member.fault is not None:
            return None, Document("", partial(refuse, member.fault), {})
        layout = self._layout()
        shape = "list" if layout.rows is None else layout.rows.shape
        key, value = parse_member(member, shape)
        if layout.column is not None:
            return key, self._read_column(layout, key, value, row, part)
        if layout.names:
            if not isinstance(value, list) or len(value) != len(layout.names):
                message = f"the row has not the {len(layout.names)} values of columns"
                return None, Document("", partial(refuse, message), {})
            key = str(layout.labels[row - 1]) if row <= len(layout.labels) else None
            value = dict(zip(layout.names, value, strict=True))
        return key, read_document(value, self.structure_key)

    def _read_column(
        self,
        layout: Layout,
        key: str | None,
        value: object,
        row: int,
        part: Mapping[str, Any],
    ) -> Document:
        """Read a row of a frame of columns, of which each is a list or an object."""
        n_rows = part["n_all"]
        for name, column in layout.beside.items() if key is None else ():
            if len(column) != n_rows and plain_name(name).removesuffix("s") in ID_COLUMNS:
                fault = (
                    f"{name} has {len(column)} values, but there are {n_rows} structures"
                )
                return Document("", partial(refuse, f"{fault}; give each its id"), {})
        beside = {
            name: column[row - 1] if key is None else column.get(key)
            for name, column in layout.beside.items()
            if key is not None or len(column) == n_rows
        }
        found = read_document(value)
        singular = {name.removesuffix("s"): held for name, held in beside.items()}
        material_id = id_in(beside) or found.material_id or id_in(singular)
        return Document(material_id, found.content, {**beside, **found.values})

    def _name_of(
        self,
        part: Mapping[str, Any],
        row: int,
        key: str | None,
        found: Document,
        id_key: str | None,
    ) -> str:
        """Return the chosen value, else the key unless it counts, else the id there is."""
        if id_key is not None:
            return read_id(found.values.get(id_key))
        name = (key or "").strip()
        if name and not name.isdigit():
            return name
        if found.material_id:
            return found.material_id
        if name and name not in {str(row - 1), str(row)}:
            return name
        if isinstance(self._source, bytes):
            return ""
        return self.name if part["n_all"] == 1 else f"{self.name}-{name or row}"


class AseJson(JsonRows):
    """ASE's JSON database: an object of rows by number, and some keys that are none.

    Values are as in an SQLite database of ASE.
    """

    kind = "ASE database"

    def __init__(self, path: Path, name: str | None, outside: Outside) -> None:
        super().__init__(path, name)
        self._outside = outside

    def _members(self, offset: int | None = None) -> Iterator[Member]:
        members = iter_members(self.path, self._outside, offset)
        return (each for each in members if each.fault or _ASE_ROW.match(each.text))

    def _read(
        self, member: Member, _row: int, _part: Mapping[str, Any]
    ) -> tuple[str | None, Document]:
        from ase.db.row import AtomsRow
        from ase.io import jsonio

        key, value = parse_member(member, "object")
        make: Any = AtomsRow  # neither is typed
        decode: Any = jsonio.decode
        try:
            with parsing("a readable row of an ASE database"):
                found = make(decode(json.dumps(value)))  # its arrays are objects in JSON
                content = partial(crystal_from_any, found.toatoms())
                return key, Document("", content, values_of_row(found))
        except RecordError as error:
            return key, Document("", partial(refuse, str(error)), {})


def _ase_rows(path: Path) -> Outside | None:
    """Return the object that holds the rows of an ASE database, if this is one."""
    outside = outside_of(path)
    if outside is None or outside.shape != "object":
        return None
    for member in islice(iter_members(path, outside), _N_LOOKED_AT):
        if not _ASE_ROW.match(member.text):
            continue
        with suppress(ValueError, RecursionError):
            _, value = parse_member(member, "object")
            if isinstance(value, Mapping) and {"numbers", "positions"} <= value.keys():
                return outside
    return None
