"""The source of files: folders, single structures, tables, frames, databases, entries."""

from __future__ import annotations

from functools import cached_property, partial
from itertools import starmap
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from crystalgnn_core.base import ADDED_LATER, DIGEST_LENGTH, NOT_CONTENT, digest_of
from crystalgnn_core.sources.base import (
    BATCH_SIZE,
    SourceConfig,
    SourcePart,
    SourcePlan,
    in_chunks,
    not_content,
    require_paths,
)
from crystalgnn_core.sources.energies.engine import correction_engine
from crystalgnn_core.sources.energies.formation import FormationEnergy
from crystalgnn_core.sources.files.cgcnn_folder import open_labels
from crystalgnn_core.sources.files.labels import (
    FORMATION,
    label_rows,
    values_beside,
    values_digest,
    with_formation_energy,
    with_labels,
    with_run_type,
)
from crystalgnn_core.sources.files.parts import (
    file_inputs,
    label_table,
    named_files,
    payloads_of,
)
from crystalgnn_core.sources.formats import CIF, STRUCTURE_PATTERNS, is_table
from crystalgnn_core.sources.formats.columns import TableColumns, TargetColumn, find_columns
from crystalgnn_core.sources.formats.folders import find_unsupported
from crystalgnn_core.sources.formats.structure_input import StructureInput, read_structures
from crystalgnn_core.sources.formats.structures import changed, existing, open_row_file
from crystalgnn_core.sources.formats.table_structures import table_inputs
from crystalgnn_core.sources.formats.tables import open_table
from crystalgnn_core.sources.ingest.origins import (
    origin_of,
    plan_by_file,
    readers_digest,
)
from crystalgnn_core.storage.files import file_sha256
from crystalgnn_core.storage.paths import whole_path
from crystalgnn_core.targets import TargetName

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from crystalgnn_core.records.schema import RawRecord
    from crystalgnn_core.sources.ingest.stored import StoredSource


