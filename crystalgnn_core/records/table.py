"""Columns of the record table from records that passed every check."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa

from crystalgnn_core.compiled import compiled
from crystalgnn_core.records.content import content_digest
from crystalgnn_core.records.crystal import structure_digests
from crystalgnn_core.records.naming import name_composition
from crystalgnn_core.records.schema import record_schema
from crystalgnn_core.storage.rows import ragged
from crystalgnn_core.targets import TARGETS, scheme_column

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from crystalgnn_core.records.crystal import Crystal, FlatCrystals
    from crystalgnn_core.records.schema import RawRecord

_GIVEN = ("split", "run_type", "source_version", "last_updated", "license")
_SCHEMES = {target: scheme_column(target) for target in TARGETS}


class Accepted(NamedTuple):
    """A record that passed every check: as read, its structure, and its labels."""

    raw: RawRecord
    crystal: Crystal
    labels: dict[str, float]


def record_rows(
    accepted: Sequence[Accepted], crystals: FlatCrystals, source: str
) -> pa.Table:
    """Lay records out in the columns of `record_schema()`.

    Args:
        accepted: The records.
        crystals: Their structures, end to end.
        source: Name under which they are stored.
    """
    names = [name_composition(counts) for counts in compositions(crystals)]
    digests = structure_digests(crystals)
    sizes = np.diff(crystals.starts)
    columns: dict[str, Sequence[object] | pa.Array] = {
        "source": [source] * len(accepted),
        "material_id": [entry.raw.material_id for entry in accepted],
        "formula": [formula for formula, _ in names],
        "chemsys": [chemsys for _, chemsys in names],
        "n_sites": pa.array(sizes.astype(np.int32)),
        "atomic_numbers": ragged(crystals.atomic_numbers, sizes),
        "lattice": ragged(crystals.lattices.ravel(), np.full(len(sizes), 9)),
        "frac_coords": ragged(crystals.frac_coords.ravel(), 3 * sizes),
        "structure_digest": digests,
        "content_digest": [
            content_digest(_content(entry, digest))
            for entry, digest in zip(accepted, digests, strict=True)
        ],
    }
    for name in _GIVEN:
        columns[name] = [getattr(entry.raw, name) for entry in accepted]
    for name in {name for entry in accepted for name in entry.labels}:
        columns[name] = [entry.labels.get(name) for entry in accepted]
        columns[_SCHEMES[name]] = [
            entry.raw.label_schemes[name] if name in entry.labels else None
            for entry in accepted
        ]
    schema = record_schema()
    for field in schema:
        given = columns.get(field.name)
        if given is None:
            columns[field.name] = pa.nulls(len(accepted), field.type)
        elif not isinstance(given, pa.Array):
            columns[field.name] = pa.array(given, field.type)
    return pa.table(columns, schema=schema)


def compositions(crystals: FlatCrystals) -> list[tuple[tuple[int, int], ...]]:
    """Return atomic number and number of atoms of the elements of each crystal."""
    numbers, counts, ends = _count(crystals.atomic_numbers, crystals.starts)
    pairs = list(zip(numbers.tolist(), counts.tolist(), strict=True))
    return [tuple(pairs[first:last]) for first, last in pairwise(ends.tolist())]


def _content(entry: Accepted, digest: str) -> dict[str, object]:
    """Return what the content digest is made of."""
    raw = entry.raw
    row: dict[str, object] = {
        "structure_digest": digest,
        "split": raw.split,
        "run_type": raw.run_type,
        "license": raw.license,
    }
    for name, value in entry.labels.items():
        row[name] = value
        row[_SCHEMES[name]] = raw.label_schemes[name]
    return row


@compiled
def _count(
    atomic_numbers: NDArray[np.int16], starts: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return elements, their counts, and where each crystal's begin and all end."""
    tally = np.zeros(256, dtype=np.int64)
    numbers = np.empty(len(atomic_numbers), dtype=np.int64)
    counts = np.empty(len(atomic_numbers), dtype=np.int64)
    ends = np.zeros(len(starts), dtype=np.int64)
    at = 0
    for crystal in range(len(starts) - 1):
        for atom in range(starts[crystal], starts[crystal + 1]):
            tally[atomic_numbers[atom]] += 1
        for number in range(256):
            if tally[number]:
                numbers[at], counts[at] = number, tally[number]
                tally[number] = 0
                at += 1
        ends[crystal + 1] = at
    return numbers[:at], counts[:at], ends
