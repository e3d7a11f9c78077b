"""How good a ranking is, where the true values of the candidates are known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import model_validator
from scipy.stats import spearmanr

from crystalgnn_core.base import FrozenModel
from crystalgnn_core.records.label_schemes import count_schemes, refuse_mixture
from crystalgnn_core.screening.candidates import read_candidates
from crystalgnn_core.screening.criteria import TRUE
from crystalgnn_core.screening.prescreening import KEPT, Prescreened, read_prescreened
from crystalgnn_core.screening.ranking import is_in_windows, score_candidates
from crystalgnn_core.targets import scheme_column

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

    from crystalgnn_core.screening.config import ScreeningConfig
    from crystalgnn_core.screening.criteria import Criterion

SETTING = "screening.allow_mixed_schemes"
NEAR_HULL = 0.05  # eV/atom, a usual bound for compounds that may be synthesisable


class Agreement(FrozenModel):
    """Agreement of the predicted with the true values of one target, in its unit.

    Attributes:
        mae: Mean absolute error.
        offset: Mean of predicted minus true; label schemes of training and truth may have
            different zero points. None where an older version did not compute it.
        spearman: Rank correlation.
    """

    mae: float
    offset: float | None
    spearman: float


class RankingQuality(FrozenModel):
    """Agreement of a ranking with the ranking by true values.

    Attributes:
        n: Ranked candidates whose true values of all criteria are known.
        k: Length of the top list that is judged.
        targets: Agreement for each target that the criteria judge.
        score_spearman: Rank correlation of the scores from predicted and true values.
        precision: Share of the top k that is among the k truly best; of candidates that
            tie for the last places, each counts with the share that has room.
        enrichment: Precision over that of a random order, k / n.
        in_window: Share of the top k whose true values lie in every window of the
            criteria; None without a window.
        in_window_base: The same share among all candidates.
        near_hull: Share of the top k within 0.05 eV/atom of the true hull; None where the
            hull is not known.
        near_hull_base: The same share among all candidates.
        kept: Share of the truly best k of all candidates that a pre-screen kept; None
            without one, or where not all are known. All else is about what it kept.
    """

    n: int
    k: int
    targets: dict[str, Agreement]
    score_spearman: float
    precision: float
    enrichment: float
    in_window: float | None = None
    in_window_base: float | None = None
    near_hull: float | None = None
    near_hull_base: float | None = None
    kept: float | None = None

    @model_validator(mode="before")
    @classmethod
    def _read_older(cls, given: Any) -> Any:  # noqa: ANN401  what a report holds
        """Accept the two targets of older versions, whose fields were `energy_mae` etc."""
        if not isinstance(given, dict) or "energy_mae" not in given:
            return given
        names = {"energy": "formation_energy_per_atom", "gap": "band_gap"}
        targets = {
            name: {key: given.get(f"{old}_{key}") for key in Agreement.model_fields}
            for old, name in names.items()
        }
        kept = {key: value for key, value in given.items() if key in cls.model_fields}
        return kept | {"targets": targets}


def judge_ranking(
    ranking: pd.DataFrame,
    criteria: Sequence[Criterion],
    k: int,
    *,
    allow_mixed_schemes: bool = False,
) -> RankingQuality | None:
    """Compare a ranking with the truth.

    Args:
        ranking: In order of rank, with the predicted targets, `<target>_true`, `score` and
            optionally `energy_above_hull_true`; with `source` and the schemes of the true
            values where these may be several.
        criteria: The criteria of the score.
        k: Length of the top list.
        allow_mixed_schemes: Take true values of several schemes as one.

    Returns:
        None when fewer than 2 candidates have all true values.

    Raises:
        LabelSchemeError: The true values of a target follow several schemes, and mixing
            was not asked for.
    """
    targets = list(dict.fromkeys(criterion.column for criterion in criteria))
    known = ranking.dropna(subset=[name + TRUE for name in targets])
    if len(known) < 2:
        return None
    if not allow_mixed_schemes:
        for target in targets:
            refuse_mixed_values(known, target)
    k = min(k, len(known))
    true_score = score_candidates(known, criteria, suffix=TRUE)
    precision = _share_of_best(true_score, k, np.arange(len(known)) < k)
    shares: dict[str, float] = {}
    if any(criterion.is_window for criterion in criteria):
        is_inside = is_in_windows(known, criteria, suffix=TRUE)
        shares |= _shares("in_window", is_inside, k)
    hull = known.get(f"energy_above_hull{TRUE}")
    if hull is not None and hull.notna().all():
        shares |= _shares("near_hull", (hull <= NEAR_HULL).to_numpy(), k)
    return RankingQuality(
        n=len(known),
        k=k,
        targets={name: _agreement(known[name], known[name + TRUE]) for name in targets},
        score_spearman=_spearman(known["score"], true_score),
        precision=precision,
        enrichment=precision * len(known) / k,
        **shares,
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
        known = candidates[candidates[target + TRUE].notna()]
        counts = count_schemes(known[column], known["source"])
        where = "the known values of one ranking"
        refuse_mixture(target, counts, where=where, setting=SETTING)


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
    targets = config.score.targets
    if candidates[[name + TRUE for name in targets]].isna().to_numpy().any():
        return None
    if not config.allow_mixed_schemes:
        for target in targets:
            refuse_mixed_values(candidates, target)
    scores = score_candidates(candidates, config.score.resolve(), suffix=TRUE)
    k = min(config.top_k, len(scores))
    return _share_of_best(scores, k, candidates[KEPT].to_numpy())


def _share_of_best(
    true_score: NDArray[np.float64], k: int, is_found: NDArray[np.bool_]
) -> float:
    """Return the share of the k highest that is found."""
    bound = np.sort(true_score)[-k]
    is_above, is_tied = true_score > bound, true_score == bound
    room = (k - is_above.sum()) / is_tied.sum()
    return float((is_above[is_found].sum() + room * is_tied[is_found].sum()) / k)


def _shares(name: str, is_met: NDArray[np.bool_], k: int) -> dict[str, float]:
    """Return the share of the top k and that of all candidates."""
    return {name: float(is_met[:k].mean()), f"{name}_base": float(is_met.mean())}


def _agreement(predicted: pd.Series, true: pd.Series) -> Agreement:
    error = predicted - true
    return Agreement(
        mae=float(error.abs().mean()),
        offset=float(error.mean()),
        spearman=_spearman(predicted, true),
    )


def _spearman(first: ArrayLike, second: ArrayLike) -> float:
    """Return the rank correlation, 0 where one side does not vary."""
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(spearmanr(first, second).statistic)
