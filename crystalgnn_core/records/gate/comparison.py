"""Two versions of a source side by side, as the checks of the change gate see them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from crystalgnn_core.records.gate.thresholds import MAX_EXPLAINED, MIN_LABELS, MIN_PAIRS
from crystalgnn_core.records.gate.unit_errors import find_unit_error_of_pairs
from crystalgnn_core.records.table.diff import differs
from crystalgnn_core.targets import is_class

if TYPE_CHECKING:
    from crystalgnn_core.records.gate.profile import RecordProfile
    from crystalgnn_core.records.gate.report import Engines, GateConfig, GateReport
    from crystalgnn_core.records.gate.unit_errors import ExplainedPairs, Values
    from crystalgnn_core.records.table.diff import RowChanges


class Pairs(NamedTuple):
    """Labels that changed, row by row, each of shape (n,).

    Attributes:
        old: As stored before.
        new: As stored now.
        n_sites: Atoms in the cell.
        has_formula: Whether the formula of the row stayed.
    """

    old: Values
    new: Values
    n_sites: Values
    has_formula: Values


@dataclass
class Comparison:
    """Two versions of a source, side by side.

    Attributes:
        before: Profile of the earlier version, which has rows.
        after: Profile of the later one.
        rows: What differs row by row; None when that is not known.
        config: Thresholds.
        largest: The report on the version with the most rows since the last acceptance.
        engines: What computed the labels of both, where that is not the same.
    """

    before: RecordProfile
    after: RecordProfile
    rows: RowChanges | None
    config: GateConfig
    largest: GateReport | None = None
    engines: Engines | None = None

    @property
    def is_much_lost(self) -> bool:
        """Whether more rows are gone than may be."""
        lost = (self.before.n_rows - self.after.n_rows) / self.before.n_rows
        return lost > self.config.max_rows_lost

    @cached_property
    def targets(self) -> list[str]:
        """Targets that have labels in both versions."""
        return [name for name in self.before.targets if name in self.after.targets]

    @cached_property
    def well_known(self) -> list[str]:
        """Those with enough labels before to know where they lie, and no unit error."""
        known = self.before.targets
        often = [name for name in self.targets if known[name].labels.n >= MIN_LABELS]
        return [name for name in often if self.unit_error(name) is None]

    def pairs(self, target: str) -> Pairs | None:
        """Return the labels that changed from one number to another; None without rows."""
        rows = self.rows
        if rows is None:
            return None
        before, after = rows.before[target], rows.after[target]
        is_pair = pc.fill_null(pc.not_equal(before, after), False)
        is_same = pc.equal(rows.before["formula"], rows.after["formula"])
        return Pairs(
            _numbers(before.filter(is_pair)),
            _numbers(after.filter(is_pair)),
            _numbers(rows.after["n_sites"].filter(is_pair)),
            _numbers(is_same.filter(is_pair)),
        )

    def unit_error(self, target: str) -> ExplainedPairs | None:
        """Return the unit error that explains many of the labels that changed."""
        pairs = self.pairs(target)
        found = None if pairs is None else find_unit_error_of_pairs(target, *pairs[:3])
        if pairs is None or found is None or found.n_explained < MIN_PAIRS:
            return None
        # any class that changes was exchanged, so those count among all
        known = self.before.targets[target].labels.n
        share = found.n_explained / (known if is_class(target) else len(pairs.new))
        return found if share > MAX_EXPLAINED else None

    def mean_before(self, target: str, n: int) -> float:
        """Return the mean that n new and changed labels had, or would be expected to have.

        Which labels change is no random choice: zeros, of gaps, mostly stay.
        """
        known, pairs = self.before.targets[target].labels, self.pairs(target)
        if pairs is None or is_class(target):
            return known.mean
        n_pairs = len(pairs.old)
        return float(pairs.old.sum() + (n - n_pairs) * known.mean) / n

    def touched(self, target: str) -> tuple[Values, Values] | None:
        """Return the new and changed labels and the atoms of their cells.

        Of classes the new ones: one that changed is always the other one.
        """
        rows = self.rows
        if rows is None:
            return None
        fresh = rows.new.filter(pc.is_valid(rows.new[target]))
        is_other = pc.and_(differs(rows, target), pc.is_valid(rows.after[target]))
        changed = rows.after.filter(is_other).slice(0, 0 if is_class(target) else None)
        tables = [fresh.select([target, "n_sites"]), changed.select([target, "n_sites"])]
        joined = pa.concat_tables(tables)
        return _numbers(joined[target]), _numbers(joined["n_sites"])


def _numbers(column: pa.ChunkedArray) -> Values:
    return column.to_numpy().astype(np.float64)
