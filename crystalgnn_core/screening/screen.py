"""A screen: candidates with their predictions, ranked and written as one folder."""

from __future__ import annotations

import logging
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa

from crystalgnn_core.artifacts import (
    FileRef,
    read_json,
    write_json,
    write_table,
    write_text,
)
from crystalgnn_core.base import FrozenModel, digest_of
from crystalgnn_core.errors import IntegrityError, ModelError
from crystalgnn_core.graphs.shards import graph_folder
from crystalgnn_core.learning.checkpoints import read_card
from crystalgnn_core.records.gate import Changes, compare_contents
from crystalgnn_core.records.schema import RejectedRecord
from crystalgnn_core.records.validation import rejects_table
from crystalgnn_core.screening.candidates import (
    candidates_digest,
    load_crystals,
    read_candidates,
)
from crystalgnn_core.screening.cifs import write_cifs
from crystalgnn_core.screening.duplicates import find_duplicates
from crystalgnn_core.screening.prediction import prediction_folder
from crystalgnn_core.screening.ranking import (
    RANKING_SCHEMA,
    rank_candidates,
    score_candidates,
)
from crystalgnn_core.shardset import KEY, Refusal, ShardSet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crystalgnn_core.learning.checkpoints import ModelCard
    from crystalgnn_core.screening.config import ScreeningConfig

logger = logging.getLogger(__name__)
RANKED_TARGETS = ("formation_energy_per_atom", "band_gap")
MANIFEST = "screen.json"


class ScreenResult(FrozenModel):
    """Reference to a finished screen: in = scored + rejected + duplicates.

    Attributes:
        screen_id: Name of the screen; digest of models, settings and candidates.
        folder: Folder of the screen.
        models: Bundle folders of the models.
        n_in: Candidates.
        n_scored: Candidates in the ranking.
        n_duplicates: Candidates that repeat another one.
        n_in_window: Scored candidates whose predicted gap lies in the window.
        rejected: Reject reason to count.
        changes: Against the previous screen of the same name; None for the first.
        previous: Id of that screen.
        files: Ranking, CSV, rejects and candidates, with digests.
        was_ranked: False when the same screen was there already.
    """

    screen_id: str
    folder: str
    models: tuple[str, ...]
    n_in: int
    n_scored: int
    n_duplicates: int
    n_in_window: int
    rejected: dict[str, int]
    changes: Changes | None
    previous: str | None
    files: tuple[FileRef, ...]
    was_ranked: bool = True


def rank_screen(
    store: Path, config: ScreeningConfig, models: Sequence[Path]
) -> ScreenResult:
    """Join candidates and predictions, rank, and write the screen's folder.

    Writes `ranking.parquet`, `ranking.csv`, `rejects.parquet`, `candidates.parquet` and
    `cif/` with the top candidates; returns at once when an equal screen is there and sound.

    Raises:
        ModelError: The models do not predict formation energy and band gap.
        IntegrityError: A candidate has neither prediction nor reject reason, or the counts
            do not add up.
    """
    cards = [read_card(model) for model in models]
    check_models(cards)
    candidates = read_candidates(store, config.sources)
    screen_id = _name_screen(config, cards, candidates)
    folder = store / "screens" / screen_id
    finished = _finished(folder)
    if finished is not None:
        logger.info("screen %s is unchanged", screen_id)
        _point_to(store, config.name, finished.screen_id)
        return finished.model_copy(update={"was_ranked": False})
    predicted, rejects = _predictions(store, cards, candidates)
    duplicates = find_duplicates(
        predicted, RANKED_TARGETS, partial(load_crystals, store, config.sources)
    )
    unique = predicted.drop(index=list(duplicates))
    ranking = rank_candidates(_scored(unique, config))
    previous = previous_screen(store, config.name)
    changes = _changes(previous, candidates)
    outcome = _outcomes(candidates, ranking, rejects, duplicates)
    files = _write_files(folder, ranking, rejects, outcome)
    write_cifs(store, config, folder / "cif", ranking.head(config.top_k))
    low, high = config.score.gap_window
    result = ScreenResult(
        screen_id=screen_id,
        folder=str(folder),
        models=tuple(str(model) for model in models),
        n_in=len(candidates),
        n_scored=len(ranking),
        n_duplicates=len(duplicates),
        n_in_window=int(ranking["band_gap"].between(low, high).sum()),
        rejected=dict(sorted(Counter(reject.reason for reject in rejects).items())),
        changes=changes,
        previous=None if previous is None else previous.screen_id,
        files=files,
    )
    if result.n_in != result.n_scored + len(rejects) + result.n_duplicates:
        raise IntegrityError(
            f"screen {screen_id}: {result.n_in} candidates in, but {result.n_scored} scored + "
            f"{len(rejects)} rejected + {result.n_duplicates} duplicates"
        )
    write_text(folder / MANIFEST, result.model_dump_json(indent=1) + "\n")
    _point_to(store, config.name, screen_id)
    return result


def check_models(cards: Sequence[ModelCard]) -> None:
    """Refuse models that together do not predict what the ranking needs.

    Raises:
        ModelError: A target is missing, or predicted by two models.
    """
    predicted = [name for card in cards for name in card.scaler.targets]
    for name in RANKED_TARGETS:
        if predicted.count(name) != 1:
            ids = ", ".join(card.model_id for card in cards)
            raise ModelError(
                f"{name} is predicted by {predicted.count(name)} of the models ({ids}); give "
                "one model for both targets, or one for each"
            )


