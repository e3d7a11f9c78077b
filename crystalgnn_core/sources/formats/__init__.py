"""The table of file formats: names of their files, what these hold, and who reads them.

The content of a file decides, and its name only where the content shows nothing. A new
format is one file with its reader, and one row of `FORMATS`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from crystalgnn_core.errors import SourceError
from crystalgnn_core.sources.formats.archives import opened
from crystalgnn_core.sources.formats.folders import matches
from crystalgnn_core.sources.formats.sniffing import EMPTY, look_at

if TYPE_CHECKING:
    from pathlib import Path

Holds = Literal["text", "structure", "rows", "table"]


class Format(NamedTuple):
    """A kind of file.

    Attributes:
        name: What it is, for messages.
        patterns: Names of its files, in any letter case.
        holds: What its files hold, which decides how the reader is called:
            `text`, bare structures: `reader(text)` lists their `Content`, a CIF text or a
            function that reads the crystal, each behind its id, empty if there is none;
            `structure`, a bare structure: `reader(path)` returns the crystal;
            `rows`, structures with values beside them: `reader(path, name)` opens a
            `RowFile`, or returns None if the content is of another format;
            `table`, rows with named columns: `reader(path)` opens a `Table`.
        reader: Module, with a dot in front if it is in this folder, and name of the reader,
            which is imported when a file is read.
        in_folders: Whether a folder is searched for such files by default.
    """

    name: str
    patterns: tuple[str, ...]
    holds: Holds
    reader: str
    in_folders: bool = True

    def read(self, *given: object) -> Any:  # noqa: ANN401  `holds` says what
        """Call the reader."""
        module, _, name = self.reader.partition(":")
        return getattr(import_module(module, __name__), name)(*given)


_JSON = ("*.json", "*.json.gz", "*.jsonl", "*.ndjson")
_POSCAR = ("POSCAR*", "CONTCAR*", "*.vasp", "*.poscar")
_RUN = ("vasprun*.xml", "vasprun*.xml.gz")
CIF = Format("CIF", ("*.cif", "*.mcif"), "text", ".cif.reader:structures_of_cif")
POSCAR = Format("POSCAR", _POSCAR, "text", ".poscar:structures_of_poscar")
JSON_ROWS = Format(
    "JSON of ComputedStructureEntry", _JSON, "rows", ".json_rows:open_json_rows"
)
JSON = Format("JSON", _JSON, "text", ".json_rows:structures_of_json")
VASP_RUN = Format(
    "VASP run", _RUN, "structure", ".vasprun:read_final_structure", in_folders=False
)
CSV = Format("CSV", ("*.csv", "*.tsv"), "table", ".tables:CsvTable", in_folders=False)
FORMATS: tuple[Format, ...] = (
    *(CIF, POSCAR, JSON_ROWS, JSON),
    Format("extended XYZ", ("*.extxyz", "*.xyz"), "rows", ".extxyz:XyzFile"),
    Format("an ASE database", ("*.db",), "rows", ".ase_db:AseDatabase", in_folders=False),
    VASP_RUN,
    Format("Parquet", ("*.parquet",), "table", ".tables:ParquetTable", in_folders=False),
    CSV,
)
_SNIFFED = frozenset(kind.name for kind in FORMATS)
STRUCTURE_PATTERNS = tuple(
    dict.fromkeys(name for kind in FORMATS if kind.in_folders for name in kind.patterns)
)
HEAD = 2**16  # bytes by which the format of a file is found


def known_patterns(holds: Holds | None = None) -> list[str]:
    """List the patterns of the formats that hold something; None takes all formats."""
    kinds = (kind for kind in FORMATS if holds in {None, kind.holds})
    return list(dict.fromkeys(name for kind in kinds for name in kind.patterns))


def formats_of(name: str, head: bytes) -> list[Format]:
    """List the formats that a file may have: by its content, else by its name.

    A format whose content is not known here, because somebody added it, goes by the name.

    Args:
        name: Its name, whose suffix may say anything.
        head: The first bytes, unpacked.

    Returns:
        The formats in the order in which they are tried; none for what holds no structures.
    """
    own = _named(name)
    if added := [kind for kind in own if kind.name not in _SNIFFED]:
        return added
    look = look_at(head)
    tables = [kind for kind in own if kind.holds == "table"]
    if tables and look.what in {"", EMPTY} and look.formats != ("Parquet",):
        return tables  # whose cells may hold the text of any other format
    if look.what:
        return own if look.what == EMPTY else []
    return [kind for name in look.formats for kind in FORMATS if kind.name == name] or own


def head_of(path: Path) -> bytes:
    """Return the first bytes of a file, unpacked; none of one that cannot be read."""
    try:
        with opened(path) as stream:
            return stream.read(HEAD)
    except (SourceError, OSError):
        return b""


def is_table(path: Path) -> bool:
    """Return whether a file is a table, by its content or else its name."""
    if not path.is_file():
        return any(kind.holds == "table" for kind in _named(path.name))
    kinds = formats_of(path.name, head_of(path)) or _named(path.name)
    return any(kind.holds == "table" for kind in kinds)


def _named(name: str) -> list[Format]:
    return [kind for kind in FORMATS if matches(name, kind.patterns)]
