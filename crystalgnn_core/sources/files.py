"""The source of files: a folder, a single structure, or a Parquet or CSV table."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from crystalgnn_core.artifacts import file_sha256
from crystalgnn_core.base import DIGEST_LENGTH, digest_of
from crystalgnn_core.errors import ConfigError, RecordError, SourceError
from crystalgnn_core.records.schema import RawRecord
from crystalgnn_core.sources.base import (
    BATCH_SIZE,
    SourceConfig,
    SourcePart,
    in_chunks,
)
from crystalgnn_core.sources.columns import (
    TableColumns,
    TargetColumn,
    find_columns,
    read_id,
    structure_content,
)
from crystalgnn_core.sources.structure_files import (
    STRUCTURE_PATTERNS,
    Piece,
    matches,
    pieces_of,
    read_pieces,
    structure_files,
    unique_ids,
)
from crystalgnn_core.sources.tables import TABLE_SUFFIXES, Table, open_table
from crystalgnn_core.targets import TargetName

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


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
    targets: dict[TargetName, TargetColumn] = Field(default_factory=dict)
    license: str | None = None
    source_version: str | None = None

    @model_validator(mode="after")
    def _labels_have_targets(self) -> FilesSource:
        if self.labels is not None and not self.targets:
            raise ValueError(
                f"labels is {self.labels!r} but targets is empty; name the label columns"
            )
        for name, target in self.targets.items():
            target.check(name)
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
        config = self.reading_digest()
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

    def reading_digest(self) -> str:
        """Return a digest of the settings that decide how rows are read.

        Settings that came later count only where they are used.
        """
        columns = self.targets.items()
        unused = {name: {"at_most"} for name, column in columns if column.at_most is None}
        apart = ("path", "labels", "pattern", "part_size", "citation")
        return self.settings_digest(
            exclude={**dict.fromkeys(apart, True), "targets": unused}
        )

    def _table_payloads(self, path: Path) -> list[dict[str, Any]]:
        if self.labels is not None:
            raise ConfigError(
                f"{path.name} is a table, so it cannot take a label table too"
            )
        table = open_table(path)
        self._columns_of(table, with_structures=True)
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
            self._columns_of(open_table(labels), with_structures=False)
            shared = {"labels_sha256": file_sha256(labels)}
        names = [file.relative_to(folder).as_posix() for file in files]
        entries = [
            [name, material_id, file_sha256(file)]
            for name, material_id, file in zip(names, unique_ids(names), files, strict=True)
        ]
        starts = range(0, len(entries), self.part_size)
        return [shared | {"files": entries[at : at + self.part_size]} for at in starts]

    def _columns_of(self, table: Table, *, with_structures: bool) -> dict[str, str]:
        return find_columns(
            table, self.columns, self.targets, with_structures=with_structures
        )

    def _read_rows(self, path: Path, payload: Mapping[str, Any]) -> Iterator[RawRecord]:
        if path.stat().st_size != payload["n_bytes"]:
            raise _changed(path)
        table = open_table(path)
        columns = self._columns_of(table, with_structures=True)
        rows = table.rows(payload, list(dict.fromkeys(columns.values())))
        numbered = enumerate(rows, start=payload["row"] + 1)
        for chunk in in_chunks(numbered, BATCH_SIZE):
            fields = [
                {name: row.get(column) for name, column in columns.items()}
                for _, row in chunk
            ]
            pieces = [
                Piece(
                    read_id(values["material_id"]),
                    f"{path.name} row {number}",
                    structure_content(
                        values["structure"], columns["structure"], is_ragged=not row
                    ),
                )
                for (number, row), values in zip(chunk, fields, strict=True)
            ]
            for record, values in zip(read_pieces(pieces), fields, strict=True):
                yield self._with_details(record, values, payload["sha256"])

    def _read_files(self, path: Path, payload: Mapping[str, Any]) -> Iterator[RawRecord]:
        folder = path if path.is_dir() else path.parent
        labels = self._label_rows(payload)
        for chunk in in_chunks(payload["files"], BATCH_SIZE):
            pieces, digests = [], []
            for name, material_id, sha256 in chunk:
                file = folder / name
                if not file.is_file() or file_sha256(file) != sha256:
                    raise _changed(file)
                own = pieces_of(file, material_id)
                pieces += own
                digests += [sha256] * len(own)
            for record, sha256 in zip(read_pieces(pieces), digests, strict=True):
                values = labels.get(record.material_id, {})
                yield self._with_details(record, values, sha256)

    def _label_rows(self, payload: Mapping[str, Any]) -> dict[str, dict[str, object]]:
        if self.labels is None:
            return {}
        path = _existing(self.labels)
        if file_sha256(path) != payload["labels_sha256"]:
            raise _changed(path)
        table = open_table(path)
        columns = self._columns_of(table, with_structures=False)
        labels: dict[str, dict[str, object]] = {}
        for piece in table.slices(self.part_size):
            for row in table.rows(piece, list(dict.fromkeys(columns.values()))):
                values = {name: row.get(column) for name, column in columns.items()}
                material_id = read_id(values["material_id"])
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
                labels[name] = target.read(name, values.get(name))
            except RecordError as error:
                message = f"{record.material_id}: {target.column}: {error}"
                return RawRecord(record.material_id, None, error=("invalid_label", message))
        split = values.get("split")
        return RawRecord(
            record.material_id,
            record.crystal,
            labels=labels,
            label_schemes=self._label_schemes,
            split=str(split).strip() or None if split is not None else None,
            source_version=self.source_version or sha256[:DIGEST_LENGTH],
            license=self.license,
        )

    @cached_property
    def _label_schemes(self) -> dict[str, str]:
        return {name: column.label_scheme for name, column in self.targets.items()}


def _folder_and_files(path: Path, patterns: Sequence[str]) -> tuple[Path, list[Path]]:
    if path.is_dir():
        return path, structure_files(path, patterns)
    if not matches(path.name, (*patterns, *STRUCTURE_PATTERNS)):
        known = ", ".join((*STRUCTURE_PATTERNS, *(f"*{end}" for end in TABLE_SUFFIXES)))
        raise SourceError(f"{path}: no supported kind of file, expected {known}")
    return path.parent, [path]


def _existing(path: str) -> Path:
    expanded = Path(path).expanduser()
    if not expanded.exists():
        raise SourceError(f"{expanded}: no such file or folder")
    return expanded


def _changed(path: Path) -> SourceError:
    return SourceError(
        f"{path}: changed or vanished while it was read; start the run again"
    )
