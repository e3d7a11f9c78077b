"""Scores and ranks: a score depends on the candidate alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from crystalgnn_core.errors import ModelError
from crystalgnn_core.screening.expected import log_desirability

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from crystalgnn_core.learning.cards import ModelCard
    from crystalgnn_core.screening.config import ScoreConfig
    from crystalgnn_core.screening.criteria import Criterion


def score_candidates(
    candidates: pd.DataFrame, criteria: Sequence[Criterion], *, suffix: str = ""
) -> NDArray[np.float64]:
    """Return the weighted geometric mean of the desirabilities.

    Derringer & Suich, J. Qual. Technol. 12, 214 (1980). Of a value that is predicted with a
    distribution, the mean desirability counts, see `log_desirability`.

    Args:
        candidates: The columns that the criteria judge, one row per candidate, with those
            of parts and intervals where they are predicted.
        criteria: What is wanted; some weight is above 0.
        suffix: What the names of these columns end in, such as `_true`.

    Returns:
        Scores in [0, 1], shape (n_candidates,); NaN where a value is missing.
    """
    total = sum(criterion.weight for criterion in criteria)
    log_score = np.zeros(len(candidates))
    for criterion in criteria:
        if criterion.weight:
            share = criterion.weight / total
            log_score += share * log_desirability(criterion, candidates, suffix)
        else:
            log_score[candidates[criterion.column + suffix].isna()] = np.nan
    return np.exp(log_score)


def is_in_windows(
    candidates: pd.DataFrame, criteria: Sequence[Criterion], *, suffix: str = ""
) -> NDArray[np.bool_]:
    """Return whether the values lie in every range that is bounded on both sides."""
    is_inside = np.ones(len(candidates), dtype=bool)
    for criterion in criteria:
        if criterion.is_window:
            values = candidates[criterion.column + suffix]
            is_inside &= values.between(*criterion.wanted()).to_numpy()
    return is_inside


def describe_score(config: ScoreConfig) -> str:
    """Say what the score rewards."""
    parts = [f"{one.sentence()} (weight {one.weight:g})" for one in config.resolve()]
    mean = f"weighted geometric mean of: {'; '.join(parts)}"
    return f"score = {mean}. It depends on the candidate alone."


def rank_candidates(scored: pd.DataFrame) -> pd.DataFrame:
    """Order candidates by score, highest first; ties by source and id.

    Args:
        scored: Columns `source`, `candidate_id`, `score` and any others.

    Returns:
        A new frame with `rank` counting from 1.
    """
    ordered = scored.sort_values(
        ["score", "source", "candidate_id"], ascending=[False, True, True], kind="stable"
    ).reset_index(drop=True)
    ordered.insert(0, "rank", np.arange(1, len(ordered) + 1))
    return ordered


def ranking_schema(targets: Sequence[str], further: Sequence[str] = ()) -> pa.Schema:
    """Return the columns of a ranking; further predicted columns stand last."""
    texts = {name: pa.string() for name in ("candidate_id", "formula")}
    predicted = dict.fromkeys(targets, pa.float64())
    judged = {"score": pa.float64(), "flags": pa.string(), "source": pa.string()}
    columns = {"rank": pa.int64(), **texts, **predicted, **judged}
    required = [
        pa.field(name, kind, nullable=name in predicted) for name, kind in columns.items()
    ]
    return pa.schema([*required, *(pa.field(name, pa.float64()) for name in further)])


def check_models(cards: Sequence[ModelCard], config: ScoreConfig) -> None:
    """Refuse models that together do not predict what the criteria judge.

    Raises:
        ModelError: A target is missing, or predicted by two models.
    """
    check_targets([(card.model_id, card.scaler.targets) for card in cards], config)


def check_targets(
    predicted: Sequence[tuple[str, Sequence[str]]], config: ScoreConfig
) -> None:
    """Refuse models, given by name and targets, as `check_models` does."""
    for name in config.targets:
        n_models = sum(name in targets for _, targets in predicted)
        if n_models != 1:
            models = ", ".join(model for model, _ in predicted)
            advice = (
                f"add {name} to training.targets and train, name a model of it in "
                "screening.models, or leave its criterion out of screening.score"
                if not n_models
                else "leave all but one of them out of screening.models"
            )
            raise ModelError(
                f"{name} is predicted by {n_models} of the models ({models}), but the "
                f"score needs it from exactly one; {advice}"
            )


def further_targets(cards: Sequence[ModelCard], config: ScoreConfig) -> tuple[str, ...]:
    """Name what the models predict beside what the criteria judge, in their order."""
    names = dict.fromkeys(name for card in cards for name in card.scaler.targets)
    return tuple(name for name in names if name not in config.targets)


def predicted_columns(
    cards: Sequence[ModelCard], targets: Sequence[str]
) -> tuple[str, ...]:
    """Name the columns of targets and of their parts, as the first model gives them."""
    first = {name: card for card in reversed(cards) for name in card.scaler.targets}
    return tuple(column for name in targets for column in first[name].columns_of([name]))
