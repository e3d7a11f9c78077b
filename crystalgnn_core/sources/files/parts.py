"""The parts of a source of files: which files there are, and what is in them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from crystalgnn_core.errors import ConfigError, RecordError, SourceError
from crystalgnn_core.sources.files.cgcnn_folder import (
    files_of_lines,
    ids_in,
    label_table_of,
    names_in,
    open_labels,
)
from crystalgnn_core.sources.files.labels import check_values
from crystalgnn_core.sources.formats import (
    CIF,
    FORMATS,
    STRUCTURE_PATTERNS,
    formats_of,
    head_of,
    is_table,
    known_patterns,
)
from crystalgnn_core.sources.formats.columns import find_columns
from crystalgnn_core.sources.formats.folders import (
    find_files,
    matches,
    note_name,
    noted_file,
)
from crystalgnn_core.sources.formats.parsing import reading_file, refuse
from crystalgnn_core.sources.formats.structure_input import StructureInput
from crystalgnn_core.sources.formats.structures import (
    existing,
    ids_of_files,
    inputs_of,
    may_hold_values,
    open_row_file,
    structure_files,
    unchanged,
    unique_ids,
)
from crystalgnn_core.sources.formats.tables import open_table
from crystalgnn_core.sources.ingest.origins import CHANGED
from crystalgnn_core.storage.digests import sha256_of_files
from crystalgnn_core.storage.files import file_sha256

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

    from crystalgnn_core.sources.files.source import FilesSource


def file_inputs(
    folder: Path, entries: Sequence[Sequence[str]]
) -> Iterator[tuple[StructureInput, Sequence[str]]]:
    """Yield the structures of some files, each with the entry of its file.

    Args:
        folder: Where the files are.
        entries: Name, id and SHA-256 of each; an id without a name has no file, for the
            reason in place of the digest. One that changed meanwhile is refused, with
            `CHANGED` in place of its SHA-256.
    """
    for entry in entries:
        name, material_id, sha256 = entry
        if not name:
            suffix = "" if "." in material_id else ".cif"
            missing = f"there is no file {material_id}{suffix} for this line of id_prop.csv"
            fault = partial(refuse, sha256 or missing)
            yield StructureInput(material_id, folder.name, fault), entry
            continue
        path = noted_file(folder, name)
        try:
            with reading_file():
                for given in inputs_of(unchanged(path, sha256), material_id):
                    yield given, entry
        except RecordError as error:
            refusal = StructureInput(material_id, path.name, partial(refuse, str(error)))
            yield refusal, [name, material_id, sha256 and CHANGED]


def payloads_of(source: FilesSource, path: Path, notes: Path) -> list[dict[str, Any]]:
    """List what each part of a source holds: ranges of rows, or groups of files.

    Args:
        source: The source.
        path: Where its files are.
        notes: Digests that were noted, see `sha256_of_files`.

    Raises:
        SourceError: The content is missing, or of no supported kind.
        ConfigError: A column is missing, or targets are set without a table.
    """
    if path.is_dir():
        return _folder_payloads(source, path, notes)
    if is_table(path):
        return _with_version(path, _table_slices(source, path), notes)
    if source.labels is None and (rows := open_row_file(path)) is not None:
        rows.structure_key = source.columns.structure
        slices = rows.slices(source.part_size)
        check_values(rows, slices, source.columns, source.targets)
        return _with_version(path, slices, notes)
    return _folder_payloads(source, path, notes)


def label_table(source: FilesSource, path: Path) -> Path | None:
    """Return the table of labels that was named, or that of a folder of CGCNN."""
    if source.labels is not None:
        return existing(source.labels)
    return label_table_of(path) if source.targets and path.is_dir() else None


def _table_slices(source: FilesSource, path: Path) -> list[dict[str, Any]]:
    if source.labels is not None:
        raise ConfigError(f"{path.name} is a table, so it cannot take a label table too")
    if source.formation_energy is not None:
        raise _no_energies(path)
    table = open_table(path)
    find_columns(table, source.columns, source.targets, with_structures=True)
    return table.slices(source.part_size)


def _folder_payloads(source: FilesSource, path: Path, notes: Path) -> list[dict[str, Any]]:
    table = label_table(source, path)
    folder = path if path.is_dir() else path.parent
    lines = {} if table is None else _lines_of(source, path, table)
    named = {files[0]: name for name, files in reversed(lines.items()) if len(files) == 1}
    files = _files_of(source, path, named)
    if table is None and (source.targets or source.formation_energy is not None):
        _require_values(path, files, is_energy=not source.targets)
    relative = [file.relative_to(folder).as_posix() for file in files]
    pairs = zip(relative, ids_of_files(files, relative), strict=True)
    ids = [named.get(name, own) for name, own in pairs]
    digests = sha256_of_files(files, notes)
    names = (note_name(file, folder) for file in files)
    entries = [list(entry) for entry in zip(names, ids, digests, strict=True)]
    shared = {} if table is None else {"labels_sha256": file_sha256(table)}
    used = {*ids}
    entries += [["", name, _fault_of(*f)] for name, f in lines.items() if name not in used]
    starts = range(0, len(entries), source.part_size)
    return [shared | {"files": entries[at : at + source.part_size]} for at in starts]


def named_files(source: FilesSource, path: Path, table: Path) -> set[str]:
    """List the files of a folder that lines of its table name."""
    lines = _lines_of(source, path, table).values()
    return {files[0] for files in lines if len(files) == 1}


def _lines_of(source: FilesSource, path: Path, table: Path) -> dict[str, list[str]]:
    """Find the files that a table of labels names: those of any kind beside `id_prop.csv`.

    Lines of another table may have no file, or name one by its id alone.
    """
    opened = open_labels(table, source.columns, source.targets)
    places = find_columns(opened, source.columns, source.targets, with_structures=False)
    ids = ids_in(opened, places["material_id"])
    if source.labels is None:
        return files_of_lines(ids, names_in(path))
    folder = path if path.is_dir() else path.parent
    names = [file.relative_to(folder).as_posix() for file in _files_of(source, path, {})]
    known = dict(zip(unique_ids(names), names, strict=True))
    others = files_of_lines([name for name in ids if name not in known], names)
    lines = {name: [known[name]] if name in known else others[name] for name in ids}
    taken = {files[0] for name, files in lines.items() if name in known}
    is_optional = opened.has_names
    return {
        name: files
        for name, files in lines.items()
        if name in known or not is_optional or (len(files) == 1 and files[0] not in taken)
    }


def _files_of(source: FilesSource, path: Path, named: Collection[str]) -> list[Path]:
    """List the files of a source: those of its pattern, and those that lines name.

    Raises:
        SourceError: There is no file, or it is of no known kind.
    """
    if not path.is_dir():
        known = known_patterns()
        is_known = matches(path.name, (*source.pattern, *known))
        if not (is_known or formats_of(path.name, head_of(path))):
            raise SourceError(
                f"{path}: no supported kind of file, expected {', '.join(known)}"
            )
        return [path]
    pattern = source.pattern
    has_lines = source.labels is None and label_table(source, path) is not None
    if has_lines and pattern == STRUCTURE_PATTERNS:
        pattern = CIF.patterns  # CGCNN reads nothing else that no line names
    if not named:
        return structure_files(path, pattern)
    found = {file.relative_to(path).as_posix() for file in find_files(path, pattern)}
    return [path / name for name in sorted({*found, *named})]


def _fault_of(*files: str) -> str:
    """Say why a line of a table names no file of its own; nothing if there is none."""
    if len(files) == 1:
        return f"{files[0]} is named by another line too; remove one of the lines"
    names = ", ".join(files[:4])
    return f"{names} begin with this name; write the whole name of one" if files else ""


def _with_version(
    path: Path, slices: Sequence[dict[str, Any]], notes: Path
) -> list[dict[str, Any]]:
    """Add digest and size of a file to its ranges of rows.

    Raises:
        SourceError: There are no rows.
    """
    if not slices:
        raise SourceError(f"{path}: the file holds no rows; expected at least one")
    [sha256] = sha256_of_files([path], notes)
    version = {"sha256": sha256, "n_bytes": path.stat().st_size}
    return [version | part for part in slices]


def _require_values(path: Path, files: Sequence[Path], *, is_energy: bool) -> None:
    """Check that values may stand beside the structures of some file.

    Raises:
        ConfigError: All of them hold bare structures.
    """
    if any(map(may_hold_values, files)):
        return
    if is_energy:
        raise _no_energies(path)
    raise ConfigError(
        f"targets are set but {path} is no table; name the label table in labels"
    )


def _no_energies(path: Path) -> ConfigError:
    """Make the error of bare structures of which formation energies are asked."""
    *kinds, last = (kind.name for kind in FORMATS if kind.holds == "rows")
    return ConfigError(
        f"formation_energy is set but {path} holds no total energies; expected "
        f"{', '.join(kinds)} or {last}"
    )