class FilesSource(SourceConfig):
    """Structures in files of the user.

    Attributes:
        path: A folder, one structure file, a `.parquet` or `.csv` table, or a file of many
            structures with values beside them: extended XYZ, an ASE database, or JSON.
        pattern: File names that count as structures in a folder, any letter case, packed
            or not.
        labels: Table that holds the labels of a folder's structures; a folder with CGCNN's
            `id_prop.csv` needs none.
        columns: Columns of the table, or of the label table.
        targets: Target name to the column, or value beside a structure, that holds it.
        formation_energy: How total energies beside the structures become formation
            energies; None leaves them alone.
        license: Licence of the rows.
        source_version: Release of the data; None takes the digest of the file.
    """

    reading_version: ClassVar[int] = 1  # groups, sites and tables are read strictly

    kind: Literal["files"] = "files"
    path: Annotated[
        str, Field(description="a folder, a structure file or a table"), NOT_CONTENT
    ]
    pattern: Annotated[tuple[str, ...], NOT_CONTENT] = STRUCTURE_PATTERNS
    labels: Annotated[str | None, NOT_CONTENT] = None
    columns: TableColumns = TableColumns()
    targets: dict[TargetName, TargetColumn] = Field(default_factory=dict)
    formation_energy: Annotated[FormationEnergy | None, ADDED_LATER] = None
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

    def check_ready(self) -> None:
        """Check that the path and a label table exist."""
        require_paths(self.name, self.path, self.labels)

    def unsupported_files(self) -> list[tuple[str, str]]:
        """Name the files of a folder that no pattern expects, unless patterns are set."""
        path = existing(self.path)
        if self.pattern != STRUCTURE_PATTERNS or not path.is_dir():
            return []
        table = label_table(self, path)
        own = None if table is None else whole_path(table)
        if self.labels is not None or table is None:
            found = list(find_unsupported(path, self.pattern))
        else:
            read, other = (
                named_files(self, path, table),
                f"no line of {table.name} names it",
            )
            found = [
                (name, f"{name}: not read; {other}" if (path / name).exists() else why)
                for name, why in find_unsupported(path, CIF.patterns)
                if name not in read
            ]
        return [(name, why) for name, why in found if whole_path(path / name) != own]

    def label_engine(self) -> dict[str, str]:
        """Name what computes the corrections of energies."""
        return correction_engine(self.formation_energy)

    def plan(self, stored: StoredSource) -> SourcePlan:
        """List the parts: ranges of rows, or groups of files that are new or changed.

        Raises:
            SourceError: The path or its content is missing, or of no supported kind.
            ConfigError: A column is missing, or targets are set without a table.
        """
        path = existing(self.path)
        payloads = payloads_of(self, path, stored.folder / "digests.json")
        if self.formation_energy is not None:
            from crystalgnn_core.sources.energies.references import reference_energies

            energies = reference_energies(self.formation_energy, stored.folder)
            shared: dict[str, Any] = {"references": energies}
            if engine := self.label_engine():
                shared["engine"] = engine
            payloads = [payload | shared for payload in payloads]
        if "files" not in payloads[0]:
            return SourcePlan(parts=tuple(starmap(self.make_part, enumerate(payloads))))
        beside = None
        if label_table(self, path) is not None:
            beside = partial(self._labels_digests, path)
        return plan_by_file(self, stored, payloads, "files", beside)

    def read(self, part: SourcePart) -> Iterator[RawRecord]:
        """Yield a record for every row or structure of a part, unreadable ones included."""
        path = existing(self.path)
        if "files" in part.payload:
            return self._read_files(path, part.payload)
        if path.stat().st_size != part.payload["n_bytes"]:
            raise changed(path)
        if is_table(path):
            return self._read_table(path, part.payload)
        return self._read_row_file(path, part.payload)

    def reading_digest(self) -> str:
        """Return a digest of the settings that decide how rows are read.

        Settings of a column that came later count only where they are used.
        """
        unused = {name: target.unused_settings() for name, target in self.targets.items()}
        digest = self.settings_digest(exclude=not_content(self) | {"targets": unused})
        return digest_of([self.reading_version, digest])

    def _read_table(self, path: Path, payload: Mapping[str, Any]) -> Iterator[RawRecord]:
        table = open_table(path)
        columns = find_columns(table, self.columns, self.targets, with_structures=True)
        version = self._version(payload["sha256"])
        for chunk in in_chunks(table_inputs(table, payload, columns), BATCH_SIZE):
            for given, record in zip(chunk, read_structures(chunk), strict=True):
                yield with_labels(record, given.values, self, version)

    def _read_row_file(self, path: Path, payload: Mapping[str, Any]) -> Iterator[RawRecord]:
        file = open_row_file(path)
        if file is None:
            raise changed(path)
        file.structure_key = self.columns.structure
        inputs = file.rows(payload, self.columns.material_id)
        for chunk in in_chunks(inputs, BATCH_SIZE):
            for given, record in zip(chunk, read_structures(chunk), strict=True):
                yield self._with_values(record, given, payload, payload["sha256"])

    def _read_files(self, path: Path, payload: Mapping[str, Any]) -> Iterator[RawRecord]:
        folder = path if path.is_dir() else path.parent
        table = label_table(self, path)
        if table is not None and file_sha256(table) != payload["labels_sha256"]:
            raise changed(table)
        labels = self._labels(path)
        readers = readers_digest(payload.get("references"), payload.get("engine"))
        for chunk in in_chunks(file_inputs(folder, payload["files"]), BATCH_SIZE):
            records = read_structures([given for given, _ in chunk])
            for (given, entry), read in zip(chunk, records, strict=True):
                beside = ""
                if labels is not None:
                    values = labels.get(read.material_id, {})
                    beside = values_digest(values)
                    record = with_labels(read, values, self, self._version(entry[2]))
                else:
                    record = self._with_values(read, given, payload, entry[2])
                yield record._replace(origin=(origin_of(entry, readers), beside))

    def _labels(self, path: Path) -> dict[str, dict[str, Any]] | None:
        """Read the table of labels of a folder, if there is one."""
        table = label_table(self, path)
        if table is None:
            return None
        opened = open_labels(table, self.columns, self.targets)
        return label_rows(opened, self.columns, self.targets)

    def _labels_digests(self, path: Path, material_ids: Sequence[str]) -> list[str]:
        labels = self._labels(path) or {}
        return [values_digest(labels.get(name, {})) for name in material_ids]

    def _with_values(
        self,
        record: RawRecord,
        given: StructureInput,
        payload: Mapping[str, Any],
        sha256: str,
    ) -> RawRecord:
        """Add what stands beside a structure, and what is computed of it."""
        values = values_beside(given.values, self.columns, self.targets)
        version = self._version(sha256)
        record = with_labels(record, values, self, version)
        if self.formation_energy is not None:
            record = with_formation_energy(
                record, given.values, self.formation_energy, payload["references"]
            )
        return with_run_type(record, given.values)

    def _version(self, sha256: str) -> str:
        return self.source_version or sha256[:DIGEST_LENGTH]

    @cached_property
    def schemes(self) -> dict[str, str]:
        """Target name to label scheme."""
        return {name: column.label_scheme for name, column in self.targets.items()}
