"""Turn what a source read into a row of the record table, or a reject with a reason."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, cast

import numpy as np
import pyarrow as pa

from crystalgnn_core.base import digest_of
from crystalgnn_core.errors import RecordError
from crystalgnn_core.records.crystal import structure_digest
from crystalgnn_core.records.labels import check_requirement, checked_labels
from crystalgnn_core.records.naming import name_composition
from crystalgnn_core.records.overlap import find_overlap
from crystalgnn_core.records.schema import (
    SPLITS,
    RejectedRecord,
    RejectReason,
    record_schema,
    reject_schema,
)
from crystalgnn_core.records.soundness import is_clearly_sound
from crystalgnn_core.targets import TARGETS, scheme_column

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from crystalgnn_core.records.crystal import Crystal
    from crystalgnn_core.records.labels import LabelRequirement
    from crystalgnn_core.records.schema import RawRecord

MIN_DISTANCE = 0.5  # angstrom; the shortest bond, H2, is 0.74
MIN_VOLUME_PER_ATOM = 1.0  # cubic angstrom; diamond, the densest in atoms, has 5.7
MAX_LATTICE_ENTRY = 1e4  # angstrom; beyond, rounding swamps the cell volume
_LABEL_COLUMNS = tuple((target, scheme_column(target)) for target in TARGETS)


def validate(
    raw: RawRecord,
    *,
    source: str,
    targets: tuple[str, ...],
    require_labels: LabelRequirement,
) -> dict[str, object] | RejectedRecord:
    """Check one record.

    Args:
        raw: What the source read.
        source: Name under which the record is stored.
        targets: Targets for which the source can hold labels; none lifts the requirement.
        require_labels: Whether all, any or none of `targets` must carry a label.

    Returns:
        A row of `record_schema()`, or the reject of the first check that failed.

    Raises:
        ConfigError: The source gave a label of an unknown target.
    """
    try:
        crystal = _checked_crystal(raw)
        labels = checked_labels(raw)
        check_requirement(labels, targets, require_labels)
        _check_split(raw.split)
    except RecordError as error:
        return _rejected(raw, source, error)
    return _row(raw, source, crystal, labels)


def records_table(rows: Iterable[Mapping[str, object]]) -> pa.Table:
    """Collect validated rows into a table with `record_schema()`."""
    return pa.Table.from_pylist(list(rows), schema=record_schema())


def rejects_table(rejects: Iterable[RejectedRecord]) -> pa.Table:
    """Collect rejected rows into a table with `reject_schema()`."""
    return pa.Table.from_pylist(
        [asdict(reject) for reject in rejects], schema=reject_schema()
    )


def content_digest(row: Mapping[str, object]) -> str:
    """Name what a row says: structure, labels, schemes, split, run type and licence.

    `last_updated` and `source_version` are left out, so that a new release of a database
    touches only the rows that differ. Missing labels are left out, so that a new target
    in the table of targets leaves old digests as they are.
    """
    names = ["structure_digest", "split", "run_type", "license"]
    for target, scheme in _LABEL_COLUMNS:
        if row.get(target) is not None:
            names += [target, scheme]
    return digest_of({name: row.get(name) for name in names})


def _checked_crystal(raw: RawRecord) -> Crystal:
    if raw.error is not None:
        raise RecordError(*raw.error)
    if not raw.material_id.strip():
        raise RecordError("missing_id", "the row has no id; give every row its own id")
    if raw.crystal is None:
        raise RecordError(
            "unreadable_structure", "there is no structure; mend the source row"
        )
    if not is_clearly_sound(
        raw.crystal,
        distance=MIN_DISTANCE,
        volume_per_atom=MIN_VOLUME_PER_ATOM,
        entry=MAX_LATTICE_ENTRY,
    ):
        _check_structure(raw.crystal)
    return raw.crystal


def _check_structure(crystal: Crystal) -> None:
    """Run the checks that name a fault."""
    _check_arrays(crystal)
    _check_cell(crystal)
    overlap = find_overlap(crystal, MIN_DISTANCE)
    if overlap is not None:
        first, second, distance = overlap
        whom = f"atom {second}" if first != second else "its own periodic image"
        raise RecordError(
            "overlapping_atoms",
            f"atom {first} is {distance:.3f} angstrom from {whom}, expected at least "
            f"{MIN_DISTANCE}; remove the duplicate or correct the cell",
        )


def _check_arrays(crystal: Crystal) -> None:
    numbers, lattice, coords = crystal
    if numbers.size == 0:
        raise RecordError("no_atoms", "the cell holds no atoms; give at least one site")
    if lattice.shape != (3, 3) or coords.shape != (len(numbers), 3):
        raise RecordError(
            "unreadable_structure",
            f"{len(numbers)} atoms with lattice {lattice.shape} and coordinates "
            f"{coords.shape}, expected (3, 3) and ({len(numbers)}, 3); mend the source row",
        )
    if numbers.min() < 1 or numbers.max() > 118:
        bad = int(np.flatnonzero((numbers < 1) | (numbers > 118))[0])
        raise RecordError(
            "unknown_element",
            f"site {bad} has atomic number {numbers[bad]}, expected 1 to 118; "
            "give every site an element",
        )
    if not (np.isfinite(lattice).all() and np.isfinite(coords).all()):
        raise RecordError(
            "unreadable_structure",
            "lattice or coordinates hold NaN or infinity, expected numbers; mend the file",
        )


def _check_cell(crystal: Crystal) -> None:
    longest = float(np.abs(crystal.lattice).max())
    if longest > MAX_LATTICE_ENTRY:
        raise RecordError(
            "degenerate_cell",
            f"a lattice vector is {longest:.3g} angstrom long, expected at most "
            f"{MAX_LATTICE_ENTRY:g}; check the units of the cell",
        )
    volume = abs(float(np.linalg.det(crystal.lattice))) / len(crystal.atomic_numbers)
    if volume < MIN_VOLUME_PER_ATOM:
        raise RecordError(
            "degenerate_cell",
            f"the cell has {volume:.3g} cubic angstrom an atom, expected at least "
            f"{MIN_VOLUME_PER_ATOM:g}; check the lattice vectors and their units",
        )


def _check_split(split: str | None) -> None:
    if split is not None and split not in SPLITS:
        raise RecordError(
            "invalid_label",
            f"split is {split!r}, expected one of {', '.join(SPLITS)} or none",
        )


def _rejected(raw: RawRecord, source: str, error: RecordError) -> RejectedRecord:
    name = raw.material_id or "(no id)"
    message = str(error)
    return RejectedRecord(
        source=source,
        material_id=raw.material_id,
        stage="ingest",
        reason=cast("RejectReason", error.reason),
        message=message if message.startswith(name) else f"{name}: {message}",
    )


def _row(
    raw: RawRecord, source: str, crystal: Crystal, labels: Mapping[str, float]
) -> dict[str, object]:
    numbers = crystal.atomic_numbers.tolist()
    formula, chemsys = name_composition(
        tuple([(number, numbers.count(number)) for number in sorted(set(numbers))])
    )
    row: dict[str, object] = {
        "source": source,
        "material_id": raw.material_id,
        "formula": formula,
        "chemsys": chemsys,
        "n_sites": len(numbers),
        "atomic_numbers": numbers,
        "lattice": crystal.lattice.ravel().tolist(),
        "frac_coords": crystal.frac_coords.ravel().tolist(),
        "split": raw.split,
        "run_type": raw.run_type,
        "source_version": raw.source_version,
        "last_updated": raw.last_updated,
        "license": raw.license,
        "structure_digest": structure_digest(crystal),
    }
    for name, value in labels.items():
        row[name] = value
        row[scheme_column(name)] = raw.label_schemes[name]
    row["content_digest"] = content_digest(row)
    return row
