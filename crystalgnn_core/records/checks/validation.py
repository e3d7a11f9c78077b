"""Turn what a source read into rows of the record table, or rejects with reasons."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

from crystalgnn_core.errors import RecordError
from crystalgnn_core.records.checks.structure import checked_structures
from crystalgnn_core.records.checks.unicode import sanitize_text
from crystalgnn_core.records.crystal import lay_out
from crystalgnn_core.records.labels import check_requirement, checked_labels
from crystalgnn_core.records.schema import SPLITS, RejectedRecord, reject_schema
from crystalgnn_core.records.table.rows import Accepted, record_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from crystalgnn_core.records.crystal import Crystal
    from crystalgnn_core.records.labels import LabelRequirement
    from crystalgnn_core.records.schema import RawRecord


class Validated(NamedTuple):
    """What came of some records: rows in = rows of the table + rejects.

    Attributes:
        records: Rows of `record_schema()`, in the given order.
        rejects: The other rows, with the reason of the first check that failed.
        is_kept: For every record, whether it is in the table.
    """

    records: pa.Table
    rejects: list[RejectedRecord]
    is_kept: list[bool]


def validate(
    raws: Sequence[RawRecord],
    *,
    source: str,
    targets: tuple[str, ...],
    require_labels: LabelRequirement,
) -> Validated:
    """Check records, some hundred at a time for speed.

    All, any or none of the targets for which the source can hold labels must carry one, as
    `require_labels` says; where it has no targets, nothing is required.

    Raises:
        ConfigError: The source gave a label of an unknown target.
    """
    raws = [sanitize_text(raw) for raw in raws]
    structures = checked_structures([raw.crystal for raw in raws])
    accepted: list[Accepted] = []
    rejects: list[RejectedRecord] = []
    is_kept = []
    for raw, structure in zip(raws, structures, strict=True):
        try:
            crystal = _crystal_of(raw, structure)
            labels = checked_labels(raw)
            check_requirement(labels, targets, require_labels)
            _check_split(raw.split)
        except RecordError as error:
            rejects.append(_rejected(raw, source, error))
            is_kept.append(False)
        else:
            accepted.append(Accepted(raw, crystal, labels))
            is_kept.append(True)
    flat = lay_out([entry.crystal for entry in accepted])
    return Validated(record_rows(accepted, flat, source), rejects, is_kept)


def rejects_table(rejects: Iterable[RejectedRecord]) -> pa.Table:
    """Collect rejected rows into a table with `reject_schema()`."""
    return pa.Table.from_pylist(list(map(asdict, rejects)), schema=reject_schema())


def _crystal_of(raw: RawRecord, structure: Crystal | RecordError) -> Crystal:
    if raw.error is not None:
        raise RecordError(*raw.error)
    if not raw.material_id.strip():
        raise RecordError("missing_id", "the row has no id; give every row its own id")
    if isinstance(structure, RecordError):
        raise structure
    return structure


def _check_split(split: str | None) -> None:
    if split is not None and split not in SPLITS:
        raise RecordError(
            "invalid_label",
            f"split is {split!r}, expected one of {', '.join(SPLITS)} or none",
        )


def _rejected(raw: RawRecord, source: str, error: RecordError) -> RejectedRecord:
    message = str(error)
    name = raw.material_id or "(no id)"
    return RejectedRecord(
        source=source,
        material_id=raw.material_id,
        stage="ingest",
        reason=error.reason,
        message=message if message.startswith(name) else f"{name}: {message}",
        last_updated=raw.last_updated,
    )
