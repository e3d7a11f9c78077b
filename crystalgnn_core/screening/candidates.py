"""The materials to be screened, as rows of the record table."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from crystalgnn_core.base import digest_of_strings
from crystalgnn_core.errors import InputError
from crystalgnn_core.records.schema import INGEST_STAGE, LISTING_STAGE, RejectedRecord
from crystalgnn_core.records.table.crystals import stream_crystals
from crystalgnn_core.records.table.store import RecordStore
from crystalgnn_core.storage.shards import KEY
from crystalgnn_core.targets import TARGETS, scheme_column

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    import pandas as pd

    from crystalgnn_core.records.crystal import Crystal


def read_candidates(store: Path, sources: Sequence[str]) -> pd.DataFrame:
    """Read the candidates of some sources, ordered by source and id.

    Returns:
        Columns `source`, `candidate_id`, `formula`, `chemsys`, `structure_digest`,
        `content_digest`, `license`, and per target `<target>_true` and `<target>_scheme`:
        labels that the records happen to carry. They never enter the score; they show how
        good it is.

    Raises:
        InputError: No source is named, or one is not stored, or nothing could be read.
    """
    if not sources:
        raise InputError("no candidates; name their source in screening.sources")
    unread = read_unread(store, sources)
    if unread:  # a source of which nothing could be read is in the rejects alone
        stored = RecordStore(store).source_counts()
        refused = {reject.source for reject in unread} - stored.keys()
        sources = [name for name in sources if name not in refused]
    if not sources:
        reasons = Counter(reject.reason for reject in unread)
        counts = ", ".join(f"{reason} {n:,}" for reason, n in reasons.most_common())
        raise InputError(
            f"none of {len(unread):,} candidates could be read ({counts}); correct them, "
            f"`crystalgnn records rejects {unread[0].source}` says more"
        )
    columns = ["formula", "chemsys", KEY, "content_digest", "license"]
    for name in TARGETS:
        columns += [name, scheme_column(name)]
    table: pa.Table = RecordStore(store).read(sources, columns)
    frame: pd.DataFrame = table.to_pandas()
    renamed = {name: f"{name}_true" for name in TARGETS}
    return frame.rename(columns={"material_id": "candidate_id", **renamed})


def read_unread(store: Path, sources: Sequence[str]) -> list[RejectedRecord]:
    """Read what the newest ingests of some sources refused, ordered by source and id.

    Such rows and files never became candidates, but somebody meant them to be.
    """
    table = RecordStore(store).rejects()
    is_own = pc.and_(
        pc.is_in(table["source"], pa.array(sources, pa.string())),
        pc.is_in(table["stage"], pa.array([LISTING_STAGE, INGEST_STAGE])),
    )
    keys = ("source", "material_id", "stage", "message")
    rows = table.filter(is_own).sort_by([(key, "ascending") for key in keys])
    return [RejectedRecord(**row) for row in rows.to_pylist()]


def candidates_digest(candidates: pd.DataFrame) -> str:
    """Return a digest of which structures are candidates under which ids."""
    keys = zip(
        candidates["source"], candidates["candidate_id"], candidates[KEY], strict=True
    )
    return digest_of_strings("/".join(key) for key in keys)


def load_crystals(
    store: Path, sources: Sequence[str], digests: Collection[str]
) -> dict[str, Crystal]:
    """Read the structures with the given digests, each once."""
    return dict(stream_crystals(store, sources, digests))
