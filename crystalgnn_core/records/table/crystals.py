"""Structures by digest, streamed from the record table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from crystalgnn_core.records.crystal import Crystal, FlatCrystals
from crystalgnn_core.records.table.store import RecordStore
from crystalgnn_core.storage.manifest import KEY

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

CRYSTAL_COLUMNS = (KEY, "atomic_numbers", "lattice", "frac_coords")


def stream_crystals(
    store: Path,
    sources: Sequence[str],
    digests: Collection[str],
    *,
    version: int | None = None,
) -> Iterator[tuple[str, Crystal]]:
    """Yield the structures with the given digests, each once, in the order of the table.

    The newest version of the table is read by default.
    """
    if not digests:
        return
    wanted, found = pa.array(sorted(digests), pa.string()), set[str]()
    for table in RecordStore(store).scan(sources, CRYSTAL_COLUMNS, version=version):
        chosen = table.filter(pc.is_in(table[KEY], value_set=wanted))
        for index, key in enumerate(chosen[KEY].to_pylist()):
            if key not in found:
                found.add(key)
                yield key, _crystal(chosen, index)


def flat_crystals(table: pa.Table) -> FlatCrystals:
    """Return the structures of rows with `CRYSTAL_COLUMNS`, laid end to end."""
    numbers, lattices, coords = (
        table[name].combine_chunks() for name in CRYSTAL_COLUMNS[1:]
    )
    lengths = numbers.value_lengths().to_numpy(zero_copy_only=False)
    return FlatCrystals(
        numbers.flatten().to_numpy().astype(np.int16),
        lattices.flatten().to_numpy().reshape(-1, 3, 3),
        coords.flatten().to_numpy().reshape(-1, 3),
        np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]),
    )


def _crystal(table: pa.Table, index: int) -> Crystal:
    return Crystal(
        np.array(table["atomic_numbers"][index].as_py(), dtype=np.int16),
        np.array(table["lattice"][index].as_py()).reshape(3, 3),
        np.array(table["frac_coords"][index].as_py()).reshape(-1, 3),
    )
