"""Rows that may be linked, and the groups that matching structures join them in."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

from crystalgnn_core.records.links.search import Material
from crystalgnn_core.records.table.store import KEYS, RecordStore
from crystalgnn_core.storage.manifest import KEY

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from crystalgnn_core.records.links.config import LinkConfig


class LinkedRow(NamedTuple):
    """A record as far as linking needs it; rows are ordered by source and id."""

    source: str
    material_id: str
    digest: str
    formula: str


def shared_rows(
    store: Path, sources: Sequence[str], config: LinkConfig, version: int | None
) -> tuple[int, list[LinkedRow]]:
    """Return the number of rows, and those whose formula occurs elsewhere, in order."""
    by_formula: dict[str, list[LinkedRow]] = defaultdict(list)
    names = [*KEYS, KEY, "formula"]
    for table in RecordStore(store).scan(sources, names, version=version):
        for row in map(LinkedRow, *(table[name].to_pylist() for name in names)):
            by_formula[row.formula].append(row)
    n_rows = sum(map(len, by_formula.values()))
    shared = [rows for rows in by_formula.values() if is_shared(rows, config)]
    return n_rows, sorted(row for rows in shared for row in rows)


def is_shared(rows: Sequence[LinkedRow], config: LinkConfig) -> bool:
    """Tell whether rows can be linked: of two sources, or two if one is enough."""
    if config.within_sources:
        return len(rows) > 1
    return len({row.source for row in rows}) > 1


def materials_of(rows: Iterable[LinkedRow]) -> list[Material]:
    """Gather the sources of each structure, in order of the digests."""
    sources: dict[tuple[str, str], set[str]] = defaultdict(set)
    for row in rows:
        sources[row.digest, row.formula].add(row.source)
    return [Material(*key, frozenset(names)) for key, names in sorted(sources.items())]


def groups_of(
    rows: Sequence[LinkedRow], matches: Iterable[tuple[str, str]]
) -> list[list[LinkedRow]]:
    """Return the connected components, members and groups in order of source and id."""
    parent: dict[str, str] = {}

    def root(digest: str) -> str:
        while parent.setdefault(digest, digest) != digest:
            parent[digest] = digest = parent[parent[digest]]
        return digest

    for first, second in matches:
        parent[root(second)] = root(first)
    members: dict[str, list[LinkedRow]] = defaultdict(list)
    for row in rows:
        members[root(row.digest)].append(row)
    return list(members.values())


def count_joint(groups: Iterable[Sequence[LinkedRow]]) -> dict[str, int]:
    """Count the groups with rows of two sources, such as `jarvis & mp`."""
    counts = Counter(
        " & ".join(pair)
        for group in groups
        for pair in combinations(sorted({row.source for row in group}), 2)
    )
    return dict(sorted(counts.items()))
