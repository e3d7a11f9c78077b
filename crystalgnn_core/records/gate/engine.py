"""The check of the gate on labels that another engine computed, such as a new pymatgen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow.compute as pc

from crystalgnn_core.records.gate.report import Finding, alarm, named
from crystalgnn_core.records.table.diff import differs
from crystalgnn_core.targets import TARGETS, scheme_column

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crystalgnn_core.records.gate.comparison import Comparison
    from crystalgnn_core.records.table.diff import RowChanges

_ROUND_OFF = 1e-6  # in the unit of the target


def check_engine(given: Comparison) -> Iterator[Finding]:
    """Name the labels that moved or vanished where another engine computed them."""
    if given.engines is None or given.rows is None:
        return
    before, after = given.engines
    others = [
        f"{name} {before.get(name, 'not noted')} -> {after.get(name, 'none')}"
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    ]
    for target in given.before.targets:
        moved = _moved(given.rows, target)
        if moved:
            message = f"{target}: {moved}; computed by others: {', '.join(others)}"
            yield alarm("engine", message)


def _moved(rows: RowChanges, target: str) -> str:
    """Word which labels of the same structure and scheme are others; empty for none."""
    old, new = rows.before[target], rows.after[target]
    shift = pc.abs(pc.subtract(new, old))
    is_other = pc.fill_null(pc.greater(shift, _ROUND_OFF), fill_value=False)
    is_other = pc.and_(is_other, pc.invert(differs(rows, scheme_column(target))))
    is_gone = pc.and_(pc.is_valid(old), pc.is_null(new))
    is_same = pc.invert(differs(rows, "structure_digest"))
    chosen = pc.and_(pc.or_(is_other, is_gone), is_same)
    ids = rows.after["material_id"].filter(chosen).to_pylist()
    n_gone = pc.sum(pc.and_(chosen, is_gone), min_count=0).as_py()
    words = []
    if len(ids) > n_gone:
        farthest = pc.max(shift.filter(pc.and_(is_other, is_same))).as_py()
        unit = TARGETS[target].unit
        words.append(f"{len(ids) - n_gone:,} labels moved by up to {farthest:.4g} {unit}")
    if n_gone:
        words.append(f"{n_gone:,} labels vanished")
    said = " and ".join(words)
    return said and f"{said} though their structures stayed ({named(ids)})"
