"""A source that reads an SQLite table of crystals, page by page."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from crystalgnn_core.base import NOT_CONTENT
from crystalgnn_core.errors import SourceError
from crystalgnn_core.records.crystal import Crystal
from crystalgnn_core.records.schema import RawRecord
from crystalgnn_core.sources.base import (
    SourceConfig,
    SourcePart,
    SourcePlan,
    require_paths,
)
from crystalgnn_core.sources.ingest.stored import StoredSource
from crystalgnn_core.storage.files import file_sha256

PAGE = "SELECT rowid, * FROM crystals WHERE rowid > ? ORDER BY rowid LIMIT ?"


class SqliteSource(SourceConfig):
    """The table `crystals` (id, numbers, lattice, positions, gap) of an SQLite file.

    Attributes:
        path: The file.
        label_scheme: Label scheme of the gaps.
    """

    kind: Literal["sqlite"] = "sqlite"
    path: Annotated[str, Field(description="an SQLite file"), NOT_CONTENT]
    label_scheme: str

    def target_names(self) -> tuple[str, ...]:
        """Name the band gap."""
        return ("band_gap",)

    def check_ready(self) -> None:
        """Check that the file exists."""
        require_paths(self.name, self.path)

    def plan(self, stored: StoredSource) -> SourcePlan:  # noqa: ARG002  it is read whole
        """Name the first page; each page then names the next one."""
        payload = {"sha256": file_sha256(Path(self.path)), "after": 0}
        return SourcePlan(parts=(self.make_part(0, payload),))

    def read(self, part: SourcePart) -> Iterator[RawRecord | SourcePart]:
        """Yield the rows of a page, then the next page."""
        if file_sha256(Path(self.path)) != part.payload["sha256"]:
            raise SourceError(f"{self.path}: changed while it was read; start again")
        with closing(sqlite3.connect(self.path)) as database:
            database.row_factory = sqlite3.Row
            given = (part.payload["after"], self.part_size)
            rows = database.execute(PAGE, given).fetchall()
        for row in rows:
            yield self._record(row, part.payload["sha256"])
        if len(rows) == self.part_size:
            following = part.payload | {"after": rows[-1]["rowid"]}
            yield self.make_part(part.index + 1, following)

    def _record(self, row: Any, sha256: str) -> RawRecord:
        try:
            crystal = Crystal(
                np.array(json.loads(row["numbers"]), dtype=np.int16),
                np.array(json.loads(row["lattice"]), dtype=np.float64),
                np.array(json.loads(row["positions"]), dtype=np.float64),
            )
        except (TypeError, ValueError) as error:
            message = f"{row['id']}: numbers, lattice or positions: {error}"
            return RawRecord(row["id"], None, error=("unreadable_structure", message))
        return RawRecord(
            row["id"],
            crystal,
            labels={"band_gap": row["gap"]},
            label_schemes={"band_gap": self.label_scheme},
            source_version=sha256[:16],
            license=self.license,
        )
