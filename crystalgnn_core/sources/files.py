"""Structures from files: a folder, a single file, or a Parquet or CSV table."""

from __future__ import annotations

import csv
import json
import math
import sys
from collections import Counter
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field, model_validator

from crystalgnn_core.artifacts import file_sha256
from crystalgnn_core.base import DIGEST_LENGTH, FrozenModel, digest_of
from crystalgnn_core.errors import ConfigError, RecordError, SourceError
from crystalgnn_core.records.schema import RawRecord, RejectReason
from crystalgnn_core.records.validation import label_value
from crystalgnn_core.sources.base import SourceConfig, SourcePart
from crystalgnn_core.sources.convert import (
    cif_blocks,
    crystal_from_any,
    crystal_from_cif,
    crystal_from_poscar,
    crystal_from_text,
)
from crystalgnn_core.targets import get_target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from crystalgnn_core.records.crystal import Crystal

STRUCTURE_PATTERNS = ("*.cif", "POSCAR*", "CONTCAR*", "*.vasp", "*.poscar", "*.json")
STRUCTURE_SUFFIXES = (".cif", ".vasp", ".poscar", ".json")
TABLE_SUFFIXES = (".parquet", ".csv")
ID_COLUMNS = ("material_id", "candidate_id", "id")
STRUCTURE_COLUMNS = ("cif", "structure")


class TargetColumn(FrozenModel):
    """Where a target's labels stand and how they were computed.

    Attributes:
        column: Name of the column.
        label_scheme: Label scheme of its values.
        scale: Factor that turns its values into the unit of the target.
    """

    column: str
    label_scheme: Annotated[str, Field(min_length=1)]
    scale: Annotated[float, Field(allow_inf_nan=False)] = 1.0


class TableColumns(FrozenModel):
    """Columns of a table; None takes the first usual name that is there.

    Attributes:
        structure: CIF text, or JSON of a pymatgen structure or of JARVIS atoms.
        material_id: Identifier; also keys the label table of a folder.
        split: `train`, `val` or `test`.
    """

    structure: str | None = None
    material_id: str | None = None
    split: str | None = None


