"""What the store holds of a source, for a source that reads only what changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from crystalgnn_core.records.schema import INGEST_STAGE, reject_schema
from crystalgnn_core.records.table.store import RecordStore

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_KEYS = ("material_id", "last_updated")


@dataclass(frozen=True)
class StoredSource:
    """The rows of one source in a store, and how they came there.

    Attributes:
        store: Store folder.
        source: Name of the source.
        last_digest: Digest of what the last ingest read; None if there is none, or if the
            store has lost rows of it.
        last_settings: Digest of the settings by which it was read.
        last_version: Release that was read.
        settings: Digest of the settings by which it is to be read now.
        is_trusted: Whether the last ingest left rows that are not suspicious, or that
            somebody accepted.
    """

    store: Path
    source: str
    last_digest: str | None = None
    last_settings: str | None = None
    last_version: str | None = None
    settings: str | None = None
    is_trusted: bool = True

    @property
    def has_same_settings(self) -> bool:
        """Whether the stored rows were read by the settings of now."""
        return self.last_settings is not None and self.last_settings == self.settings

    @property
    def folder(self) -> Path:
        """Folder for what the source notes down between ingests; made when missing."""
        folder = self.store / "sources" / self.source
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def rows(self) -> pa.Table:
        """Return `material_id`, `last_updated` and `is_rejected` of all its rows."""
        kept = RecordStore(self.store).scan([self.source], _KEYS)
        tables = [
            table.select(_KEYS)
            .append_column("is_rejected", pa.repeat(is_rejected, table.num_rows))
            .replace_schema_metadata()
            for is_rejected, group in ((False, kept), (True, [self.rejects()]))
            for table in group
        ]
        return pa.concat_tables(tables)

    def rejects(self) -> pa.Table:
        """Return the rows that the last ingest rejected."""
        rejects = RecordStore(self.store).rejects()
        own = pc.equal(rejects["source"], self.source)
        return rejects.filter(pc.and_(own, pc.equal(rejects["stage"], INGEST_STAGE)))


class KeptRows:
    """Stored rows that stay as they are while others of their source are read again.

    Args:
        stored: What the store holds of the source.
        material_ids: Ids of the rows, kept and rejected ones alike.
        origins: From which files they came, where they stay because of that.
    """

    def __init__(
        self,
        stored: StoredSource,
        material_ids: pa.Array,
        origins: pa.Table | None = None,
    ) -> None:
        self.material_ids = material_ids
        self.origins = origins
        self._stored = stored
        rejects = stored.rejects()
        rejects = rejects.filter(self._is_own(rejects)).cast(reject_schema())
        if origins is not None:  # ids of their own, so others gave theirs to these
            is_double = pc.equal(rejects["reason"], "duplicate_id")
            rejects = rejects.filter(pc.invert(is_double))
        self.rejects = rejects

    def tables(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Stream the rows of the record table, some columns or all."""
        names = None if columns is None else list(dict.fromkeys(["material_id", *columns]))
        tables = RecordStore(self._stored.store).scan([self._stored.source], names)
        chosen = (
            table.filter(self._is_own(table)).replace_schema_metadata() for table in tables
        )
        return chosen if columns is None else (t.select(list(columns)) for t in chosen)

    def missing(self) -> int:
        """Return how many of the ids are stored neither as records nor as rejects."""
        names = ["material_id"]
        found = pa.concat_tables([*self.tables(names), self.rejects.select(names)])
        stored = found["material_id"].combine_chunks()
        return pc.is_in(self.material_ids, value_set=stored).false_count

    def _is_own(self, table: pa.Table) -> pa.ChunkedArray:
        return pc.is_in(table["material_id"], value_set=self.material_ids)
