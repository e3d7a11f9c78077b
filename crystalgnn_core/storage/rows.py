"""Make list columns, pick rows from streams of Arrow tables, cut such streams anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from crystalgnn_core.errors import IntegrityError
from crystalgnn_core.storage.manifest import KEY

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from numpy.typing import NDArray


def rows_in_order(
    tables: Iterable[pa.Table], digests: Sequence[str], *, where: str
) -> pa.Table:
    """Pick the rows of the given structures from tables, in the given order.

    Args:
        tables: Tables with the column `structure_digest`.
        digests: Structures to pick; repetitions are repeated.
        where: Where the tables come from, for the error.

    Raises:
        IntegrityError: A structure is in none of the tables.
    """
    wanted = set(digests)
    position: dict[str, int] = {}
    picked = []
    for table in tables:
        keep = []
        for index, key in enumerate(table[KEY].to_pylist()):
            if key in wanted and key not in position:
                position[key] = len(position)
                keep.append(index)
        if keep:
            picked.append(table.take(pa.array(keep)))
    if len(position) < len(wanted) or not picked:
        raise missing_structures(digests, position.keys(), where=where)
    return pa.concat_tables(picked).take(pa.array([position[key] for key in digests]))


def missing_structures(
    digests: Sequence[str], held: Collection[str], *, where: str
) -> IntegrityError:
    """Make the error of structures that are asked for, but not held."""
    wanted = set(digests)
    example = next((key for key in digests if key not in held), "none were asked for")
    return IntegrityError(
        f"{where}: {len(wanted.difference(held))} of {len(wanted)} structures are in no "
        f"sound shard (first: {example}); build them again"
    )


def rechunk(tables: Iterable[pa.Table], size: int) -> Iterator[pa.Table]:
    """Cut a stream of tables into tables of exactly `size` rows, the last one smaller."""
    parked: list[pa.Table] = []
    n_parked = 0
    for table in tables:
        rest = table
        while n_parked + rest.num_rows >= size:
            cut = size - n_parked
            yield pa.concat_tables([*parked, rest.slice(0, cut)])
            parked, n_parked, rest = [], 0, rest.slice(cut)
        if rest.num_rows:
            parked.append(rest)
            n_parked += rest.num_rows
    if parked:
        yield pa.concat_tables(parked)


def ragged(values: NDArray[np.generic], sizes: NDArray[np.integer]) -> pa.ListArray:
    """Make a list column from values laid end to end.

    Args:
        values: Shape (n_values,).
        sizes: Values of each row, shape (n_rows,); they sum up to n_values.
    """
    offsets = np.zeros(len(sizes) + 1, dtype=np.int32)
    np.cumsum(sizes, out=offsets[1:])
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values))