class FilesSource(SourceConfig):
    """Structures in files of the user.

    Attributes:
        path: A folder, one structure file, or a `.parquet` or `.csv` table.
        pattern: File names that count as structures in a folder, any letter case.
        labels: Table that holds the labels of a folder's structures.
        columns: Columns of the table, or of the label table.
        targets: Target name to the column that holds it.
        license: Licence of the rows.
        source_version: Release of the data; None takes the digest of the file.
    """

    kind: Literal["files"] = "files"
    path: str
    pattern: tuple[str, ...] = STRUCTURE_PATTERNS
    labels: str | None = None
    columns: TableColumns = TableColumns()
    targets: Annotated[dict[str, TargetColumn], Field(default_factory=dict)]
    license: str | None = None
    source_version: str | None = None

    @model_validator(mode="after")
    def _check_targets(self) -> FilesSource:
        for name in self.targets:
            get_target(name)
        if self.labels is not None and not self.targets:
            raise ConfigError(
                f"labels is {self.labels!r} but targets is empty; name the label columns"
            )
        return self

    def target_names(self) -> tuple[str, ...]:
        """Name the targets for which a column is given."""
        return tuple(self.targets)

    def parts(self) -> list[SourcePart]:
        """List the parts: row ranges of a table, or groups of files.

        Raises:
            SourceError: The path or its content is missing, or of no supported kind.
            ConfigError: A column is missing, or targets are set without a table.
        """
        path = _existing(self.path)
        if path.suffix.lower() in TABLE_SUFFIXES and path.is_file():
            payloads = self._table_payloads(path)
        else:
            payloads = self._folder_payloads(path)
        config = self.settings_digest(exclude={"path", "labels", "pattern", "part_size"})
        return [
            SourcePart(index=index, digest=digest_of([config, payload]), payload=payload)
            for index, payload in enumerate(payloads)
        ]

    def read(self, part: SourcePart) -> Iterator[RawRecord]:
        """Yield a record for every row or structure of a part, unreadable ones included.

        Raises:
            SourceError: A file changed after the parts were listed.
        """
        path = _existing(self.path)
        if "files" in part.payload:
            return self._read_files(path, part.payload)
        return self._read_rows(path, part.payload)

    def _table_payloads(self, path: Path) -> list[dict[str, Any]]:
        if self.labels is not None:
            raise ConfigError(
                f"{path.name} is a table, so it cannot take a label table too"
            )
        table = _open_table(path)
        self._columns_of(table, structures=True)
        slices = table.slices(self.part_size)
        if not slices:
            raise SourceError(f"{path}: the table holds no rows; expected at least one")
        version = {"sha256": file_sha256(path), "n_bytes": path.stat().st_size}
        return [version | piece for piece in slices]

    def _folder_payloads(self, path: Path) -> list[dict[str, Any]]:
        if self.targets and self.labels is None:
            raise ConfigError(
                f"targets are set but {path} is no table; name the label table in labels"
            )
        folder, files = _folder_and_files(path, self.pattern)
        shared = {}
        if self.labels is not None:
            labels = _existing(self.labels)
            self._columns_of(_open_table(labels), structures=False)
            shared = {"labels_sha256": file_sha256(labels)}
        names = [file.relative_to(folder).as_posix() for file in files]
        entries = [
            [name, material_id, file_sha256(file)]
            for name, material_id, file in zip(
                names, _unique_ids(names), files, strict=True
            )
        ]
        starts = range(0, len(entries), self.part_size)
        return [shared | {"files": entries[at : at + self.part_size]} for at in starts]

    def _columns_of(self, table: _Table, *, structures: bool) -> dict[str, str]:
        """Map `material_id`, `structure`, `split` and targets to the columns of a table."""
        given = self.columns
        found = {"material_id": _pick_column(table, given.material_id, ID_COLUMNS)}
        if structures:
            found["structure"] = _pick_column(table, given.structure, STRUCTURE_COLUMNS)
        if given.split is not None or "split" in table.columns:
            found["split"] = _pick_column(table, given.split, ("split",))
        for name, target in self.targets.items():
            found[name] = _pick_column(table, target.column, ())
        return found

    def _read_rows(self, path: Path, payload: Mapping[str, Any]) -> Iterator[RawRecord]:
        if path.stat().st_size != payload["n_bytes"]:
            raise _changed(path)
        table = _open_table(path)
        columns = self._columns_of(table, structures=True)
        rows = table.rows(payload, list(columns.values()))
        for number, row in enumerate(rows, start=payload["row"] + 1):
            values = {name: row.get(column) for name, column in columns.items()}
            record = _record(
                _id_of(values["material_id"]),
                f"{path.name} row {number}",
                _cell_reader(values["structure"], columns["structure"], is_ragged=not row),
            )
            yield self._with_details(record, values, payload["sha256"])

    def _read_files(self, path: Path, payload: Mapping[str, Any]) -> Iterator[RawRecord]:
        folder = path if path.is_dir() else path.parent
        labels = self._label_rows(payload)
        for name, material_id, sha256 in payload["files"]:
            file = folder / name
            if not file.is_file() or file_sha256(file) != sha256:
                raise _changed(file)
            for record in read_structure_file(file, material_id):
                values = labels.get(record.material_id, {})
                yield self._with_details(record, values, sha256)

    def _label_rows(self, payload: Mapping[str, Any]) -> dict[str, dict[str, object]]:
        if self.labels is None:
            return {}
        path = _existing(self.labels)
        if file_sha256(path) != payload["labels_sha256"]:
            raise _changed(path)
        table = _open_table(path)
        columns = self._columns_of(table, structures=False)
        labels: dict[str, dict[str, object]] = {}
        for piece in table.slices(self.part_size):
            for row in table.rows(piece, list(columns.values())):
                values = {name: row.get(column) for name, column in columns.items()}
                material_id = _id_of(values["material_id"])
                if material_id in labels:  # two answers to one question are none
                    values = dict.fromkeys(self.targets, f"given twice in {path.name}")
                labels[material_id] = values
        return labels

    def _with_details(
        self, record: RawRecord, values: Mapping[str, object], sha256: str
    ) -> RawRecord:
        """Add labels, split, version and licence; an unreadable label becomes the error."""
        if record.error is not None:
            return record
        labels: dict[str, float | None] = {}
        for name, target in self.targets.items():
            try:
                value = label_value(values.get(name))
            except RecordError as error:
                message = f"{record.material_id}: {target.column}: {error}"
                return RawRecord(record.material_id, None, error=("invalid_label", message))
            labels[name] = None if value is None else value * target.scale
        split = values.get("split")
        return replace(
            record,
            labels=labels,
            label_schemes={
                name: column.label_scheme for name, column in self.targets.items()
            },
            split=str(split).strip() or None if split is not None else None,
            source_version=self.source_version or sha256[:DIGEST_LENGTH],
            license=self.license,
        )


