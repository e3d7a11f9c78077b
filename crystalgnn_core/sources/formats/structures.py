"""Structure files: which files of a folder are some, their ids, and what they hold."""

from __future__ import annotations

from collections import Counter
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from crystalgnn_core.errors import RecordError, SourceError, printable
from crystalgnn_core.sources.base import BATCH_SIZE, in_chunks
from crystalgnn_core.sources.formats import (
    HEAD,
    STRUCTURE_PATTERNS,
    formats_of,
    head_of,
    known_patterns,
)
from crystalgnn_core.sources.formats.archives import opened, read_rest
from crystalgnn_core.sources.formats.folders import (
    find_files,
    matches,
    printable_ids,
    unpacked_name,
)
from crystalgnn_core.sources.formats.parsing import (
    read_row,
    reading_file,
    refuse,
    refused_row,
    unreadable,
)
from crystalgnn_core.sources.formats.sniffing import decode, look_at, other_text
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

_NO_ROWS = "the file holds no rows; expected at least one"


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
        tables = find_files(folder, known_patterns("table"))
        found = f"; {tables[0].name} is a table: give its own path" if tables else ""
        joined = ", that of one file with all parts" if len(tables) > 1 else ""
        raise SourceError(
            f"no structure files in {folder}, expected names like {', '.join(patterns)}"
            f"{found}{joined}"
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
    stems = [stem_of(name) for name in names]
    counts = Counter(stems)
    pairs = zip(names, stems, strict=True)
    return printable_ids([stem if counts[stem] == 1 else name for name, stem in pairs])


def ids_of_files(files: Sequence[Path], names: Sequence[str]) -> list[str]:
    """Turn names of files into ids, so that no file of several structures gives one twice.

    The structures of `a.cif` are `a-1` and `a-2`, but `a.cif-1` and `a.cif-2` beside an
    `a-1.cif`.

    Args:
        files: The files.
        names: Their names as `unique_ids` takes them.
    """
    ids = unique_ids(names)
    numbered = (one.rpartition("-") for one in ids)
    shared = {before for before, _, number in numbered if number.isdecimal()}
    return [
        printable(name) if own in shared and _holds_several(file) else own
        for file, name, own in zip(files, names, ids, strict=True)
    ]


def _holds_several(file: Path) -> bool:
    return file.is_file() and len(list(islice(inputs_of(file), 2))) > 1


def iter_structure_file(path: Path, material_id: str | None = None) -> Iterator[RawRecord]:
    """Yield every structure of a file; one that cannot be read is a record with its error.

    Args:
        path: A file of any of `FORMATS` but a table, whatever its name; what is none is
            refused.
        material_id: Identifier; None takes the file name without suffix. Several
            structures in one file get `-1`, `-2` ... appended; a JARVIS `jid` and an
            identifier beside a structure win.
    """
    for inputs in in_chunks(inputs_of(path, material_id), BATCH_SIZE):
        yield from read_structures(inputs)


def inputs_of(path: Path, material_id: str | None = None) -> Iterator[StructureInput]:
    """Yield the structures of a file without reading them, see `iter_structure_file`."""
    name = material_id or printable(stem_of(path.name))
    step = partial(_next_of, _inputs_of(path, name))
    while (given := step()) is not None:
        if isinstance(given, RecordError):
            fault = str(given).removeprefix(f"{path}: ")
            yield StructureInput(name, path.name, partial(refuse, fault))
            return
        yield given


def _next_of(inputs: Iterator[StructureInput]) -> StructureInput | RecordError | None:
    """Return the next structure, None at the end, or why the file cannot be read."""
    try:
        return read_row(partial(next, inputs, None), "a readable file")
    except SourceError as error:
        return unreadable(str(error))


def _inputs_of(path: Path, name: str) -> Iterator[StructureInput]:
    with opened(path) as stream:
        head = stream.read(HEAD)
        kinds = formats_of(path.name, head)
        if not kinds or not head.strip():
            raise unreadable(_what_it_is(head))
        is_text = all(kind.holds == "text" for kind in kinds)
        text = decode(read_rest(stream, head)) if is_text else None
    if (rows := _first_open(kinds, path, name)) is not None:
        inputs = rows.inputs()
        first = next(inputs, None)
        yield first or StructureInput(name, path.name, partial(refuse, _NO_ROWS))
        yield from inputs
        return
    kind = next(kind for kind in kinds if kind.holds != "rows")
    if kind.holds == "table":
        raise unreadable(f"a {kind.name} table, which no folder is searched for")
    if kind.holds == "structure":
        yield StructureInput(name, path.name, partial(kind.read, path))
        return
    yield from _numbered(kind.read(text or read_text(path)), name, path.name)


def open_row_file(path: Path, name: str | None = None) -> RowFile | None:
    """Open a file of structures with values beside them.

    Returns:
        The file, or None if it is of another kind, such as JSON of a bare structure.

    Raises:
        SourceError: An SQLite file is no ASE database.
    """
    return _first_open(formats_of(path.name, head_of(path)), path, name)


def _first_open(kinds: Sequence[Format], path: Path, name: str | None) -> RowFile | None:
    files = (kind.read(path, name) for kind in kinds if kind.holds == "rows")
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
        text: The text; its content shows the format.
        name: Identifier, as `material_id` of `iter_structure_file`.
    """
    head = text[:HEAD].encode(errors="replace")
    kinds = [kind for kind in formats_of(name, head) if kind.holds == "text"]
    if kinds:
        return read_structures(_numbered(kinds[0].read(text), name, name))
    found = look_at(head).formats
    fault = f"the text is {found[0]}; give it as a file" if found else _what_it_is(head)
    return [refused_row(name, "", unreadable(fault))]


def read_text(source: Path | bytes) -> str:
    """Return the text of a file, or of its content, unpacked and decoded.

    Raises:
        SourceError: It is damaged, or too large to be held in memory.
    """
    with opened(source) as stream:
        return decode(read_rest(stream))


def _what_it_is(head: bytes) -> str:
    """Say what a file is that holds no structures."""
    found = look_at(head).what
    if found in {"", "CSV"}:
        return f"the content is {other_text(head)}"
    return f"the file is {found}" + ("" if ";" in found else "; give structures")


def _numbered(
    contents: Sequence[tuple[str, Content]], name: str, where: str
) -> list[StructureInput]:
    """Name the structures of one text; several of them are numbered."""
    inputs = []
    for number, (given, content) in enumerate(contents, start=1):
        own = name if len(contents) == 1 else f"{name}-{number}"
        inputs.append(StructureInput(given or own, where, content))
    return inputs


def stem_of(name: str) -> str:
    """Return a file name without a known suffix; POSCAR.mp-149 keeps its ending."""
    inner = unpacked_name(name)
    for pattern in known_patterns():
        suffix = pattern.rpartition("*")[2]
        if suffix and inner.lower().endswith(suffix) and len(inner) > len(suffix):
            return inner[: -len(suffix)]
    return inner if matches(inner, known_patterns()) else name
