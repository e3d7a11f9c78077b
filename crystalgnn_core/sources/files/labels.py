"""Labels of structures in files: what stands beside them becomes part of the record."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

from crystalgnn_core.base import short_digest
from crystalgnn_core.errors import ConfigError, RecordError
from crystalgnn_core.records.schema import RawRecord
from crystalgnn_core.sources.energies.formation import formation_energy_of
from crystalgnn_core.sources.energies.totals import calculation_of, run_type_of
from crystalgnn_core.sources.formats.columns import find_columns, read_id
from crystalgnn_core.sources.formats.parsing import refused_row
from crystalgnn_core.sources.formats.tables import FAULT
from crystalgnn_core.wording import list_names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from crystalgnn_core.sources.energies.formation import FormationEnergy
    from crystalgnn_core.sources.files.source import FilesSource
    from crystalgnn_core.sources.formats.columns import TableColumns, TargetColumn
    from crystalgnn_core.sources.formats.row_file import RowFile
    from crystalgnn_core.sources.formats.tables import Table

FORMATION = "formation_energy_per_atom"
_SLICE = 10_000  # rows that are read at a time


def with_labels(
    record: RawRecord, values: Mapping[str, Any], source: FilesSource, version: str
) -> RawRecord:
    """Add the labels and the split in `values`; an unreadable label becomes the error."""
    if record.crystal is None:
        return record
    n_sites = len(record.crystal.atomic_numbers)
    labels: dict[str, float | None] = {}
    for name, target in source.targets.items():
        try:
            labels[name] = target.read(name, values.get(name), n_sites)
        except RecordError as error:
            return refused_row(record.material_id, target.column, error)
    split = values.get("split")
    return RawRecord(
        record.material_id,
        record.crystal,
        labels=labels,
        label_schemes=source.schemes,
        split=str(split).strip() or None if split is not None else None,
        source_version=version,
        license=source.license,
    )


def with_formation_energy(
    record: RawRecord,
    values: Mapping[str, Any],
    config: FormationEnergy,
    references: Mapping[str, float],
) -> RawRecord:
    """Add the formation energy of the total energy in `values`, see `calculation_of`.

    Returns:
        The record with the label, or with the reason why there is none as its error.
    """
    if record.crystal is None:
        return record
    try:
        calculation = calculation_of(record.crystal, values)
        energy = formation_energy_of(calculation, config, references)
    except RecordError as error:
        return refused_row(record.material_id, "", error)
    return record._replace(
        labels={**record.labels, FORMATION: energy},
        label_schemes={**record.label_schemes, FORMATION: config.scheme},
    )


def with_run_type(record: RawRecord, values: Mapping[str, Any]) -> RawRecord:
    """Add the kind of calculation, if it stands beside a structure."""
    run_type = run_type_of(values) if values else None
    return record if run_type is None else record._replace(run_type=run_type)


def values_beside(
    values: Mapping[str, Any], columns: TableColumns, targets: Mapping[str, TargetColumn]
) -> dict[str, Any]:
    """Pick the columns of targets and split from what stands beside a structure."""
    picked = {name: values.get(target.column) for name, target in targets.items()}
    return picked | {"split": values.get(columns.split or "split")}


def values_digest(values: Mapping[str, Any]) -> str:
    """Return a digest of what a table of labels holds for a row."""
    return short_digest(repr(sorted(values.items())))


def check_values(
    file: RowFile,
    slices: Sequence[Mapping[str, Any]],
    columns: TableColumns,
    targets: Mapping[str, TargetColumn],
) -> None:
    """Check that some row of a file holds each of the values that are asked for.

    Raises:
        ConfigError: One is nowhere; the message lists those that the first row has.
    """
    asked = {target.column for target in targets.values()}
    asked |= {name for name in (columns.material_id, columns.split) if name is not None}
    first: list[str] = []
    for given in chain.from_iterable(map(file.rows, slices)) if asked else ():
        first = first or sorted(map(str, given.values))
        asked -= given.values.keys()
        if not asked:
            return
    if asked and slices:
        names = list_names(first) or "no values"
        raise ConfigError(
            f"{file.path.name}: no row of this {file.kind} holds "
            f"{', '.join(sorted(asked))}; the first has {names}"
        )


def label_rows(
    table: Table, columns: TableColumns, targets: Mapping[str, TargetColumn]
) -> dict[str, dict[str, Any]]:
    """Read a table of labels whole: id to what the columns of targets and split hold."""
    places = find_columns(table, columns, targets, with_structures=False)
    labels: dict[str, dict[str, Any]] = {}
    for part in table.slices(_SLICE):
        for row in table.rows(part, list(dict.fromkeys(places.values()))):
            values: dict[str, Any] = {name: row.get(at) for name, at in places.items()}
            material_id = read_id(values["material_id"])
            if FAULT in row:  # no place is sure but that of the id
                fault = f"on an uneven line of {table.path.name}"
                values = dict.fromkeys(targets, fault)
            if material_id in labels:  # two answers to one question are none
                values = dict.fromkeys(targets, f"given twice in {table.path.name}")
            labels[material_id] = values
    return labels
