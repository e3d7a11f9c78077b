"""Structure files: which files of a folder are some, their ids, and what they hold."""

from __future__ import annotations

import gzip
import zlib
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

from crystalgnn_core.errors import RecordError, SourceError, printable
from crystalgnn_core.sources.base import BATCH_SIZE, in_chunks
from crystalgnn_core.sources.formats import (
    CIF,
    JSON,
    POSCAR,
    STRUCTURE_PATTERNS,
    formats_of,
    known_patterns,
)
from crystalgnn_core.sources.formats.cif.reader import is_cif
from crystalgnn_core.sources.formats.folders import find_files, printable_ids
from crystalgnn_core.sources.formats.parsing import (
    describe_cause,
    reading_file,
    refuse,
    refused_row,
    unreadable,
)
from crystalgnn_core.sources.formats.structure_input import StructureInput, read_structures
from crystalgnn_core.storage.files import file_sha256
from crystalgnn_core.storage.paths import local_path
from crystalgnn_core.wording import describe_missing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from crystalgnn_core.records.schema import RawRecord
    from crystalgnn_core.sources.formats import Format
    from crystalgnn_core.sources.formats.row_file import RowFile
    from crystalgnn_core.sources.formats.structure_input import Content


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
    """Return the path of a file or folder, its home folder written out.

    Raises:
        SourceError: It is not there, or something else, of which a read may never end.
    """
    expanded = local_path(path)
    if not (expanded.is_file() or expanded.is_dir()):
        raise SourceError(describe_missing(expanded))
    return expanded


def changed(path: Path) -> SourceError:
    """Make the error of a file that is not as it was when the parts were listed."""
    return SourceError(
        f"{path}: changed or vanished while it was read; start the run again"
    )


def unchanged(path: Path, sha256: str) -> Path:
    """Return a file that is as it was when the parts were listed.

    Raises:
        RecordError: `unreadable_structure`, it is not, or cannot be read.
    """
    with reading_file():
        if path.is_file() and file_sha256(path) == sha256:
            return path
    raise unreadable("the file changed or vanished while it was read; read it again")


def unique_ids(names: Sequence[str]) -> list[str]:
    """Turn file names into ids: without the suffix, unless two names would become one.

    Args:
        names: Different names, relative to one folder, such as `run1/salt.cif`.
    """
    stems = [_stem_of(name) for name in names]
    counts = Counter(stems)
    pairs = zip(names, stems, strict=True)
    return printable_ids([stem if counts[stem] == 1 else name for name, stem in pairs])


def iter_structure_file(path: Path, material_id: str | None = None) -> Iterator[RawRecord]:
    """Yield every structure of a file; one that cannot be read is a record with its error.

    Args:
        path: A file of any of `FORMATS` but a table, named as that expects; any other
            name means POSCAR.
        material_id: Identifier; None takes the file name without suffix. Several
            structures in one file get `-1`, `-2` ... appended; a JARVIS `jid` and an
            identifier beside a structure win.

    Raises:
        SourceError: An SQLite file is no ASE database.
    """
    try:
        with reading_file():
            for inputs in in_chunks(inputs_of(path, material_id), BATCH_SIZE):
                yield from read_structures(inputs)
    except RecordError as error:
        name = material_id or printable(_stem_of(path.name))
        yield refused_row(name, path.name, error)


def inputs_of(path: Path, material_id: str | None = None) -> Iterator[StructureInput]:
    """Yield the structures of a file without reading them, see `iter_structure_file`."""
    name = material_id or printable(_stem_of(path.name))
    if (rows := open_row_file(path, name)) is not None:
        return rows.inputs()
    kind = next(k for k in formats_of(path.name) if k.holds in {"text", "structure"})
    if kind.holds == "structure":
        return iter([StructureInput(name, path.name, partial(kind.read, path))])
    try:
        contents = kind.read(decode(_content_of(path)))
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        message = f"a damaged archive ({describe_cause(error)})"
        contents = [("", partial(refuse, message))]
    return iter(_numbered(contents, name, path.name))


def open_row_file(path: Path, name: str | None = None) -> RowFile | None:
    """Open a file of structures with values beside them.

    Returns:
        The file, or None if it is of another kind, such as JSON of a bare structure.

    Raises:
        SourceError: An SQLite file is no ASE database.
    """
    kinds = (kind for kind in formats_of(path.name) if kind.holds == "rows")
    files = (kind.read(path, name) for kind in kinds)
    return next((file for file in files if file is not None), None)


def may_hold_values(path: Path) -> bool:
    """Return whether a file is of a kind that holds values beside structures."""
    try:
        return open_row_file(path) is not None
    except SourceError:
        return False


def read_structure_text(text: str, name: str) -> list[RawRecord]:
    """Read every structure of a CIF, POSCAR or JSON text, whichever it looks like.

    Args:
        text: JSON if it begins with a bracket, CIF if a line of it begins a data block or
            names an entry of a cell, else POSCAR.
        name: Identifier, as `material_id` of `iter_structure_file`.
    """
    return read_structures(_numbered(_format_of(text).read(text), name, name))


def decode(content: bytes) -> str:
    """Decode a text; a stray byte in a comment must not cost the structure."""
    return content.decode("utf-8-sig", errors="replace")  # junk fails in the parser


def _format_of(text: str) -> Format:
    if text.lstrip().startswith(("{", "[")):
        return JSON
    return CIF if is_cif(text) else POSCAR


def _numbered(
    contents: Sequence[tuple[str, Content]], name: str, where: str
) -> list[StructureInput]:
    """Name the structures of one text; several of them are numbered."""
    inputs = []
    for number, (given, content) in enumerate(contents, start=1):
        own = name if len(contents) == 1 else f"{name}-{number}"
        inputs.append(StructureInput(given or own, where, content))
    return inputs


def _content_of(path: Path) -> bytes:
    content = path.read_bytes()
    return gzip.decompress(content) if path.suffix.lower() == ".gz" else content


def _stem_of(name: str) -> str:
    # only known suffixes: POSCAR.mp-149 keeps its ending
    for pattern in known_patterns():
        suffix = pattern.rpartition("*")[2]
        if suffix and name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name
