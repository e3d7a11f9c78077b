"""Structure files: which files of a folder are some, their ids, and what they hold."""

from __future__ import annotations

import json
from collections import Counter
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from crystalgnn_core.errors import RecordError, SourceError
from crystalgnn_core.records.schema import RawRecord, RejectReason
from crystalgnn_core.sources.cif import cif_blocks, crystal_from_cif
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


def read_structure_file(path: Path, material_id: str | None = None) -> list[RawRecord]:
    """Read every structure of a CIF, POSCAR or JSON file.

    Args:
        path: The file; its suffix tells the format, no known suffix means POSCAR.
        material_id: Identifier; None takes the file name without suffix. Several
            structures in one file get `-1`, `-2` ... appended; a JARVIS `jid` wins.

    Returns:
        One record a structure, with its error if it cannot be read.
    """
    name = material_id or _stem_of(path.name)
    # a stray byte in a comment must not cost the structure; junk fails in the parser
    text = path.read_bytes().decode("utf-8-sig", errors="replace")
    pieces = _pieces(text, path.suffix.lower())
    records = []
    for number, (given, reader) in enumerate(pieces, start=1):
        own = name if len(pieces) == 1 else f"{name}-{number}"
        records.append(read_record(given or own, path.name, reader))
    return records


def read_record(material_id: str, where: str, reader: Callable[[], Crystal]) -> RawRecord:
    """Call a reader; what it refuses becomes the error of the record.

    Args:
        material_id: Identifier, empty if the source gives none.
        where: File, or file and row, for the message.
        reader: Reads the structure.
    """
    try:
        crystal = reader()
        if not material_id:
            raise RecordError("missing_id", "the id is empty; give every row its own id")
    except RecordError as error:
        name = f"{material_id}: {where}" if material_id else where
        reason = cast("RejectReason", error.reason)
        return RawRecord(material_id, None, error=(reason, f"{name}: {error}"))
    return RawRecord(material_id, crystal)


def refuse(message: str) -> Crystal:
    """Stand in for the reader of a structure that is not there.

    Raises:
        RecordError: Always, with this message.
    """
    raise unreadable(message)


def _pieces(text: str, suffix: str) -> list[tuple[str, Callable[[], Crystal]]]:
    """Return an id, if the file gives one, and a reader for every structure of a file."""
    if suffix == ".cif":
        return [
            ("", partial(crystal_from_cif, block)) for block in cif_blocks(text) or [text]
        ]
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
