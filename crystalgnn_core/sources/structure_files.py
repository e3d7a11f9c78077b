"""Structure files: which files of a folder are some, their ids, and what they hold."""

from __future__ import annotations

import json
from collections import Counter
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

from crystalgnn_core.errors import RecordError, SourceError
from crystalgnn_core.records.schema import RawRecord, RejectReason
from crystalgnn_core.sources.cif import cif_blocks, crystals_from_cifs, is_cif
from crystalgnn_core.sources.convert import crystal_from_any
from crystalgnn_core.sources.parsing import unreadable
from crystalgnn_core.sources.poscar import crystal_from_poscar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from crystalgnn_core.records.crystal import Crystal

STRUCTURE_PATTERNS = ("*.cif", "POSCAR*", "CONTCAR*", "*.vasp", "*.poscar", "*.json")
STRUCTURE_SUFFIXES = (".cif", ".vasp", ".poscar", ".json")


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Say whether a file name has one of the patterns, in any letter case."""
    return any(fnmatchcase(name.lower(), pattern.lower()) for pattern in patterns)


def structure_files(
    folder: Path, patterns: Sequence[str] = STRUCTURE_PATTERNS
) -> list[Path]:
    """List the structure files of a folder and the folders in it, sorted by name.

    Hidden files and folders are left out.

    Raises:
        SourceError: There is none.
    """
    files = [
        path
        for path in folder.rglob("*")
        if matches(path.name, patterns)
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
    ]
    if not files:
        raise SourceError(
            f"no structure files in {folder}, expected names like {', '.join(patterns)}"
        )
    return sorted(files, key=lambda path: path.relative_to(folder).as_posix())


def unique_ids(names: Sequence[str]) -> list[str]:
    """Turn file names into ids: without the suffix, unless two names would become one.

    Args:
        names: Different names, relative to one folder, such as `run1/salt.cif`.
    """
    stems = [_stem_of(name) for name in names]
    counts = Counter(stems)
    pairs = zip(names, stems, strict=True)
    return [stem if counts[stem] == 1 else name for name, stem in pairs]


class Piece(NamedTuple):
    """A structure that is to be read.

    Attributes:
        material_id: Identifier, empty if the source gives none.
        where: File, or file and row, for messages.
        content: CIF text, or a reader of anything else.
    """

    material_id: str
    where: str
    content: str | Callable[[], Crystal]


def read_structure_file(path: Path, material_id: str | None = None) -> list[RawRecord]:
    """Read every structure of a CIF, POSCAR or JSON file.

    Args:
        path: The file; its suffix tells the format, no known suffix means POSCAR.
        material_id: Identifier; None takes the file name without suffix. Several
            structures in one file get `-1`, `-2` ... appended; a JARVIS `jid` wins.

    Returns:
        One record a structure, with its error if it cannot be read.
    """
    return read_pieces(pieces_of(path, material_id))


def pieces_of(path: Path, material_id: str | None = None) -> list[Piece]:
    """List the structures of a file without reading them, see `read_structure_file`."""
    text = decode(path.read_bytes())
    name = material_id or _stem_of(path.name)
    return _pieces(_contents(text, path.suffix.lower()), name, path.name)


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


def read_pieces(pieces: Sequence[Piece]) -> list[RawRecord]:
    """Read structures; what is refused becomes the error of its record.

    CIF texts are read together, so a call for each piece would be slower.
    """
    texts = [piece.content for piece in pieces if isinstance(piece.content, str)]
    crystals = iter(crystals_from_cifs(texts))
    records = []
    for piece in pieces:
        content = piece.content
        found = next(crystals) if isinstance(content, str) else _call(content)
        if not (piece.material_id or isinstance(found, RecordError)):
            found = RecordError("missing_id", "the id is empty; give every row its own id")
        records.append(_record(piece, found))
    return records


def _call(reader: Callable[[], Crystal]) -> Crystal | RecordError:
    try:
        return reader()
    except RecordError as error:
        return error


def _record(piece: Piece, found: Crystal | RecordError) -> RawRecord:
    if not isinstance(found, RecordError):
        return RawRecord(piece.material_id, found)
    name = f"{piece.material_id}: {piece.where}" if piece.material_id else piece.where
    reason = cast("RejectReason", found.reason)
    return RawRecord(piece.material_id, None, error=(reason, f"{name}: {found}"))


def refuse(message: str) -> Crystal:
    """Stand in for the reader of a structure that is not there.

    Raises:
        RecordError: Always, with this message.
    """
    raise unreadable(message)


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


def _stem_of(name: str) -> str:
    # only known suffixes: POSCAR.mp-149 keeps its ending
    is_known = Path(name).suffix.lower() in STRUCTURE_SUFFIXES
    return name.rpartition(".")[0] if is_known else name
