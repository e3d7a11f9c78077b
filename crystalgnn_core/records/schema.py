"""What a material is: the columns of the record table, and of the table of rejects."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import pyarrow as pa

from crystalgnn_core.errors import RejectReason as RejectReason  # noqa: PLC0414  handed on
from crystalgnn_core.targets import TARGETS, scheme_column

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from crystalgnn_core.records.crystal import Crystal

Split = Literal["train", "val", "test"]
Stage = Literal["listing", "ingest", "graphs", "train", "screen", "predict"]
LISTING_STAGE: Stage = "listing"  # files of a source that hold no rows for its ingest
INGEST_STAGE: Stage = "ingest"
SCREEN_STAGE: Stage = "screen"
REJECT_REASONS: tuple[str, ...] = get_args(RejectReason)
SPLITS: tuple[str, ...] = get_args(Split)
_NONE: Mapping[str, Any] = MappingProxyType({})


class RawRecord(NamedTuple):
    """What a source read for one material, before validation.

    Attributes:
        material_id: Identifier within the source; empty when the source gave none.
        crystal: The structure, or None when `error` says why there is none.
        labels: Target name to value in the target's unit; None or NaN means missing.
        label_schemes: Target name to label scheme.
        error: Reject reason and message of what the source could not read.
        split: The source's own split, if it has one.
        run_type: Kind of calculation, as information.
        source_version: Release of the database, or digest of the file.
        last_updated: When the source last changed this row, with time zone.
        license: Licence of the row.
        origin: Of a row that is kept for as long as its file is as it was: digests of that
            file, with all that decides how it is read, and of what stands beside the row in
            others, such as labels.
    """

    material_id: str
    crystal: Crystal | None
    labels: Mapping[str, float | None] = _NONE
    label_schemes: Mapping[str, str] = _NONE
    error: tuple[RejectReason, str] | None = None
    split: str | None = None
    run_type: str | None = None
    source_version: str | None = None
    last_updated: datetime | None = None
    license: str | None = None
    origin: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class RejectedRecord:
    """A row that was refused, and why; `last_updated` as the source gave it."""

    source: str
    material_id: str
    stage: Stage
    reason: RejectReason
    message: str
    last_updated: datetime | None = None


def record_schema() -> pa.Schema:
    """Return the Arrow schema of the record table.

    `lattice` holds 9 numbers (row vectors, angstrom), `frac_coords` 3 per atom.
    """
    names = ("source", "material_id", "formula", "chemsys")
    labels = [
        ((name, pa.float64()), (scheme_column(name), pa.string())) for name in TARGETS
    ]
    return pa.schema(
        [
            *(pa.field(name, pa.string(), nullable=False) for name in names),
            pa.field("n_sites", pa.int32(), nullable=False),
            pa.field("atomic_numbers", pa.list_(pa.int16()), nullable=False),
            pa.field("lattice", pa.list_(pa.float64()), nullable=False),
            pa.field("frac_coords", pa.list_(pa.float64()), nullable=False),
            *(pa.field(*column) for pair in labels for column in pair),
            pa.field("split", pa.string()),
            pa.field("run_type", pa.string()),
            pa.field("source_version", pa.string()),
            pa.field("last_updated", pa.timestamp("us", tz="UTC")),
            pa.field("license", pa.string()),
            pa.field("structure_digest", pa.string(), nullable=False),
            pa.field("content_digest", pa.string(), nullable=False),
        ]
    )


def with_all_columns(
    table: pa.Table, columns: Sequence[str] | None = None, schema: pa.Schema | None = None
) -> pa.Table:
    """Return some columns of a table, or all, in order; those it lacks are empty.

    A table that was written before a column came into use has none. The schema is that of
    the whole table; by default of the record table.
    """
    schema, present = schema or record_schema(), set(table.column_names)
    for name in schema.names if columns is None else columns:
        if name not in present:
            field = schema.field(name)
            table = table.append_column(field, pa.nulls(len(table), field.type))
    return table.select(schema.names if columns is None else list(columns))


def reject_schema() -> pa.Schema:
    """Return the Arrow schema of the table of rejected rows."""
    texts = ("source", "material_id", "stage", "reason", "message")
    return pa.schema(
        [
            *(pa.field(name, pa.string(), nullable=False) for name in texts),
            pa.field("last_updated", pa.timestamp("us", tz="UTC")),
        ]
    )
