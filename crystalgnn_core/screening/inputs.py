"""Structures in whatever form a user holds them, as raw records with ids."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from crystalgnn_core.errors import (
    ConfigError,
    InputError,
    RecordError,
    SourceError,
    printable,
)
from crystalgnn_core.records.schema import RawRecord
from crystalgnn_core.screening.input_ids import InputGroup, with_distinct_ids
from crystalgnn_core.sources.formats import STRUCTURE_PATTERNS, is_table
from crystalgnn_core.sources.formats.columns import (
    ID_COLUMNS,
    STRUCTURE_COLUMNS,
    named_columns,
    read_id,
    structure_content,
)
from crystalgnn_core.sources.formats.folders import find_unsupported
from crystalgnn_core.sources.formats.objects import crystal_from_any
from crystalgnn_core.sources.formats.parsing import read_row
from crystalgnn_core.sources.formats.structure_input import (
    StructureInput,
    read_structures,
)
from crystalgnn_core.sources.formats.structures import (
    ids_of_files,
    iter_structure_file,
    read_structure_text,
    stem_of,
    structure_files,
)
from crystalgnn_core.sources.formats.table_structures import are_ids, read_table
from crystalgnn_core.sources.formats.tables import is_index
from crystalgnn_core.storage.paths import local_path
from crystalgnn_core.wording import describe_missing, list_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


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
    named: Iterator[tuple[str | None, Any]]
    if isinstance(structures, list | tuple) and len(structures) == 1:
        [structures] = structures  # what keeps the only path from being read is an error
    if isinstance(structures, pd.DataFrame):
        yield from _from_frame(structures)
        return
    if isinstance(structures, pd.Series):
        values = zip(_labels(structures.index), structures, strict=True)
        named = ((name or None, structure) for name, structure in values)
    elif isinstance(structures, Mapping) and not _is_structure_dict(structures):
        named = ((str(name), structure) for name, structure in structures.items())
    elif isinstance(structures, Iterable) and not _is_single(structures):
        named = ((None, structure) for structure in structures)
    else:
        for group in _groups_of(0, None, structures):
            yield from group.records
        return
    yield from with_distinct_ids(
        group._replace(place=index)
        for index, (name, structure) in enumerate(named)
        for group in _or_reject(_groups_of(index, name, structure), structure)
    )


def _or_reject(groups: Iterator[InputGroup], given: object) -> Iterator[InputGroup]:
    """Make what keeps one of several paths from being read a reject of it."""
    own = printable(str(given))

    def refused(error: Exception) -> RawRecord:
        return RawRecord(own, None, error=("unreadable_structure", str(error)))

    def until_fault(records: Iterable[RawRecord]) -> Iterator[RawRecord]:
        try:
            yield from records
        except (ConfigError, SourceError) as error:
            yield refused(error)

    try:
        for group in groups:
            yield group._replace(records=until_fault(group.records))
    except (ConfigError, SourceError) as error:
        yield InputGroup(None, own, [refused(error)])


def _groups_of(index: int, name: str | None, structure: Any) -> Iterator[InputGroup]:  # noqa: ANN401  see predict
    if isinstance(structure, StructureText):
        records = read_structure_text(structure.text, name or structure.name)
        yield InputGroup(None, "", records)
    elif isinstance(structure, str | Path):
        for group in _from_path(local_path(structure), name):
            yield group if name is None else group._replace(path=None)
    else:
        own = str(index) if name is None else name
        yield InputGroup(None, "", [_from_object(own, structure)])


def _labels(index: pd.Index[Any]) -> list[str]:
    """Return the labels of rows as ids; none where pandas merely counts the rows."""
    is_count = index.equals(pd.RangeIndex(len(index))) and isinstance(index, pd.RangeIndex)
    return [""] * len(index) if is_count else [str(label) for label in index]


def _from_frame(frame: pd.DataFrame) -> Iterator[RawRecord]:
    """Read the rows of a table in memory as those of a file; its index may hold the ids."""
    columns = [str(name) for name in frame.columns]
    cells = _column_of(frame, columns, STRUCTURE_COLUMNS)
    if cells is None:
        raise InputError(
            f"the table has no column {' or '.join(STRUCTURE_COLUMNS)}; its columns are "
            f"{list_names(columns)}; give one, or a Series of structures or paths with the "
            "ids as its index"
        )
    named = _column_of(frame, columns, ID_COLUMNS)
    ids = _labels(frame.index) if named is None else list(map(read_id, named))
    if named is None and not any(ids):
        places = (at for at, name in enumerate(columns) if is_index(name))
        readings = (list(map(read_id, frame.iloc[:, place])) for place in places)
        ids = next(filter(are_ids, readings), ids)  # the first one, as of a file
    counted = named is None and not any(ids)
    for number, (name, value) in enumerate(zip(ids, cells, strict=True), start=1):
        own = str(number) if counted else name
        if isinstance(value, str | bytes | dict | float | None) or value is pd.NA:
            content = structure_content(value, str(cells.name))
            yield from read_structures([StructureInput(own, f"row {number}", content)])
        else:
            yield _from_object(own, value)


def _column_of(
    frame: pd.DataFrame, columns: Sequence[str], names: Sequence[str]
) -> pd.Series[Any] | None:
    """Return the column of the first of some names that is there, as in a file."""
    found = named_columns(columns, names, is_usual=True)
    places = [place for place, column in enumerate(columns) if column in found]
    if len(places) > 1:
        raise InputError(
            f"the table has several columns {list_names(found)}; rename all but one"
        )
    return frame.iloc[:, places[0]] if places else None


def _is_structure_dict(value: Mapping[Any, Any]) -> bool:
    return any(key in value for key in ("atoms", "lattice_mat", "@class", "lattice"))


def _is_single(value: object) -> bool:
    """Return whether this is one structure or path, though it can be iterated over."""
    has_sites = hasattr(value, "lattice") or hasattr(value, "get_scaled_positions")
    return has_sites or isinstance(value, str | Path | Mapping)


def _from_path(path: Path, name: str | None) -> Iterator[InputGroup]:
    """Read a file, folder or table; files of a folder that are of no known kind come last.

    A given name is the id, or stands before those of a folder or table.
    """
    before = "" if name is None else f"{name}/"
    if ("\n" in str(path) or len(path.name) > 255) and not os.path.lexists(path):
        raise InputError(
            f"{str(path)[:80]!r}: no such file; a text goes into StructureText(text, name)"
        )
    if path.is_dir():
        files = structure_files(path)
        names = [file.relative_to(path).as_posix() for file in files]
        for file, own in zip(files, ids_of_files(files, names), strict=True):
            given = before + own
            yield InputGroup(file, given, iter_structure_file(file, given))
        for own, why in find_unsupported(path, STRUCTURE_PATTERNS):
            record = RawRecord(before + own, None, error=("unsupported_file", why))
            yield InputGroup(path / own, before + own, [record])
    elif path.is_file() and is_table(path):
        rows = (
            row._replace(material_id=before + row.material_id) for row in read_table(path)
        )
        yield InputGroup(path, "", rows)
    elif path.is_file():
        own = printable(stem_of(path.name)) if name is None else name
        yield InputGroup(path, own, iter_structure_file(path, own))
    else:
        raise InputError(describe_missing(path))


def _from_object(name: str, structure: Any) -> RawRecord:  # noqa: ANN401  see predict
    found = read_row(partial(crystal_from_any, structure))
    if isinstance(found, RecordError):
        return RawRecord(name, None, error=(found.reason, str(found)))
    return RawRecord(name, found)