def structure_files(
    folder: Path, patterns: Sequence[str] = STRUCTURE_PATTERNS
) -> list[Path]:
    """List the structure files of a folder and the folders in it, sorted by name.

    Hidden files and folders are left out.

    Raises:
        SourceError: There is none.
    """
    lowered = [pattern.lower() for pattern in patterns]
    files = [
        path
        for path in folder.rglob("*")
        if any(fnmatchcase(path.name.lower(), pattern) for pattern in lowered)
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
    ]
    if not files:
        raise SourceError(
            f"no structure files in {folder}, expected names like {', '.join(patterns)}"
        )
    return sorted(files, key=lambda path: path.relative_to(folder).as_posix())


def read_structure_file(path: Path, material_id: str | None = None) -> list[RawRecord]:
    """Read every structure of a CIF, POSCAR or JSON file.

    Args:
        path: The file; its suffix tells the format, no known suffix means POSCAR.
        material_id: Identifier; None takes the file name without suffix. Several
            structures in one file get `-1`, `-2` ... appended; a JARVIS `jid` wins.

    Returns:
        One record a structure, with its error if it cannot be read.
    """
    name = material_id or _stem(path.name)
    # a stray byte in a comment must not cost the structure; junk fails in the parser
    text = path.read_bytes().decode("utf-8-sig", errors="replace")
    pieces = _pieces(text, path.suffix.lower())
    records = []
    for number, (given, reader) in enumerate(pieces, start=1):
        own = name if len(pieces) == 1 else f"{name}-{number}"
        records.append(_record(given or own, path.name, reader))
    return records


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
        return [("", partial(_refuse, f"not valid JSON ({error})"))]
    entries = value if isinstance(value, list) else [value]
    if not entries:
        return [("", partial(_refuse, "the JSON list is empty"))]
    return [
        (str(entry.get("jid", "")), partial(crystal_from_any, entry))
        if isinstance(entry, dict)
        else ("", partial(_refuse, f"JSON {type(entry).__name__} is no structure"))
        for entry in entries
    ]


def _cell_reader(value: object, column: str, *, is_ragged: bool) -> Callable[[], Crystal]:
    """Return a reader for the structure column of one row."""
    if is_ragged:
        return partial(_refuse, "the row has not as many fields as the header")
    if isinstance(value, str) and value.strip():
        return partial(crystal_from_text, value)
    if isinstance(value, dict):
        return partial(crystal_from_any, value)
    return partial(_refuse, f"column {column} is empty, expected CIF text or JSON")


def _refuse(message: str) -> Crystal:
    raise RecordError("unreadable_structure", message)


def _record(material_id: str, where: str, reader: Callable[[], Crystal]) -> RawRecord:
    try:
        crystal = reader()
        if not material_id:
            raise RecordError("missing_id", "the id is empty; give every row its own id")
    except RecordError as error:
        name = f"{material_id}: {where}" if material_id else where
        reason = cast("RejectReason", error.reason)
        return RawRecord(material_id, None, error=(reason, f"{name}: {error}"))
    return RawRecord(material_id, crystal)


class _ParquetTable:
    """A Parquet file, read by row ranges."""

    def __init__(self, path: Path) -> None:
        try:
            self._file = pq.ParquetFile(path)
        except (pa.ArrowException, OSError) as error:
            raise SourceError(f"{path}: not a readable Parquet file ({error})") from error
        self.path = path
        self.columns = [str(name) for name in self._file.schema_arrow.names]

    def slices(self, size: int) -> list[dict[str, int]]:
        n_rows = self._file.metadata.num_rows
        starts = range(0, n_rows, size)
        return [{"row": start, "n_rows": min(size, n_rows - start)} for start in starts]

    def rows(
        self, piece: Mapping[str, Any], columns: list[str]
    ) -> Iterator[dict[str, object]]:
        start, stop = piece["row"], piece["row"] + piece["n_rows"]
        groups: list[int] = []
        first = at = 0
        for group in range(self._file.num_row_groups):
            end = at + self._file.metadata.row_group(group).num_rows
            if at < stop and end > start:
                first = first if groups else at
                groups.append(group)
            at = end
        at = first
        batches = self._file.iter_batches(1024, row_groups=groups, columns=columns)
        while at < stop:
            try:
                batch = next(batches)
            except (pa.ArrowException, OSError) as error:
                raise SourceError(f"{self.path}: damaged Parquet file ({error})") from error
            wanted = batch.slice(max(start - at, 0), stop - max(start, at))
            yield from wanted.to_pylist()
            at += batch.num_rows


