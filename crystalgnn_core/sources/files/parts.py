"""The parts of a source of files: which files there are, and what is in them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from crystalgnn_core.errors import ConfigError, SourceError
from crystalgnn_core.sources.files.cgcnn_folder import (
    ids_without_file,
    label_table_of,
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
from crystalgnn_core.sources.formats.folders import matches
from crystalgnn_core.sources.formats.parsing import refuse
from crystalgnn_core.sources.formats.structure_input import StructureInput
from crystalgnn_core.sources.formats.structures import (
    existing,
    inputs_of,
    may_hold_values,
    open_row_file,
    structure_files,
    unchanged,
    unique_ids,
)
from crystalgnn_core.sources.formats.tables import open_table
from crystalgnn_core.storage.digests import sha256_of_files
from crystalgnn_core.storage.files import file_sha256

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from crystalgnn_core.sources.files.source import FilesSource


def file_inputs(
    folder: Path, entries: Sequence[Sequence[str]]
) -> Iterator[tuple[StructureInput, Sequence[str]]]:
    """Yield the structures of some files, each with the entry of its file.

    Args:
        folder: Where the files are.
        entries: Name, id and SHA-256 of each; an id without a name has no file.

    Raises:
        SourceError: A file changed.
    """
    for entry in entries:
        name, material_id, sha256 = entry
        if not name:
            missing = f"there is no file {material_id}.cif for this line of id_prop.csv"
            yield StructureInput(material_id, folder.name, partial(refuse, missing)), entry
            continue
        for given in inputs_of(unchanged(folder / name, sha256), material_id):
            yield given, entry


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
    pattern = source.pattern
    if source.labels is None and table is not None and pattern == STRUCTURE_PATTERNS:
        pattern = CIF.patterns  # nothing else is read by CGCNN
    folder, files = _folder_and_files(path, pattern)
    if table is None and (source.targets or source.formation_energy is not None):
        _require_values(path, files, is_energy=not source.targets)
    names = [file.relative_to(folder).as_posix() for file in files]
    ids = unique_ids(names)
    digests = sha256_of_files(files, notes)
    entries = [list(entry) for entry in zip(names, ids, digests, strict=True)]
    shared = {}
    if table is not None:
        opened = open_labels(table, source.columns.material_id)
        find_columns(opened, source.columns, source.targets, with_structures=False)
        shared = {"labels_sha256": file_sha256(table)}
        if not opened.has_names:
            entries += [["", name, ""] for name in ids_without_file(opened, ids)]
    starts = range(0, len(entries), source.part_size)
    return [shared | {"files": entries[at : at + source.part_size]} for at in starts]


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


def _folder_and_files(path: Path, patterns: Sequence[str]) -> tuple[Path, list[Path]]:
    """List the files of a folder, or a file, with the folder in which they are.

    Raises:
        SourceError: There is no file, or it is of no known kind.
    """
    if path.is_dir():
        return path, structure_files(path, patterns)
    known = known_patterns()
    if not (
        matches(path.name, (*patterns, *known)) or formats_of(path.name, head_of(path))
    ):
        raise SourceError(f"{path}: no supported kind of file, expected {', '.join(known)}")
    return path.parent, [path]


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
