"""The table of file formats: names of their files, what these hold, and who reads them.

A new format is one file with its reader, and one row of `FORMATS`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from crystalgnn_core.sources.formats.folders import matches

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


_JSON = ("*.json", "*.json.gz")
_POSCAR = ("POSCAR*", "CONTCAR*", "*.vasp", "*.poscar")
_RUN = ("vasprun*.xml", "vasprun*.xml.gz")
CIF = Format("CIF", ("*.cif",), "text", ".cif.reader:structures_of_cif")
POSCAR = Format("POSCAR", _POSCAR, "text", ".poscar:structures_of_poscar")
JSON_ROWS = Format(
    "JSON of ComputedStructureEntry", _JSON, "rows", ".json_rows:open_json_rows"
)
JSON = Format("JSON", _JSON, "text", ".json_rows:structures_of_json")
VASP_RUN = Format(
    "VASP run", _RUN, "structure", ".vasprun:read_final_structure", in_folders=False
)
FORMATS: tuple[Format, ...] = (
    *(CIF, POSCAR, JSON_ROWS, JSON),
    Format("extended XYZ", ("*.extxyz", "*.xyz"), "rows", ".extxyz:XyzFile"),
    Format("an ASE database", ("*.db",), "rows", ".ase_db:AseDatabase", in_folders=False),
    VASP_RUN,
    Format("Parquet", ("*.parquet",), "table", ".tables:ParquetTable", in_folders=False),
    Format("CSV", ("*.csv",), "table", ".tables:CsvTable", in_folders=False),
)
STRUCTURE_PATTERNS = tuple(
    dict.fromkeys(name for kind in FORMATS if kind.in_folders for name in kind.patterns)
)


def known_patterns(holds: Holds | None = None) -> list[str]:
    """List the patterns of the formats that hold something; None takes all formats."""
    kinds = (kind for kind in FORMATS if holds in {None, kind.holds})
    return list(dict.fromkeys(name for kind in kinds for name in kind.patterns))


def formats_of(name: str) -> list[Format]:
    """List the formats that a file of a name may have, at last POSCAR, which any may.

    The name of a text may end in `.gz`.
    """
    unpacked = name.lower().removesuffix(".gz")
    found = [
        kind
        for kind in FORMATS
        if matches(name, kind.patterns)
        or (kind.holds == "text" and matches(unpacked, kind.patterns))
    ]
    return [*(kind for kind in found if kind is not POSCAR), POSCAR]


def is_table(path: Path) -> bool:
    """Return whether the name of a file is that of a table."""
    return any(kind.holds == "table" for kind in formats_of(path.name))
