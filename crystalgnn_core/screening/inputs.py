"""Structures in whatever form a user holds them, as raw records with ids."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crystalgnn_core.errors import InputError, RecordError
from crystalgnn_core.records.schema import RawRecord
from crystalgnn_core.sources.formats.objects import crystal_from_any
from crystalgnn_core.sources.formats.structures import (
    iter_structure_file,
    read_structure_text,
    structure_files,
    unique_ids,
)
from crystalgnn_core.sources.formats.table_structures import read_table
from crystalgnn_core.sources.formats.tables import TABLE_SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class StructureText:
    """CIF, POSCAR or JSON text that is no file; its content shows the format.

    Attributes:
        text: The text.
        name: Identifier; several structures get `-1`, `-2` ... appended.
    """

    text: str
    name: str


def read_inputs(structures: Any) -> Iterator[RawRecord]:  # noqa: ANN401  see predict
    """Yield one raw record per input structure; a file may hold several."""
    if isinstance(structures, str | Path | StructureText):
        yield from _from_source(structures)
    elif isinstance(structures, Mapping) and not _is_structure_dict(structures):
        for name, structure in structures.items():
            if isinstance(structure, str | Path | StructureText):
                yield from _from_source(structure, str(name))
            else:
                yield _from_object(str(name), structure)
    elif isinstance(structures, Iterable) and not _is_single(structures):
        for index, structure in enumerate(structures):
            if isinstance(structure, str | Path | StructureText):
                yield from _from_source(structure)
            else:
                yield _from_object(str(index), structure)
    else:
        yield _from_object("0", structures)


def _is_structure_dict(value: Mapping[Any, Any]) -> bool:
    return any(key in value for key in ("atoms", "lattice_mat", "@class", "lattice"))


def _is_single(value: object) -> bool:
    """Return whether this is one structure, which can be iterated over its sites."""
    return (
        hasattr(value, "lattice")
        or hasattr(value, "get_scaled_positions")
        or isinstance(value, Mapping)
    )


def _from_source(
    source: str | Path | StructureText, name: str | None = None
) -> Iterator[RawRecord]:
    if isinstance(source, StructureText):
        yield from read_structure_text(source.text, name or source.name)
    else:
        yield from _from_path(Path(source).expanduser(), name)


def _from_path(path: Path, name: str | None = None) -> Iterator[RawRecord]:
    """Read a file, folder or table.

    A given name is the id, or stands before those of a folder or table.
    """
    if "\n" in str(path):
        raise InputError("text was given in place of a path; read it with pymatgen first")
    if path.is_dir():
        files = structure_files(path)
        names = [file.relative_to(path).as_posix() for file in files]
        for file, own in zip(files, unique_ids(names), strict=True):
            yield from iter_structure_file(file, own if name is None else f"{name}/{own}")
    elif path.is_file() and path.suffix.lower() in TABLE_SUFFIXES:
        for record in read_table(path):
            own = record.material_id
            yield record._replace(material_id=own if name is None else f"{name}/{own}")
    elif path.is_file():
        yield from iter_structure_file(path, name)
    else:
        raise InputError(f"{path}: no such file or folder")


def _from_object(name: str, structure: Any) -> RawRecord:  # noqa: ANN401  see predict
    try:
        return RawRecord(name, crystal_from_any(structure))
    except RecordError as error:
        return RawRecord(name, None, error=(error.reason, str(error)))  # type: ignore[arg-type]
