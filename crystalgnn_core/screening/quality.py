"""How good a ranking is, where the candidates' true values happen to be known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from pymatgen.core.composition import Composition
from scipy.stats import spearmanr

from crystalgnn_core.base import FrozenModel
from crystalgnn_core.records.hull import energies_above_hull
from crystalgnn_core.records.label_schemes import (
    SYNTHETIC_PREFIX,
    count_schemes,
    refuse_mixture,
)
from crystalgnn_core.records.table.store import RecordStore
from crystalgnn_core.screening.candidates import read_candidates
from crystalgnn_core.screening.prescreening import KEPT, Prescreened, read_prescreened
from crystalgnn_core.screening.ranking import score_candidates
from crystalgnn_core.targets import scheme_column

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

    from crystalgnn_core.screening.config import ScoreConfig, ScreeningConfig

ENERGY, GAP = "formation_energy_per_atom", "band_gap"
SETTING = "screening.allow_mixed_schemes"
NEAR_HULL = 0.05  # eV/atom, a usual bound for compounds that may be synthesisable


class RankingQuality(FrozenModel):
    """Agreement of a ranking with the ranking by true values.

    Attributes:
        n: Ranked candidates whose true formation energy and gap are known.
        k: Length of the top list that is judged.
        energy_mae: eV/atom.
        energy_offset: Mean of predicted minus true formation energy, eV/atom; label schemes
            of training and truth may have different zero points.
        energy_spearman: Rank correlation of the formation energies.
        gap_mae: eV.
        gap_spearman: Rank correlation of the gaps.
        score_spearman: Rank correlation of the scores from predicted and true values.
        precision: Share of the top k that is among the k truly best; of candidates that
            tie for the last places, each counts with the share that has room.
        enrichment: Precision over that of a random order, k / n.
        in_window: Share of the top k whose true gap lies in the window.
        in_window_base: The same share among all candidates.
        near_hull: Share of the top k within 0.05 eV/atom of the true hull; None where the
            hull is not known.
        near_hull_base: The same share among all candidates.
        kept: Share of the truly best k of all candidates that a pre-screen kept; None
            without one, or where not all are known. All else is about what it kept.
    """

    n: int
    k: int
    energy_mae: float
    energy_offset: float
    energy_spearman: float
    gap_mae: float
    gap_spearman: float
    score_spearman: float
    precision: float
    enrichment: float
    in_window: float
    in_window_base: float
    near_hull: float | None = None
    near_hull_base: float | None = None
    kept: float | None = None


def judge_ranking(
    ranking: pd.DataFrame,
    config: ScoreConfig,
    k: int,
    *,
    allow_mixed_schemes: bool = False,
) -> RankingQuality | None:
    """Compare a ranking with the truth.

    Args:
        ranking: In order of rank, with the predicted targets, `<target>_true`, `score` and
            optionally `energy_above_hull_true`; with `source` and the schemes of the true
            values where these may be several.
        config: The score that was used.
        k: Length of the top list.
        allow_mixed_schemes: Take true values of several schemes as one.

    Returns:
        None when fewer than 2 candidates have both true values.

    Raises:
        LabelSchemeError: The true values of a target follow several schemes, and mixing
            was not asked for.
    """
    known = ranking.dropna(subset=[f"{ENERGY}_true", f"{GAP}_true"])
    if len(known) < 2:
        return None
    if not allow_mixed_schemes:
        for target in (ENERGY, GAP):
            refuse_mixed_values(known, target)
    k = min(k, len(known))
    error = known[ENERGY] - known[f"{ENERGY}_true"]
    true_score = true_scores(known, config)
    precision = _share_of_best(true_score, k, np.arange(len(known)) < k)
    low, high = config.gap_window
    in_window = known[f"{GAP}_true"].between(low, high)
    near_hull = None
    if "energy_above_hull_true" in known and known["energy_above_hull_true"].notna().all():
        near_hull = known["energy_above_hull_true"] <= NEAR_HULL
    return RankingQuality(
        n=len(known),
        k=k,
        energy_mae=float(error.abs().mean()),
        energy_offset=float(error.mean()),
        energy_spearman=_spearman(known[ENERGY], known[f"{ENERGY}_true"]),
        gap_mae=float((known[GAP] - known[f"{GAP}_true"]).abs().mean()),
        gap_spearman=_spearman(known[GAP], known[f"{GAP}_true"]),
        score_spearman=_spearman(known["score"], true_score),
        precision=precision,
        enrichment=precision * len(known) / k,
        in_window=float(in_window.head(k).mean()),
        in_window_base=float(in_window.mean()),
        near_hull=None if near_hull is None else float(near_hull.head(k).mean()),
        near_hull_base=None if near_hull is None else float(near_hull.mean()),
    )


def refuse_mixed_values(candidates: pd.DataFrame, target: str) -> None:
    """Refuse known values of several schemes of one target.

    Args:
        candidates: `<target>_true`; with `source` and the scheme of the values where these
            may be several.
        target: The target.

    Raises:
        LabelSchemeError: The values follow more than one scheme.
    """
    column = scheme_column(target)
    if column in candidates:
        known = candidates[candidates[f"{target}_true"].notna()]
        counts = count_schemes(known[column], known["source"])
        where = "the known values of one ranking"
        refuse_mixture(target, counts, where=where, setting=SETTING)


def true_scores(ranking: pd.DataFrame, config: ScoreConfig) -> NDArray[np.float64]:
    """Score candidates from their true values, NaN where one is missing."""
    return score_candidates(
        ranking[f"{ENERGY}_true"].to_numpy(dtype=float),
        ranking[f"{GAP}_true"].to_numpy(dtype=float),
        config,
    )


def true_best_kept(
    store: Path, config: ScreeningConfig, prescreened: Prescreened
) -> float | None:
    """Return the share of the truly best `top_k` candidates that a pre-screen kept.

    Returns:
        None when the true score of some candidate is not known. Of candidates that tie for
        the last places, each counts with the share that has room.

    Raises:
        LabelSchemeError: See `judge_ranking`.
    """
    candidates = read_prescreened(prescreened, read_candidates(store, config.sources))
    if candidates[[f"{ENERGY}_true", f"{GAP}_true"]].isna().to_numpy().any():
        return None
    if not config.allow_mixed_schemes:
        for target in (ENERGY, GAP):
            refuse_mixed_values(candidates, target)
    scores = true_scores(candidates, config.score)
    k = min(config.top_k, len(scores))
    return _share_of_best(scores, k, candidates[KEPT].to_numpy())


def true_hull_distances(
    store: Path, candidates: pd.DataFrame, *, allow_mixed_schemes: bool = False
) -> pd.Series | None:
    """Return the true energy above hull of synthetic candidates, eV/atom.

    Only the synthetic source knows all competing phases: its hull is that of all synthetic
    records of the store together. For anything else the result is None.

    Args:
        store: Store folder.
        candidates: Columns `source`, `candidate_id` and the schemes of the true values.
        allow_mixed_schemes: Take energies of several schemes as one.

    Raises:
        LabelSchemeError: The records follow several schemes, and mixing was not asked for.
    """
    column = scheme_column(ENERGY)
    if not len(candidates) or not candidates[column].str.startswith(SYNTHETIC_PREFIX).all():
        return None
    records = RecordStore(store)
    table = records.read(
        sorted(records.source_counts()), ["formula", ENERGY, column]
    ).to_pandas()
    is_synthetic = table[column].str.startswith(SYNTHETIC_PREFIX).fillna(value=False)
    table = table[is_synthetic.astype(bool)]
    if not allow_mixed_schemes:
        counts = count_schemes(table[column], table["source"])
        refuse_mixture(ENERGY, counts, where="one convex hull", setting=SETTING)
    compositions = [Composition(formula).get_el_amt_dict() for formula in table["formula"]]
    distances = energies_above_hull(compositions, table[ENERGY].to_list())
    by_id = pd.Series(
        distances,
        index=pd.MultiIndex.from_frame(table[["source", "material_id"]]),
    )
    keys = pd.MultiIndex.from_frame(candidates[["source", "candidate_id"]])
    return pd.Series(by_id.reindex(keys).to_numpy(), index=candidates.index)


def _share_of_best(
    true_score: NDArray[np.float64], k: int, is_found: NDArray[np.bool_]
) -> float:
    """Return the share of the k highest that is found."""
    bound = np.sort(true_score)[-k]
    is_above, is_tied = true_score > bound, true_score == bound
    room = (k - is_above.sum()) / is_tied.sum()
    return float((is_above[is_found].sum() + room * is_tied[is_found].sum()) / k)


def _spearman(first: ArrayLike, second: ArrayLike) -> float:
    """Return the rank correlation, 0 where one side does not vary."""
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(spearmanr(first, second).statistic)
