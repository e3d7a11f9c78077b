"""A screen: candidates with their predictions, ranked and written as one folder."""

from __future__ import annotations

import logging
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

from crystalgnn_core.base import digest_of
from crystalgnn_core.errors import InputError, IntegrityError
from crystalgnn_core.learning.cards import read_card
from crystalgnn_core.screening.candidates import (
    candidates_digest,
    load_crystals,
    read_candidates,
    read_unread,
)
from crystalgnn_core.screening.cifs import write_cifs
from crystalgnn_core.screening.duplicates import find_duplicates
from crystalgnn_core.screening.expected import are_uncertain
from crystalgnn_core.screening.flags import find_unusual, flag_candidates
from crystalgnn_core.screening.joining import join_predictions
from crystalgnn_core.screening.nonmetals import (
    add_chance_of_gap,
    columns_with_chance,
    needs_chance,
)
from crystalgnn_core.screening.outcome import write_outcome
from crystalgnn_core.screening.prescreening import KEPT, read_prescreened
from crystalgnn_core.screening.ranking import (
    check_models,
    further_targets,
    is_in_windows,
    predicted_columns,
    rank_candidates,
    ranking_schema,
    score_candidates,
)
from crystalgnn_core.screening.result import (
    MANIFEST,
    ScreenResult,
    compare_with_previous,
    finished_screen,
    set_latest,
)
from crystalgnn_core.storage.files import write_model
from crystalgnn_core.targets import NOVELTY

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pandas as pd
    import pyarrow as pa

    from crystalgnn_core.learning.cards import ModelCard
    from crystalgnn_core.records.schema import RejectedRecord
    from crystalgnn_core.screening.config import ScreeningConfig
    from crystalgnn_core.screening.prescreening import Prescreened

logger = logging.getLogger(__name__)
SCREEN_FORMAT = 1  # raise it when the same input ranks differently: screens are made again


def rank_screen(
    store: Path,
    config: ScreeningConfig,
    models: Sequence[Path],
    prescreened: Prescreened | None = None,
) -> ScreenResult:
    """Join candidates and predictions, rank, and write the screen's folder.

    What the ingest of the sources refused is in its account and among its rejects.
    Writes `ranking.parquet`, `ranking.csv`, `rejects.parquet`, `candidates.parquet` and
    `cif/` with the top candidates; returns at once when an equal screen is intact. When a
    pre-screen is configured, it needs what `prescreen` returned.

    Raises:
        InputError: There are no candidates, or the pre-screen is missing.
        ModelError: The models together do not predict what the criteria judge.
        IntegrityError: A candidate has neither prediction nor reject reason, or the counts
            do not add up.
    """
    cards = [read_card(model) for model in models]
    check_models(cards, config.score)
    if (config.prescreen is None) != (prescreened is None):
        raise InputError("rank with a pre-screen exactly when one is configured")
    candidates = read_candidates(store, config.sources)
    unread = read_unread(store, config.sources)
    screen_id = _name_screen(config, cards, candidates, prescreened, unread)
    folder = store / "screens" / screen_id
    result = finished_screen(folder)
    was_ranked = result is None
    if result is None:
        if prescreened is not None:
            candidates = read_prescreened(prescreened, candidates)
        result = _rank(store, config, models, candidates, folder, unread=unread)
    else:
        logger.info("screen %s is there already", screen_id)
    result = result.model_copy(update={"prescreened": prescreened})
    placed = compare_with_previous(store, config.name, result, candidates)
    if was_ranked or placed != result:
        write_model(folder / MANIFEST, placed)
    set_latest(store, config.name, screen_id)
    return placed.model_copy(update={"was_ranked": was_ranked})


def _rank(
    store: Path,
    config: ScreeningConfig,
    models: Sequence[Path],
    candidates: pd.DataFrame,
    folder: Path,
    *,
    unread: Sequence[RejectedRecord],
) -> ScreenResult:
    """Rank the candidates, those that are kept, and write all files but the manifest."""
    cards = [read_card(model) for model in models]
    criteria, further = config.score.resolve(), further_targets(cards, config.score)
    targets = config.score.targets
    kept = candidates
    if KEPT in candidates:
        kept = candidates[candidates[KEPT]].reset_index(drop=True)
    predicted, rejects = join_predictions(store, cards, kept, (*targets, *further))
    if config.metal_filter:
        predicted = add_chance_of_gap(predicted, cards)
    load = partial(load_crystals, store, config.sources)
    duplicates = find_duplicates(predicted, targets, load)
    unique = predicted.drop(index=duplicates)
    score = score_candidates(unique, criteria)
    unusual = find_unusual(store, config.sources)
    flags = flag_candidates(unique, cards, criteria, unusual)
    ranking = rank_candidates(unique.assign(score=score, flags=flags))
    n_out = len(ranking) + len(rejects) + len(duplicates)
    if len(kept) != n_out:
        raise IntegrityError(
            f"screen {folder.name}: {len(kept)} candidates in, but {len(ranking)} "
            f"scored + {len(rejects)} rejected + {len(duplicates)} duplicates = {n_out}"
        )
    schema = _schema(config, cards, further, with_novelty=NOVELTY in ranking)
    rejects = [*unread, *rejects]
    files = write_outcome(folder, candidates, ranking, rejects, schema)
    cifs = write_cifs(store, config, folder / "cif", ranking.head(config.top_k))
    return ScreenResult(
        screen_id=folder.name,
        folder=str(folder),
        models=tuple(str(model) for model in models),
        n_in=len(candidates) + len(unread),
        n_scored=len(ranking),
        n_duplicates=len(duplicates),
        n_in_window=int(is_in_windows(ranking, criteria).sum()),
        rejected=dict(sorted(Counter(reject.reason for reject in rejects).items())),
        changes=None,
        previous=None,
        n_unread=len(unread),
        files=(*files, *cifs),
    )


def _schema(
    config: ScreeningConfig,
    cards: Sequence[ModelCard],
    further: Sequence[str],
    *,
    with_novelty: bool,
) -> pa.Schema:
    """Return the columns of the ranking."""
    columns = [predicted_columns(cards, names) for names in (config.score.targets, further)]
    if config.metal_filter and needs_chance(cards):
        columns = [columns_with_chance(names) for names in columns]
    novelty = (NOVELTY,) if with_novelty else ()
    return ranking_schema((*columns[0], *novelty), columns[1])


def _name_screen(
    config: ScreeningConfig,
    cards: Sequence[ModelCard],
    candidates: pd.DataFrame,
    prescreened: Prescreened | None,
    unread: Sequence[RejectedRecord] = (),
) -> str:
    # what does not decide the ranking, or is named by what it comes to
    named_otherwise = {"device", "batch_size", "models", "prescreen", "allow_mixed_schemes"}
    content = {
        "format": SCREEN_FORMAT,
        "models": [card.predictions_digest for card in cards],
        "config": config.settings_digest(exclude=named_otherwise),
        "candidates": candidates_digest(candidates),
    }
    with_chance = config.metal_filter and needs_chance(cards)
    if with_chance or are_uncertain(cards, config.score.targets):
        content["desirability"] = ["mean", with_chance]  # before that of central values
    if unread:
        content["unread"] = [[one.source, one.material_id, one.message] for one in unread]
    if prescreened is not None:
        made: dict[str, object] = {
            "models": prescreened.weights,
            "keep": prescreened.keep,
        }
        if prescreened.desirability == "mean":
            made["file"] = prescreened.file.sha256
        content["prescreen"] = made
    return f"{config.name}-{digest_of(content)[:12]}"
