"""A ranking with what a reader wants beside it: known values, CIF links, changes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from pymatgen.core.composition import Composition

from crystalgnn_core.errors import LabelSchemeError
from crystalgnn_core.records.hull import energies_above_hull
from crystalgnn_core.records.label_schemes import (
    SYNTHETIC_PREFIX,
    count_schemes,
    refuse_mixture,
)
from crystalgnn_core.records.table.store import RecordStore
from crystalgnn_core.screening.candidates import read_candidates
from crystalgnn_core.screening.cifs import cif_name
from crystalgnn_core.screening.criteria import TRUE
from crystalgnn_core.screening.quality import SETTING, refuse_mixed_values
from crystalgnn_core.storage.files import read_table
from crystalgnn_core.targets import TARGETS, scheme_column

if TYPE_CHECKING:
    from crystalgnn_core.screening.config import ScreeningConfig
    from crystalgnn_core.screening.result import ScreenResult

KEYS = ["source", "candidate_id"]
KNOWN = (TRUE, "_scheme", "license")


def with_truth(
    store: Path, config: ScreeningConfig, ranking: pd.DataFrame
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Add the known values of the records, their schemes and licences, in order of rank.

    Values of several label schemes of one target are left out unless asked for.

    Returns:
        The ranking, and why values that are known are left out.
    """
    candidates, mixed = read_candidates(store, config.sources), config.allow_mixed_schemes
    refusals: list[str] = []
    try:
        hull = true_hull_distances(store, candidates, allow_mixed_schemes=mixed)
        if hull is not None:
            candidates = candidates.assign(energy_above_hull_true=hull)
    except LabelSchemeError as error:
        refusals.append(str(error))
    known = [name for name in map(str, candidates) if name.endswith(KNOWN)]
    merged = ranking.merge(candidates[[*KEYS, *known]], on=KEYS, how="left", validate="1:1")
    for target in () if mixed else TARGETS:
        try:
            refuse_mixed_values(merged, target)
        except LabelSchemeError as error:
            refusals.append(str(error))
            merged = merged.drop(columns=[target + TRUE, scheme_column(target)])
    return merged.sort_values("rank").reset_index(drop=True), tuple(refusals)


def true_hull_distances(
    store: Path, candidates: pd.DataFrame, *, allow_mixed_schemes: bool = False
) -> pd.Series | None:
    """Return the true energy above hull of synthetic candidates, eV/atom.

    Only the synthetic source knows all competing phases: its hull is that of all synthetic
    records of the store together. For anything else the result is None.

    Raises:
        LabelSchemeError: The records follow several schemes, and mixing was not asked for.
    """
    energy = "formation_energy_per_atom"  # what hulls are made of
    column = scheme_column(energy)
    if not len(candidates) or not candidates[column].str.startswith(SYNTHETIC_PREFIX).all():
        return None
    records = RecordStore(store)
    sources = sorted(records.source_counts())
    table = records.read(sources, ["formula", energy, column]).to_pandas()
    is_synthetic = table[column].str.startswith(SYNTHETIC_PREFIX).fillna(value=False)
    table = table[is_synthetic.astype(bool)]
    if not allow_mixed_schemes:
        counts = count_schemes(table[column], table["source"])
        refuse_mixture(energy, counts, where="one convex hull", setting=SETTING)
    compositions = [Composition(formula).get_el_amt_dict() for formula in table["formula"]]
    distances = energies_above_hull(compositions, table[energy].to_list())
    ids = pd.MultiIndex.from_frame(table[["source", "material_id"]])
    by_id = pd.Series(distances, index=ids)
    keys = pd.MultiIndex.from_frame(candidates[KEYS])
    return pd.Series(by_id.reindex(keys).to_numpy(), index=candidates.index)


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
    before = read_table(path, [*KEYS, "rank"]).to_pandas()
    merged = linked.merge(before.rename(columns={"rank": "_before"}), on=KEYS, how="left")
    pairs = zip(merged["rank"], merged.pop("_before"), strict=True)
    return merged.assign(change=[_change(rank, old) for rank, old in pairs])


def _change(rank: int, before: float) -> str:
    if pd.isna(before):
        return "new"
    moved = int(before) - rank
    if not moved:
        return ""
    return f"up {moved}" if moved > 0 else f"down {-moved}"
