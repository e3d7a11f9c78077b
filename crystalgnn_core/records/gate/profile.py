"""The profile of a source: what its rows look like as a whole, at one version."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from crystalgnn_core.base import FrozenModel
from crystalgnn_core.records.gate.distribution import Distribution
from crystalgnn_core.targets import TARGETS, scheme_column

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

NONE = "(none)"
OTHERS = "(others)"
MAX_VERSIONS = 20  # files of a folder have a version each
FACTS = ("run_type", "license", "source_version")
PROFILE_COLUMNS = (
    "material_id",
    "content_digest",
    "n_sites",
    "chemsys",
    *FACTS,
    *(column for name in TARGETS for column in (name, scheme_column(name))),
)


class TargetProfile(FrozenModel):
    """The labels of one target.

    Attributes:
        labels: Where they lie.
        nonzero: Where those other than zero lie; None if all are zero.
        n_missing: Rows without one.
        schemes: Label scheme to number of labels.
    """

    labels: Distribution
    nonzero: Distribution | None
    n_missing: int
    schemes: dict[str, int]


class RecordProfile(FrozenModel):
    """What the rows of a source look like, in numbers that do not depend on their order.

    Attributes:
        source: Name of the source.
        version: Version of the record table; -1 when there is no table.
        n_rows: Rows.
        rejected: Reject reason to number of rows refused.
        targets: The targets that have any label.
        run_types: Run type to rows.
        licenses: Licence to rows.
        source_versions: Release to rows, the `MAX_VERSIONS` most frequent ones.
        elements: Element symbol to rows that contain it.
        n_sites: Atoms per cell; None without rows.
        content: Digest of all ids with their content; equal rows have equal digests.
    """

    source: str
    version: int
    n_rows: int
    rejected: dict[str, int]
    targets: dict[str, TargetProfile]
    run_types: dict[str, int]
    licenses: dict[str, int]
    source_versions: dict[str, int]
    elements: dict[str, int]
    n_sites: Distribution | None
    content: str

    @property
    def n_rejected(self) -> int:
        """Rows refused, for whatever reason."""
        return sum(self.rejected.values())

    @property
    def reject_share(self) -> float:
        """Rows refused of all rows read; 0 when nothing was read."""
        return self.n_rejected / max(self.n_rows + self.n_rejected, 1)

    def label_share(self, target: str) -> float:
        """Rows that have a label of a target, as a share of all."""
        known = self.targets.get(target)
        return 0.0 if known is None else known.labels.n / max(self.n_rows, 1)


def profile_rows(
    source: str, version: int, tables: Iterable[pa.Table], rejected: Mapping[str, int]
) -> RecordProfile:
    """Profile the rows of a source, tables of `PROFILE_COLUMNS`, one after the other.

    Memory holds one table, and 8 bytes for each label.
    """
    tally = _Tally()
    for table in tables:
        tally.add(table)
    return RecordProfile(
        source=source,
        version=version,
        n_rows=tally.n_rows,
        rejected=dict(sorted(rejected.items())),
        targets=tally.targets(),
        run_types=_ordered(tally.facts["run_type"]),
        licenses=_ordered(tally.facts["license"]),
        source_versions=_most_frequent(tally.facts["source_version"]),
        elements=_ordered(tally.elements),
        n_sites=Distribution.of(_joined(tally.sizes)),
        content=f"{tally.content:016x}",
    )


class _Tally:
    """Counts of rows that are read table by table."""

    def __init__(self) -> None:
        self.n_rows = 0
        self.content = 0
        self.sizes: list[NDArray[np.float64]] = []
        self.elements: Counter[str] = Counter()
        self.facts: dict[str, Counter[str]] = {name: Counter() for name in FACTS}
        self.labels: dict[str, list[NDArray[np.float64]]] = {name: [] for name in TARGETS}
        self.schemes: dict[str, Counter[str]] = {name: Counter() for name in TARGETS}

    def add(self, table: pa.Table) -> None:
        """Count the rows of one table."""
        self.n_rows += table.num_rows
        self.content = (self.content + _content_sum(table)) % 2**64
        self.sizes.append(_numbers(table["n_sites"]))
        systems = pc.split_pattern(table["chemsys"], "-")
        self.elements += count_values(pc.list_flatten(systems))
        for name in FACTS:
            self.facts[name] += count_values(table[name])
        for name in TARGETS:
            self.labels[name].append(_numbers(table[name]))
            self.schemes[name] += count_values(table[scheme_column(name)].drop_null())

    def targets(self) -> dict[str, TargetProfile]:
        """Profile the targets that have labels."""
        found = {}
        for name, values in self.labels.items():
            joined = _joined(values)
            known = Distribution.of(joined)
            if known is not None:
                found[name] = TargetProfile(
                    labels=known,
                    nonzero=Distribution.of(joined[joined != 0.0]),
                    n_missing=self.n_rows - known.n,
                    schemes=_ordered(self.schemes[name]),
                )
        return found


def count_values(column: pa.ChunkedArray | pa.Array) -> Counter[str]:
    """Count how often each text occurs; a missing one counts as `NONE`."""
    counted = pc.value_counts(pc.fill_null(column, NONE)).to_pylist()
    return Counter({entry["values"]: entry["counts"] for entry in counted})


def _content_sum(table: pa.Table) -> int:
    """Add up a hash of each row, so that the order of the rows does not count."""
    rows = pc.binary_join_element_wise(
        table["material_id"], table["content_digest"], "\n"
    ).to_numpy()
    hashes = pd.util.hash_array(np.asarray(rows, dtype=object), categorize=False)
    return int(hashes.sum(dtype=np.uint64))


def _numbers(column: pa.ChunkedArray) -> NDArray[np.float64]:
    return column.drop_null().to_numpy().astype(np.float64)


def _joined(arrays: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.concatenate(arrays) if arrays else np.empty(0)


def _ordered(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda entry: (-entry[1], entry[0])))


def _most_frequent(counts: Mapping[str, int]) -> dict[str, int]:
    ordered = _ordered(counts)
    if len(ordered) <= MAX_VERSIONS:
        return ordered
    kept = dict(list(ordered.items())[:MAX_VERSIONS])
    return kept | {OTHERS: sum(counts.values()) - sum(kept.values())}
