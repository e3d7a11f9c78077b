"""Structure files: which files of a folder are some, their ids, and what they hold."""

from __future__ import annotations

import gzip
import json
import zlib
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from crystalgnn_core.errors import SourceError
from crystalgnn_core.sources.base import BATCH_SIZE, in_chunks
from crystalgnn_core.sources.formats.cif.reader import cif_blocks, is_cif
from crystalgnn_core.sources.formats.folders import find_files, matches
from crystalgnn_core.sources.formats.objects import crystal_from_any
from crystalgnn_core.sources.formats.parsing import describe_cause
from crystalgnn_core.sources.formats.pieces import Piece, read_pieces, refuse
from crystalgnn_core.sources.formats.poscar import crystal_from_poscar
from crystalgnn_core.sources.formats.row_files import open_row_file
from crystalgnn_core.sources.formats.vasprun import RUN_PATTERNS, read_final_structure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from crystalgnn_core.records.crystal import Crystal
    from crystalgnn_core.records.schema import RawRecord

STRUCTURE_PATTERNS = (
    *("*.cif", "POSCAR*", "CONTCAR*", "*.vasp", "*.poscar", "*.json"),
    *("*.json.gz", "*.extxyz", "*.xyz"),
)
KNOWN_PATTERNS = (*STRUCTURE_PATTERNS, "*.db", *RUN_PATTERNS)
_SUFFIXES = (
    *(".json.gz", ".xml.gz", ".xml", ".cif", ".vasp", ".poscar", ".json"),
    *(".extxyz", ".xyz", ".db"),
)


def structure_files(
    folder: Path, patterns: Sequence[str] = STRUCTURE_PATTERNS
) -> list[Path]:
    """List the structure files of a folder and the folders in it, sorted by name.

    Hidden files and folders are left out.

    Raises:
        SourceError: There is none.
    """
    files = find_files(folder, patterns)
    if not files:
        raise SourceError(
            f"no structure files in {folder}, expected names like {', '.join(patterns)}"
        )
    return files


def existing(path: str) -> Path:
    """Return a path that is there, its home folder written out.

    Raises:
        SourceError: It is not there.
    """
    expanded = Path(path).expanduser()
    if not expanded.exists():
        raise SourceError(f"{expanded}: no such file or folder")
    return expanded


def changed(path: Path) -> SourceError:
    """Make the error of a file that is not as it was when the parts were listed."""
    return SourceError(
        f"{path}: changed or vanished while it was read; start the run again"
    )


def unique_ids(names: Sequence[str]) -> list[str]:
    """Turn file names into ids: without the suffix, unless two names would become one.

    Args:
        names: Different names, relative to one folder, such as `run1/salt.cif`.
    """
    stems = [_stem_of(name) for name in names]
    counts = Counter(stems)
    pairs = zip(names, stems, strict=True)
    return [stem if counts[stem] == 1 else name for name, stem in pairs]


def read_structure_file(path: Path, material_id: str | None = None) -> list[RawRecord]:
    """Read every structure of a file, see `iter_structure_file`."""
    return list(iter_structure_file(path, material_id))


def iter_structure_file(path: Path, material_id: str | None = None) -> Iterator[RawRecord]:
    """Yield every structure of a file; one that cannot be read is a record with its error.

    Args:
        path: CIF, POSCAR, JSON, extended XYZ, ASE database or `vasprun.xml`; its suffix
            tells the format, no known suffix means POSCAR.
        material_id: Identifier; None takes the file name without suffix. Several
            structures in one file get `-1`, `-2` ... appended; a JARVIS `jid` and an
            identifier beside a structure win.

    Raises:
        SourceError: An SQLite file is no ASE database.
    """
    for pieces in in_chunks(pieces_of(path, material_id), BATCH_SIZE):
        yield from read_pieces(pieces)


def pieces_of(path: Path, material_id: str | None = None) -> Iterator[Piece]:
    """Yield the structures of a file without reading them, see `iter_structure_file`."""
    name = material_id or _stem_of(path.name)
    if matches(path.name, RUN_PATTERNS):
        return iter([Piece(name, path.name, partial(read_final_structure, path))])
    if (found := open_row_file(path, name)) is not None:
        return found.pieces()
    try:
        content = _content_of(path)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        fault = partial(refuse, f"a damaged archive ({describe_cause(error)})")
        return iter([Piece(name, path.name, fault)])
    return iter(_pieces(_contents(decode(content), _suffix_of_name(path)), name, path.name))


def read_structure_text(text: str, name: str) -> list[RawRecord]:
    """Read every structure of a CIF, POSCAR or JSON text, told apart by its content.

    Args:
        text: JSON if it begins with a bracket, CIF if a line of it begins a data block or
            names an entry of a cell, else POSCAR.
        name: Identifier, as `material_id` of `read_structure_file`.
    """
    return read_pieces(_pieces(_contents(text, _suffix_of(text)), name, name))


def decode(content: bytes) -> str:
    """Decode a text; a stray byte in a comment must not cost the structure."""
    return content.decode("utf-8-sig", errors="replace")  # junk fails in the parser


def _suffix_of(text: str) -> str:
    if text.lstrip().startswith(("{", "[")):
        return ".json"
    return ".cif" if is_cif(text) else ".poscar"


def _pieces(
    contents: Sequence[tuple[str, str | Callable[[], Crystal]]], name: str, where: str
) -> list[Piece]:
    """Name the structures of one text; several of them are numbered."""
    pieces = []
    for number, (given, content) in enumerate(contents, start=1):
        own = name if len(contents) == 1 else f"{name}-{number}"
        pieces.append(Piece(given or own, where, content))
    return pieces


def _contents(text: str, suffix: str) -> list[tuple[str, str | Callable[[], Crystal]]]:
    """Return an id, if the file gives one, and what holds it, for every structure."""
    if suffix == ".cif":
        return [("", block) for block in cif_blocks(text) or [text]]
    if suffix != ".json":
        return [("", partial(crystal_from_poscar, text))]
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        return [("", partial(refuse, f"not valid JSON ({error})"))]
    entries = value if isinstance(value, list) else [value]
    if not entries:
        return [("", partial(refuse, "the JSON list is empty"))]
    return [
        (str(entry.get("jid", "")), partial(crystal_from_any, entry))
        if isinstance(entry, dict)
        else ("", partial(refuse, f"JSON {type(entry).__name__} is no structure"))
        for entry in entries
    ]


def _content_of(path: Path) -> bytes:
    content = path.read_bytes()
    return gzip.decompress(content) if path.suffix.lower() == ".gz" else content


def _suffix_of_name(path: Path) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    return (
        suffixes[-2]
        if suffixes[-1:] == [".gz"] and len(suffixes) > 1
        else path.suffix.lower()
    )


def _stem_of(name: str) -> str:
    # only known suffixes: POSCAR.mp-149 keeps its ending
    for suffix in _SUFFIXES:
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name
