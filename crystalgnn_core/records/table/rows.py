"""Columns of the record table from records that passed every check."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa

from crystalgnn_core.base import canonical_json, short_digest
from crystalgnn_core.compiled import compiled
from crystalgnn_core.records.crystal import structure_digests
from crystalgnn_core.records.formulas import name_composition
from crystalgnn_core.records.schema import record_schema
from crystalgnn_core.storage.rows import ragged
from crystalgnn_core.targets import TARGETS, scheme_column

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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
    """Lay records, and their structures end to end, out in columns of `record_schema()`."""
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


_FACTS = ("split", "run_type", "license")
_SLOT = "\0"


def content_digest(row: Mapping[str, object]) -> str:
    """Name what a row says: structure, labels, schemes, split, run type and licence.

    `last_updated` and `source_version` are left out, so that a new release of a database
    touches only the rows that differ. Missing labels are left out, so that a new target
    in the table of targets leaves old digests as they are.

    The digest is that of the JSON object of these values, keys sorted.
    """
    names = [name for name in _SCHEMES if row.get(name) is not None]
    facts = (*_FACTS, *[_SCHEMES[name] for name in names])
    values = {name: repr(row[name]) for name in names}
    values["structure_digest"] = f'"{row["structure_digest"]}"'
    template = _template(facts, tuple([row.get(name) for name in facts]), tuple(values))
    return short_digest(template % values)


@lru_cache(maxsize=1000)
def _template(
    names: tuple[str, ...], facts: tuple[object, ...], slots: tuple[str, ...]
) -> str:
    """Write the JSON object with slots for what differs from row to row."""
    known = dict(zip(names, facts, strict=True))
    text = canonical_json(known | dict.fromkeys(slots, _SLOT)).replace("%", "%%")
    for name in slots:
        text = text.replace(f'"{name}":"\\u0000"', f'"{name}":%({name})s')
    return text
