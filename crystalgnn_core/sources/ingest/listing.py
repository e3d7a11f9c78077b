"""What lies beside the files of a source and is not read: no row, but a reject."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pyarrow.compute as pc

from crystalgnn_core.records.checks.validation import rejects_table
from crystalgnn_core.records.schema import LISTING_STAGE, RejectedRecord
from crystalgnn_core.records.table.store import RecordStore
from crystalgnn_core.sources.formats.folders import count_left_out

if TYPE_CHECKING:
    from pathlib import Path

    from crystalgnn_core.sources.base import SourceConfig

logger = logging.getLogger(__name__)


def note_unsupported(store: Path, source: SourceConfig) -> None:
    """Store which files of a source are of no supported kind; write only what differs.

    They are no part of the ingest's account of rows, so a picture beside the structures
    neither makes a version suspicious nor a source to be read again.
    """
    found = rejects_table(
        RejectedRecord(source.name, name, LISTING_STAGE, "unsupported_file", message)
        for name, message in source.unsupported_files()
    )
    records = RecordStore(store)
    stored = records.rejects()
    is_own = pc.and_(
        pc.equal(stored["source"], source.name), pc.equal(stored["stage"], LISTING_STAGE)
    )
    names = stored["material_id"].filter(is_own).to_pylist()
    if sorted(names) != sorted(found["material_id"].to_pylist()):
        left_out = count_left_out(found["material_id"].to_pylist())
        logger.info("source %s: %s", source.name, left_out)
        records.replace_rejects(source.name, LISTING_STAGE, found)
