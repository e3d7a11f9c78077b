"""The source of files: folders, single structures, tables, frames, databases, entries."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator

from crystalgnn_core.base import DIGEST_LENGTH, LATER, digest_of
from crystalgnn_core.errors import ConfigError
from crystalgnn_core.sources.base import (
    BATCH_SIZE,
    SourceConfig,
    SourcePart,
    in_chunks,
)
from crystalgnn_core.sources.energies.formation import FormationEnergy
from crystalgnn_core.sources.files.cgcnn_folder import (
    CIF_PATTERN,
    ids_without_file,
    label_table_of,
    open_labels,
)
from crystalgnn_core.sources.files.labels import (
    FORMATION,
    Labelling,
    check_values,
    label_rows,
    values_beside,
    with_formation_energy,
    with_labels,
    with_run_type,
)
from crystalgnn_core.sources.files.parts import (
    file_pieces,
    folder_and_files,
    no_energies,
    require_values,
    with_version,
)
from crystalgnn_core.sources.formats.columns import TableColumns, TargetColumn, find_columns
from crystalgnn_core.sources.formats.pieces import Piece, read_pieces
from crystalgnn_core.sources.formats.row_files import RowFile, open_row_file
from crystalgnn_core.sources.formats.structures import (
    STRUCTURE_PATTERNS,
    changed,
    existing,
    unique_ids,
)
from crystalgnn_core.sources.formats.table_structures import table_pieces
from crystalgnn_core.sources.formats.tables import TABLE_SUFFIXES, open_table
from crystalgnn_core.storage.files import file_sha256
from crystalgnn_core.targets import TargetName

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from crystalgnn_core.records.schema import RawRecord


class FilesSource(SourceConfig):
    """Structures in files of the user.

    Attributes:
        path: A folder, one structure file, a `.parquet` or `.csv` table, or a file of many
            structures with values beside them: extended XYZ, an ASE database, or JSON of
            pymatgen's `ComputedStructureEntry`.
        pattern: File names that count as structures in a folder, any letter case.
        labels: Table that holds the labels of a folder's structures; a folder with CGCNN's
            `id_prop.csv` needs none.
        columns: Columns of the table, or of the label table.
        targets: Target name to the column, or value beside a structure, that holds it.
        formation_energy: How total energies beside the structures become formation
            energies; None leaves them alone.
        license: Licence of the rows.
        source_version: Release of the data; None takes the digest of the file.
    """

    kind: Literal["files"] = "files"
    path: str
    pattern: tuple[str, ...] = STRUCTURE_PATTERNS
    labels: str | None = None
    columns: TableColumns = TableColumns()
    targets: dict[TargetName, TargetColumn] = Field(default_factory=dict)
    formation_energy: Annotated[FormationEnergy | None, LATER] = None
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
        if self.formation_energy is not None and FORMATION in self.targets:
            raise ValueError(
                f"give {FORMATION} in targets or formation_energy, not in both"
            )
        return self

    def target_names(self) -> tuple[str, ...]:
        """Name the targets for which a column is given, and a computed formation energy."""
        return (*self.targets, *([] if self.formation_energy is None else [FORMATION]))

    def parts(self) -> list[SourcePart]:
        """List the parts: ranges of rows, or groups of files.

        Raises:
            SourceError: The path or its content is missing, or of no supported kind.
            ConfigError: A column is missing, or targets are set without a table.
        """
        path = existing(self.path)
        if path.is_dir():
            payloads = self._folder_payloads(path)
        elif path.suffix.lower() in TABLE_SUFFIXES:
            payloads = self._table_payloads(path)
        elif (rows := open_row_file(path)) is not None and self.labels is None:
            payloads = self._row_file_payloads(rows)
        else:
            payloads = self._folder_payloads(path)
        if self.formation_energy is not None:
            from crystalgnn_core.sources.energies.references import reference_energies

            references = {"references": reference_energies(self.formation_energy)}
            payloads = [payload | references for payload in payloads]
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
        path = existing(self.path)
        if "files" in part.payload:
            return self._read_files(path, part.payload)
        if path.stat().st_size != part.payload["n_bytes"]:
            raise changed(path)
        if path.suffix.lower() in TABLE_SUFFIXES:
            return self._read_table(path, part.payload)
        return self._read_row_file(path, part.payload)

    def reading_digest(self) -> str:
        """Return a digest of the settings that decide how rows are read.

        Settings that came later count only where they are used, and of references the
        energies rather than their place.
        """
        apart = ("path", "labels", "pattern", "part_size", "citation")
        exclude: dict[str, Any] = dict.fromkeys(apart, True)
        exclude["targets"] = {
            name: target.unused_fields() for name, target in self.targets.items()
        }
        if self.formation_energy is not None:
            exclude["formation_energy"] = {"references": {"path"}}
        return self.settings_digest(exclude=exclude)

    def _table_payloads(self, path: Path) -> list[dict[str, Any]]:
        if self.labels is not None:
            raise ConfigError(
                f"{path.name} is a table, so it cannot take a label table too"
            )
        if self.formation_energy is not None:
            raise no_energies(path)
        table = open_table(path)
        find_columns(table, self.columns, self.targets, with_structures=True)
        return with_version(path, table.slices(self.part_size))

    def _row_file_payloads(self, file: RowFile) -> list[dict[str, Any]]:
        slices = file.slices(self.part_size)
        check_values(file, slices, self.columns, self.targets)
        return with_version(file.path, slices)

    def _folder_payloads(self, path: Path) -> list[dict[str, Any]]:
        table = self._label_table(path)
        pattern = self.pattern
        if self.labels is None and table is not None and pattern == STRUCTURE_PATTERNS:
            pattern = (CIF_PATTERN,)  # nothing else is read by CGCNN
        folder, files = folder_and_files(path, pattern)
        if table is None and (self.targets or self.formation_energy is not None):
            require_values(path, files, is_energy=not self.targets)
        names = [file.relative_to(folder).as_posix() for file in files]
        ids = unique_ids(names)
        digests = map(file_sha256, files)
        entries = [list(entry) for entry in zip(names, ids, digests, strict=True)]
        shared = {}
        if table is not None:
            opened = open_labels(table, self.columns.material_id)
            find_columns(opened, self.columns, self.targets, with_structures=False)
            shared = {"labels_sha256": file_sha256(table)}
            if not opened.has_names:
                entries += [["", name, ""] for name in ids_without_file(opened, ids)]
        starts = range(0, len(entries), self.part_size)
        return [shared | {"files": entries[at : at + self.part_size]} for at in starts]

    def _label_table(self, path: Path) -> Path | None:
        """Return the table of labels that was named, or that of a folder of CGCNN."""
        if self.labels is not None:
            return existing(self.labels)
        return label_table_of(path) if self.targets and path.is_dir() else None

    def _read_table(self, path: Path, payload: Mapping[str, Any]) -> Iterator[RawRecord]:
        table = open_table(path)
        columns = find_columns(table, self.columns, self.targets, with_structures=True)
        version = self._version(payload["sha256"])
        for chunk in in_chunks(table_pieces(table, payload, columns), BATCH_SIZE):
            for piece, record in zip(chunk, read_pieces(chunk), strict=True):
                yield with_labels(record, piece.values, self._labelling, version)

    def _read_row_file(self, path: Path, payload: Mapping[str, Any]) -> Iterator[RawRecord]:
        file = open_row_file(path)
        if file is None:
            raise changed(path)
        pieces = file.rows(payload, self.columns.material_id)
        for chunk in in_chunks(pieces, BATCH_SIZE):
            for piece, record in zip(chunk, read_pieces(chunk), strict=True):
                yield self._with_values(record, piece, payload, payload["sha256"])

    def _read_files(self, path: Path, payload: Mapping[str, Any]) -> Iterator[RawRecord]:
        folder = path if path.is_dir() else path.parent
        table = self._label_table(path)
        labels: dict[str, dict[str, Any]] | None = None
        if table is not None:
            if file_sha256(table) != payload["labels_sha256"]:
                raise changed(table)
            opened = open_labels(table, self.columns.material_id)
            labels = label_rows(opened, self.columns, self.targets)
        for chunk in in_chunks(file_pieces(folder, payload["files"]), BATCH_SIZE):
            records = read_pieces([piece for piece, _ in chunk])
            for (piece, sha256), record in zip(chunk, records, strict=True):
                if labels is not None:
                    values = labels.get(record.material_id, {})
                    version = self._version(sha256)
                    yield with_labels(record, values, self._labelling, version)
                else:
                    yield self._with_values(record, piece, payload, sha256)

    def _with_values(
        self, record: RawRecord, piece: Piece, payload: Mapping[str, Any], sha256: str
    ) -> RawRecord:
        """Add what stands beside a structure, and what is computed of it."""
        values = values_beside(piece.values, self.columns, self.targets)
        version = self._version(sha256)
        record = with_labels(record, values, self._labelling, version)
        if self.formation_energy is not None:
            record = with_formation_energy(
                record, piece.values, self.formation_energy, payload["references"]
            )
        return with_run_type(record, piece.values)

    def _version(self, sha256: str) -> str:
        return self.source_version or sha256[:DIGEST_LENGTH]

    @cached_property
    def _labelling(self) -> Labelling:
        schemes = {name: column.label_scheme for name, column in self.targets.items()}
        return Labelling(self.targets, schemes, self.license)
