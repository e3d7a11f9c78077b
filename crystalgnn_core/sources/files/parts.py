"""The parts of a source of files: which files there are, and what is in them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from crystalgnn_core.errors import ConfigError, SourceError
from crystalgnn_core.sources.formats.folders import matches
from crystalgnn_core.sources.formats.pieces import Piece, refuse
from crystalgnn_core.sources.formats.row_files import may_hold_values
from crystalgnn_core.sources.formats.structures import (
    KNOWN_PATTERNS,
    changed,
    pieces_of,
    structure_files,
)
from crystalgnn_core.sources.formats.tables import TABLE_SUFFIXES
from crystalgnn_core.storage.files import file_sha256

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


def file_pieces(
    folder: Path, entries: Sequence[Sequence[str]]
) -> Iterator[tuple[Piece, str]]:
    """Yield the structures of some files, each with the digest of its file.

    Args:
        folder: Where the files are.
        entries: Name, id and SHA-256 of each; an id without a name has no file.

    Raises:
        SourceError: A file changed.
    """
    for name, material_id, sha256 in entries:
        if not name:
            missing = f"there is no file {material_id}.cif for this line of id_prop.csv"
            yield Piece(material_id, folder.name, partial(refuse, missing)), sha256
            continue
        file = folder / name
        if not file.is_file() or file_sha256(file) != sha256:
            raise changed(file)
        for piece in pieces_of(file, material_id):
            yield piece, sha256


def with_version(path: Path, slices: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add digest and size of a file to its ranges of rows.

    Raises:
        SourceError: There are no rows.
    """
    if not slices:
        raise SourceError(f"{path}: the file holds no rows; expected at least one")
    version = {"sha256": file_sha256(path), "n_bytes": path.stat().st_size}
    return [version | piece for piece in slices]


def folder_and_files(path: Path, patterns: Sequence[str]) -> tuple[Path, list[Path]]:
    """List the files of a folder, or a file, with the folder in which they are.

    Raises:
        SourceError: There is no file, or it is of no known kind.
    """
    if path.is_dir():
        return path, structure_files(path, patterns)
    if not matches(path.name, (*patterns, *KNOWN_PATTERNS)):
        known = ", ".join((*KNOWN_PATTERNS, *(f"*{end}" for end in TABLE_SUFFIXES)))
        raise SourceError(f"{path}: no supported kind of file, expected {known}")
    return path.parent, [path]


def require_values(path: Path, files: Sequence[Path], *, is_energy: bool) -> None:
    """Check that values may stand beside the structures of some file.

    Raises:
        ConfigError: All of them hold bare structures.
    """
    if any(map(may_hold_values, files)):
        return
    if is_energy:
        raise no_energies(path)
    raise ConfigError(
        f"targets are set but {path} is no table; name the label table in labels"
    )


def no_energies(path: Path) -> ConfigError:
    """Make the error of bare structures of which formation energies are asked."""
    return ConfigError(
        f"formation_energy is set but {path} holds no total energies; expected extended "
        "XYZ, an ASE database or JSON of ComputedStructureEntry"
    )
