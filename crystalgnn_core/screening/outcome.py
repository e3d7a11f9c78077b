"""The tables of a screen: the ranking, the rejects, and what became of every candidate."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from crystalgnn_core.records.checks.validation import rejects_table
from crystalgnn_core.records.schema import SCREEN_STAGE
from crystalgnn_core.screening.prescreening import KEPT, SCORE
from crystalgnn_core.storage.files import FileRef, write_table, write_text
from crystalgnn_core.storage.shards import KEY

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from crystalgnn_core.records.schema import RejectedRecord

RANKING, CSV, REJECTS = "ranking.parquet", "ranking.csv", "rejects.parquet"
CANDIDATES = "candidates.parquet"


def write_outcome(
    folder: Path,
    candidates: pd.DataFrame,
    ranking: pd.DataFrame,
    rejects: Sequence[RejectedRecord],
    schema: pa.Schema,
) -> tuple[FileRef, ...]:
    """Write ranking (Parquet and CSV), rejects and outcomes into the folder of a screen.

    Args:
        folder: Folder of the screen.
        candidates: All candidates; with `is_kept` and `prescreen_score` after a pre-screen.
        ranking: Ranked candidates, with the columns of the schema and any others.
        rejects: Rejected candidates, and what could not be read and so is none of them;
            what is neither ranked nor rejected is a duplicate.
        schema: Columns of the ranking that are written.

    Returns:
        References to the four files.
    """
    columns = ranking[schema.names]
    table = pa.Table.from_pandas(columns, schema=schema, preserve_index=False)
    outcome = _outcomes(candidates, ranking, rejects)
    write_table(folder / RANKING, table)
    write_text(folder / CSV, columns.to_csv(index=False))
    write_table(folder / REJECTS, rejects_table(rejects))
    write_table(folder / CANDIDATES, pa.Table.from_pandas(outcome, preserve_index=False))
    return tuple(FileRef.of(folder / name) for name in (RANKING, CSV, REJECTS, CANDIDATES))


def _outcomes(
    candidates: pd.DataFrame, ranking: pd.DataFrame, rejects: Sequence[RejectedRecord]
) -> pd.DataFrame:
    """Say for every candidate what became of it; those that were not read stand last."""
    keys = ["source", "candidate_id"]
    after = [name for name in (SCORE, KEPT) if name in candidates]
    outcome = candidates[[*keys, "formula", KEY, *after]].merge(
        ranking[[*keys, "rank"]], on=keys, how="left", validate="1:1"
    )
    refused = {
        (one.source, one.material_id) for one in rejects if one.stage == SCREEN_STAGE
    }
    pairs = zip(outcome["source"], outcome["candidate_id"], strict=True)
    is_refused = pd.Series([pair in refused for pair in pairs], index=outcome.index)
    outcome["rank"] = outcome["rank"].astype("Int64")
    outcome["outcome"] = "duplicate"
    outcome.loc[outcome["rank"].notna(), "outcome"] = "scored"
    outcome.loc[is_refused, "outcome"] = "rejected"
    if KEPT in outcome:
        outcome.loc[~outcome.pop(KEPT), "outcome"] = "prescreened"
    unread = [one for one in rejects if one.stage != SCREEN_STAGE]
    if not unread:
        return outcome
    rows = [(one.source, one.material_id, "rejected") for one in unread]
    return pd.concat([outcome, pd.DataFrame(rows, columns=[*keys, "outcome"])])


def count_rejects(folder: Path) -> dict[tuple[str, str], int]:
    """Count the rejects of a screen by stage and reason, in this order."""
    table = pq.read_table(folder / REJECTS, columns=["stage", "reason"])
    pairs = zip(table["stage"].to_pylist(), table["reason"].to_pylist(), strict=True)
    return dict(sorted(Counter(pairs).items()))


def files_left_out(folder: Path) -> list[str]:
    """List the files that the sources of a screen hold beside structures."""
    table = pq.read_table(folder / REJECTS, columns=["material_id", "reason"])
    is_left_out = pc.equal(table["reason"], "unsupported_file")
    names: list[str] = table["material_id"].filter(is_left_out).to_pylist()
    return names
