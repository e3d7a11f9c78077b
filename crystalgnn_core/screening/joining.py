"""Candidates joined with their predictions; those without become rejects with a reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from crystalgnn_core.errors import IntegrityError
from crystalgnn_core.graphs.shards import graph_folder
from crystalgnn_core.records.schema import SCREEN_STAGE, RejectedRecord
from crystalgnn_core.screening.prediction import prediction_folder
from crystalgnn_core.storage.shards import KEY, Refusal, ShardSet
from crystalgnn_core.targets import NOVELTY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from crystalgnn_core.learning.cards import ModelCard


def join_predictions(
    store: Path,
    cards: Sequence[ModelCard],
    candidates: pd.DataFrame,
    targets: Sequence[str],
) -> tuple[pd.DataFrame, list[RejectedRecord]]:
    """Add the predicted targets to the candidates.

    Args:
        store: Store folder.
        cards: Models; each of the targets is predicted by one of them, or the first that
            predicts it counts.
        candidates: See `read_candidates`.
        targets: Targets to add, in their units; those in two parts with these. Novelty is
            added, too: the largest by the models that know it.

    Returns:
        The candidates with finite predictions, in order, and the others as rejects.

    Raises:
        IntegrityError: A candidate has neither prediction nor reject reason.
    """
    refusals: dict[str, Refusal] = {}
    predicted = candidates
    for card in cards:
        shards = ShardSet(prediction_folder(store, card))
        graphs = ShardSet(graph_folder(store, card.graph))
        refusals = graphs.refusals() | shards.refusals() | refusals
        own = [t for t in targets if t in card.scaler.targets and t not in predicted]
        own_novelty = [NOVELTY] if card.novelty_rows else []
        values = _predictions(shards, [*card.columns_of(own), *own_novelty])
        before = predicted.pop(NOVELTY) if NOVELTY in predicted else None
        predicted = predicted.merge(
            values.assign(_found=True), on=KEY, how="left", validate="many_to_one"
        )
        if before is not None:
            now = predicted.get(NOVELTY, before)
            predicted[NOVELTY] = np.fmax(now.to_numpy(), before.to_numpy())
        is_found = predicted.pop("_found").notna()
        missing = set(predicted.loc[~is_found, KEY]) - refusals.keys()
        if missing:
            first = predicted[predicted[KEY].isin(missing)].iloc[0]
            raise IntegrityError(
                f"{first['source']}/{first['candidate_id']}: neither predicted by "
                f"{card.model_id} nor refused ({len(missing)} structures in all); predict "
                "the candidates before ranking them"
            )
    is_finite = np.isfinite(predicted[list(targets)].to_numpy(dtype=float)).all(axis=1)
    return (
        predicted[is_finite].reset_index(drop=True),
        _rejects(predicted[~is_finite], refusals),
    )


def _predictions(shards: ShardSet, columns: Sequence[str]) -> pd.DataFrame:
    """Read all predictions; there are none when every candidate was refused a graph."""
    if not shards.intact_entries():
        return pd.DataFrame({KEY: pd.Series(dtype=str), **dict.fromkeys(columns, 0.0)})
    frame: pd.DataFrame = shards.read_all([KEY, *columns]).to_pandas()
    return frame.drop_duplicates(KEY)


def _rejects(rows: pd.DataFrame, refusals: Mapping[str, Refusal]) -> list[RejectedRecord]:
    unpredicted = Refusal(
        structure_digest="",
        reason="invalid_prediction",
        message="the model predicts no finite number; use another model",
    )
    rejects = []
    columns = (rows[name] for name in ("source", "candidate_id", KEY))
    for source, name, digest in zip(*columns, strict=True):
        found = refusals.get(digest, unpredicted)
        message = f"{name}: {found.message}"
        rejects.append(RejectedRecord(source, name, SCREEN_STAGE, found.reason, message))
    return rejects
