"""The table of links, the report of how it was made, and what is read from them."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

import pyarrow as pa
from pydantic import Field

from crystalgnn_core.base import FrozenModel
from crystalgnn_core.storage.files import FileRef, read_model, read_table
from crystalgnn_core.storage.manifest import KEY

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

logger = logging.getLogger(__name__)
TABLE, STATE = "links.parquet", "links.json"


class LinkReport(FrozenModel):
    """What is linked, and what had to be done for it.

    Attributes:
        table: The table, see `link_schema`.
        record_version: Version of the record table.
        settings: Digest of the tolerances.
        sources: Sources that take part.
        n_rows: Their rows.
        n_shared: Rows whose formula another source has, too; with `within_sources`,
            another row.
        n_groups: Groups of linked rows.
        n_linked: Rows in groups.
        n_joint: Pair of sources, such as `jarvis & mp`, to groups with rows of both.
        n_fingerprints: Structures whose symmetry was sought in this run.
        n_compared: Pairs of structures that were compared in this run.
        was_linked: False when nothing had changed since the last run.
    """

    table: FileRef
    record_version: int
    settings: str
    sources: tuple[str, ...]
    n_rows: int
    n_shared: int
    n_groups: int
    n_linked: int
    n_joint: dict[str, int] = Field(default_factory=dict)
    n_fingerprints: int = 0
    n_compared: int = 0
    was_linked: bool = True


def link_schema() -> pa.Schema:
    """Return the schema of the table of links, one row for each linked record.

    `group_id` is source and id of the representative, the member that comes first;
    `rms_distance` (angstrom) is that of the sites to those of the representative, empty
    where the two match through other members alone.
    """
    texts = ("group_id", "source", "material_id", KEY, "formula")
    return pa.schema(
        [
            *(pa.field(name, pa.string(), nullable=False) for name in texts),
            pa.field("space_group_number", pa.int16(), nullable=False),
            pa.field("rms_distance", pa.float64()),
        ]
    )


def read_link_report(store: Path) -> LinkReport | None:
    """Return what the last linking found; None if there is no sound report."""
    path = store / "links" / STATE
    report = read_model(path, LinkReport)
    if report is None and path.is_file():
        logger.warning("%s: damaged; records are linked again", path)
    return report


def read_links(store: Path) -> pa.Table:
    """Read the table of links, see `link_schema`; empty if nothing was linked yet.

    Raises:
        IntegrityError: The table is damaged.
    """
    path = store / "links" / TABLE
    return read_table(path) if path.is_file() else link_schema().empty_table()


def count_linked(store: Path, sources: Sequence[str], others: Sequence[str]) -> int | None:
    """Count the rows of some sources that are linked to another row of other sources.

    Those may be candidates, and these what a model was trained on.

    Returns:
        None when the records of the store were never linked.
    """
    if read_link_report(store) is None:
        return None
    links = read_links(store)
    sizes: dict[str, Counter[str]] = defaultdict(Counter)
    columns = (links[name].to_pylist() for name in ("group_id", "source"))
    pairs = list(zip(*columns, strict=True))
    for group, source in pairs:
        sizes[group][source] += 1
    return sum(
        sum(sizes[group][other] for other in set(others)) > (source in others)
        for group, source in pairs
        if source in sources
    )