class _CsvTable:
    """A CSV file, read as text, so that ids keep their leading zeros."""

    def __init__(self, path: Path) -> None:
        csv.field_size_limit(sys.maxsize)  # CIF texts pass the default of 128 KiB
        self.path = path
        header = next(self._records(0), None)
        if header is None:
            raise SourceError(f"{path}: the file is empty; expected a header line")
        self._start = header[0]
        self.columns = [name.strip().removeprefix("\ufeff") for name in header[1]]

    def _records(self, offset: int) -> Iterator[tuple[int, list[str]]]:
        """Yield the fields of each record and the byte at which the next one starts."""
        with self.path.open("rb") as stream:
            stream.seek(offset)
            lines = (
                line.decode("utf-8", errors="replace")
                for line in iter(stream.readline, b"")
            )
            try:
                for fields in csv.reader(lines):
                    if fields:
                        yield stream.tell(), fields
            except csv.Error as error:
                raise SourceError(
                    f"{self.path}: not a readable CSV file ({error})"
                ) from error

    def slices(self, size: int) -> list[dict[str, int]]:
        pieces: list[dict[str, int]] = []
        start = self._start
        for row, (end, _) in enumerate(self._records(self._start)):
            if row % size == 0:
                pieces.append({"row": row, "n_rows": 0, "offset": start})
            pieces[-1]["n_rows"] += 1
            start = end
        return pieces

    def rows(
        self, piece: Mapping[str, Any], columns: list[str]
    ) -> Iterator[dict[str, object]]:
        """Yield the wanted columns of each row; nothing of a row of the wrong length."""
        places = {name: self.columns.index(name) for name in columns}
        for _, fields in islice(self._records(piece["offset"]), piece["n_rows"]):
            is_whole = len(fields) == len(self.columns)
            yield {name: fields[at] for name, at in places.items()} if is_whole else {}


_Table = _ParquetTable | _CsvTable


def _open_table(path: Path) -> _Table:
    suffix = path.suffix.lower()
    if suffix not in TABLE_SUFFIXES:
        raise SourceError(f"{path}: a table must be {' or '.join(TABLE_SUFFIXES)}")
    return _ParquetTable(path) if suffix == ".parquet" else _CsvTable(path)


def _pick_column(table: _Table, wanted: str | None, usual: tuple[str, ...]) -> str:
    names = (wanted,) if wanted is not None else usual
    for name in names:
        if name in table.columns:
            return name
    raise ConfigError(
        f"{table.path.name} has no column {' or '.join(names)}; "
        f"its columns are {', '.join(table.columns)}"
    )


def _folder_and_files(path: Path, patterns: Sequence[str]) -> tuple[Path, list[Path]]:
    if path.is_dir():
        return path, structure_files(path, patterns)
    lowered = [pattern.lower() for pattern in (*patterns, *STRUCTURE_PATTERNS)]
    if not any(fnmatchcase(path.name.lower(), pattern) for pattern in lowered):
        known = ", ".join((*STRUCTURE_PATTERNS, *(f"*{end}" for end in TABLE_SUFFIXES)))
        raise SourceError(f"{path}: no supported kind of file, expected {known}")
    return path.parent, [path]


def _unique_ids(names: Sequence[str]) -> list[str]:
    """Strip the suffix of each name, unless two names would become one."""
    stems = [_stem(name) for name in names]
    counts = Counter(stems)
    pairs = zip(names, stems, strict=True)
    return [stem if counts[stem] == 1 else name for name, stem in pairs]


def _stem(name: str) -> str:
    # only known suffixes: POSCAR.mp-149 keeps its ending
    is_known = Path(name).suffix.lower() in STRUCTURE_SUFFIXES
    return name.rpartition(".")[0] if is_known else name


def _id_of(value: object) -> str:
    if isinstance(value, float):  # a column of integers with gaps reads back as floats
        if math.isnan(value):
            return ""
        value = int(value) if value.is_integer() else value
    return "" if value is None else str(value).strip()


def _existing(path: str) -> Path:
    expanded = Path(path).expanduser()
    if not expanded.exists():
        raise SourceError(f"{expanded}: no such file or folder")
    return expanded


def _changed(path: Path) -> SourceError:
    return SourceError(
        f"{path}: changed or vanished while it was read; start the run again"
    )