def previous_screen(store: Path, name: str) -> ScreenResult | None:
    """Return the last finished screen of a name, or None."""
    pointers = _pointers(store)
    if name not in pointers:
        return None
    return _finished(store / "screens" / pointers[name])


def _name_screen(
    config: ScreeningConfig, cards: Sequence[ModelCard], candidates: pd.DataFrame
) -> str:
    digest = digest_of(
        {
            "models": [card.weights_sha256 for card in cards],
            "config": config.settings_digest(exclude={"device", "batch_size", "models"}),
            "candidates": candidates_digest(candidates),
        }
    )
    return f"{config.name}-{digest[:12]}"


def _finished(folder: Path) -> ScreenResult | None:
    """Return a screen whose manifest and files are there and sound."""
    if not (folder / MANIFEST).is_file():
        return None
    result = ScreenResult.model_validate(read_json(folder / MANIFEST))
    return result if all(file.is_sound() for file in result.files) else None


def _predictions(
    store: Path, cards: Sequence[ModelCard], candidates: pd.DataFrame
) -> tuple[pd.DataFrame, list[RejectedRecord]]:
    """Add the predicted targets to the candidates; list those without, with the reason."""
    refusals: dict[str, Refusal] = {}
    predicted = candidates
    for card in cards:
        shards = ShardSet(prediction_folder(store, card))
        graphs = ShardSet(graph_folder(store, card.graph))
        refusals = graphs.refusals() | shards.refusals() | refusals
        values = shards.read_all([KEY, *card.scaler.targets]).to_pandas()
        predicted = predicted.merge(
            values.drop_duplicates(KEY), on=KEY, how="left", validate="many_to_one"
        )
    complete = predicted[list(RANKED_TARGETS)].notna().all(axis=1)
    rejects = []
    for row in predicted[~complete].itertuples():
        refusal = refusals.get(str(row.structure_digest))
        if refusal is None:
            raise IntegrityError(
                f"{row.source}/{row.candidate_id}: neither predicted nor refused; predict "
                "the candidates before ranking them"
            )
        message = f"{row.candidate_id}: {refusal.message}"
        rejects.append(
            RejectedRecord(
                str(row.source),
                str(row.candidate_id),
                "screen",
                refusal.reason,  # type: ignore[arg-type]  stored from the same vocabulary
                message,
            )
        )
    return predicted[complete].reset_index(drop=True), rejects


def _scored(predicted: pd.DataFrame, config: ScreeningConfig) -> pd.DataFrame:
    scores = score_candidates(
        predicted["formation_energy_per_atom"].to_numpy(),
        predicted["band_gap"].to_numpy(),
        config.score,
    )
    return predicted.assign(score=scores, flags="")


def _outcomes(
    candidates: pd.DataFrame,
    ranking: pd.DataFrame,
    rejects: list[RejectedRecord],
    duplicates: dict[int, int],
) -> pd.DataFrame:
    """Say for every candidate what became of it."""
    outcome = candidates[["source", "candidate_id", "formula", KEY]].copy()
    keys = ["source", "candidate_id"]
    outcome = outcome.merge(ranking[[*keys, "rank"]], on=keys, how="left")
    refused = {(reject.source, reject.material_id) for reject in rejects}
    pairs = zip(outcome["source"], outcome["candidate_id"], strict=True)
    is_refused = pd.Series([pair in refused for pair in pairs], index=outcome.index)
    outcome["rank"] = outcome["rank"].astype("Int64")
    outcome["outcome"] = "scored"
    outcome.loc[is_refused, "outcome"] = "rejected"
    outcome.loc[outcome["rank"].isna() & ~is_refused, "outcome"] = "duplicate"
    if int((outcome["outcome"] == "duplicate").sum()) != len(duplicates):
        raise IntegrityError("candidates were lost between prediction and ranking")
    return outcome


def _write_files(
    folder: Path,
    ranking: pd.DataFrame,
    rejects: list[RejectedRecord],
    outcome: pd.DataFrame,
) -> tuple[FileRef, ...]:
    columns = ranking.reindex(columns=RANKING_SCHEMA.names)
    table = pa.Table.from_pandas(columns, schema=RANKING_SCHEMA, preserve_index=False)
    write_table(folder / "ranking.parquet", table)
    write_text(folder / "ranking.csv", columns.to_csv(index=False))
    write_table(folder / "rejects.parquet", rejects_table(rejects))
    write_table(
        folder / "candidates.parquet", pa.Table.from_pandas(outcome, preserve_index=False)
    )
    names = ("ranking.parquet", "ranking.csv", "rejects.parquet", "candidates.parquet")
    return tuple(FileRef.of(folder / name) for name in names)


def _changes(previous: ScreenResult | None, candidates: pd.DataFrame) -> Changes | None:
    if previous is None:
        return None
    before = pd.read_parquet(Path(previous.folder) / "candidates.parquet")
    return compare_contents(_contents(before), _contents(candidates))


def _contents(frame: pd.DataFrame) -> dict[str, str]:
    keys = zip(frame["source"], frame["candidate_id"], strict=True)
    return dict(zip(("/".join(key) for key in keys), frame[KEY], strict=True))


def _pointers(store: Path) -> dict[str, str]:
    path = store / "screens" / "latest.json"
    return dict(read_json(path)) if path.is_file() else {}


def _point_to(store: Path, name: str, screen_id: str) -> None:
    path = store / "screens" / "latest.json"
    pointers = _pointers(store)
    if pointers.get(name) != screen_id:
        write_json(path, pointers | {name: screen_id})
