"""A ranking with what a reader wants beside it: known values, CIF links, changes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from crystalgnn_core.screening.candidates import read_candidates
from crystalgnn_core.screening.cifs import cif_name
from crystalgnn_core.screening.quality import true_hull_distances

if TYPE_CHECKING:
    from crystalgnn_core.screening.config import ScreeningConfig
    from crystalgnn_core.screening.screen import ScreenResult

KEYS = ["source", "candidate_id"]
KNOWN = ("_true", "_scheme", "license")


def with_truth(store: Path, config: ScreeningConfig, ranking: pd.DataFrame) -> pd.DataFrame:
    """Add the known values of the records, their schemes and licences, in order of rank."""
    candidates = read_candidates(store, config.sources)
    hull = true_hull_distances(store, candidates)
    if hull is not None:
        candidates["energy_above_hull_true"] = hull
    known = [name for name in map(str, candidates) if name.endswith(KNOWN)]
    merged = ranking.merge(candidates[[*KEYS, *known]], on=KEYS, how="left", validate="1:1")
    return merged.sort_values("rank").reset_index(drop=True)


def with_links(
    ranking: pd.DataFrame, config: ScreeningConfig, result: ScreenResult
) -> pd.DataFrame:
    """Add the CIF links of the top candidates and the change since the last screen."""
    top = ranking.head(config.top_k)
    columns = (top[name].tolist() for name in ("rank", "formula", "candidate_id"))
    links = pd.Series(
        [f"cif/{cif_name(*row)}" for row in zip(*columns, strict=True)],
        index=top.index,
        dtype=object,
    )
    linked = ranking.assign(cif=links)
    if result.previous is None:
        return linked
    path = Path(result.folder).parent / result.previous / "ranking.parquet"
    if not path.is_file():
        return linked
    before = pd.read_parquet(path, columns=[*KEYS, "rank"])
    merged = linked.merge(before.rename(columns={"rank": "_before"}), on=KEYS, how="left")
    pairs = zip(merged["rank"], merged["_before"], strict=True)
    changes = [_change(rank, old) for rank, old in pairs]
    return merged.drop(columns="_before").assign(change=changes)


def _change(rank: int, before: float) -> str:
    if pd.isna(before):
        return "new"
    moved = int(before) - rank
    if not moved:
        return ""
    return f"up {moved}" if moved > 0 else f"down {-moved}"
