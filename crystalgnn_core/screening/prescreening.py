"""The pre-screen: a fast model leaves the worst candidates out, the others see the rest."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from crystalgnn_core.base import FrozenModel, digest_of
from crystalgnn_core.errors import InputError, IntegrityError
from crystalgnn_core.learning.cards import read_card
from crystalgnn_core.screening.candidates import candidates_digest, read_candidates
from crystalgnn_core.screening.expected import are_uncertain
from crystalgnn_core.screening.joining import join_predictions
from crystalgnn_core.screening.nonmetals import METAL, add_chance_of_gap, needs_chance
from crystalgnn_core.screening.ranking import (
    check_models,
    rank_candidates,
    score_candidates,
)
from crystalgnn_core.storage.files import FileRef, read_model, write_model, write_table
from crystalgnn_core.storage.shards import KEY

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    import pandas as pd

    from crystalgnn_core.learning.cards import ModelCard
    from crystalgnn_core.screening.config import ScoreConfig, ScreeningConfig

logger = logging.getLogger(__name__)
PRESCREEN_FORMAT = 1  # raise it when the same input is cut differently
SCORE, KEPT = "prescreen_score", "is_kept"
IDS = ["source", "candidate_id"]


class Prescreened(FrozenModel):
    """Reference to a finished pre-screen: in = kept + left out.

    Attributes:
        models: Ids of the fast models.
        keep: The setting.
        n_in: Candidates.
        n_kept: Candidates that go on.
        n_unjudged: Those among them of which the fast models have no prediction.
        candidates: Digest of which structures were candidates under which ids.
        weights: Digests of what the fast models predict by, see `ModelCard`.
        desirability: Whether that of the central values was judged, or the mean.
        file: One row per candidate: `source`, `candidate_id`, `structure_digest`,
            `prescreen_score` (empty without a prediction) and `is_kept`.
    """

    models: tuple[str, ...]
    keep: int | float
    n_in: int
    n_kept: int
    n_unjudged: int
    candidates: str
    weights: tuple[str, ...]
    desirability: Literal["value", "mean"] = "value"
    file: FileRef

    @property
    def note(self) -> str:
        """One line on who judged and what goes on."""
        unjudged = f" ({self.n_unjudged:,} of them not judged)" if self.n_unjudged else ""
        return (
            f"{self.n_in:,} candidates scored by {' and '.join(self.models)}, "
            f"{self.n_kept:,} kept{unjudged}"
        )


def prescreen(store: Path, config: ScreeningConfig, models: Sequence[Path]) -> Prescreened:
    """Score all candidates with fast models that have predicted them; keep the best.

    A candidate of which they have no prediction is kept, because another model may have
    one; the screen counts it as rejected when it has not. The file lies in
    `<store>/prescreens`; an equal pre-screen that is there and intact is returned.

    Raises:
        InputError: `config` has no pre-screen, or there are no candidates.
        ModelError: The models together do not predict what the criteria judge.
        IntegrityError: A candidate has neither prediction nor reject reason.
    """
    if config.prescreen is None:
        raise InputError("no pre-screen is configured; set screening.prescreen")
    cards = [read_card(model) for model in models]
    check_models(cards, config.score)
    candidates = read_candidates(store, config.sources)
    weights = tuple(card.predictions_digest for card in cards)
    content: dict[str, object] = {
        "format": PRESCREEN_FORMAT,
        "weights": weights,
        "keep": config.prescreen.keep,
        "score": config.score.settings_digest(),
        "candidates": candidates_digest(candidates),
    }
    with_chance = config.metal_filter and needs_chance(cards)
    is_mean = with_chance or are_uncertain(cards, config.score.targets)
    if is_mean:
        content["desirability"] = ["mean", with_chance]  # before that of central values
    path = store / "prescreens" / f"{digest_of(content)}.parquet"
    entry = path.with_suffix(".json")
    finished = read_model(entry, Prescreened)
    if finished is not None and finished.file.is_intact():
        return finished
    predicted = _join(store, cards, candidates, config.score, with_chance=with_chance)
    table = _cut(candidates, predicted, config)
    write_table(path, pa.Table.from_pandas(table, preserve_index=False))
    made = Prescreened(
        models=tuple(card.model_id for card in cards),
        keep=config.prescreen.keep,
        n_in=len(table),
        n_kept=int(table[KEPT].sum()),
        n_unjudged=len(candidates) - len(predicted),
        candidates=content["candidates"],
        weights=weights,
        desirability="mean" if is_mean else "value",
        file=FileRef.of(path, n_rows=len(table)),
    )
    write_model(entry, made)
    logger.info("pre-screen: %s", made.note)
    return made


def _join(
    store: Path,
    cards: Sequence[ModelCard],
    candidates: pd.DataFrame,
    score: ScoreConfig,
    *,
    with_chance: bool,
) -> pd.DataFrame:
    """Join what the score judges, and the chance of a gap where that is wanted."""
    names = [*score.targets]
    if with_chance and any(METAL in card.scaler.targets for card in cards):
        names.append(METAL)
    predicted, _ = join_predictions(store, cards, candidates, list(dict.fromkeys(names)))
    return add_chance_of_gap(predicted, cards) if with_chance else predicted


def _cut(
    candidates: pd.DataFrame, predicted: pd.DataFrame, config: ScreeningConfig
) -> pd.DataFrame:
    """Return ids, scores and what is kept, in the order of the candidates."""
    n_kept = 0 if config.prescreen is None else config.prescreen.count(len(candidates))
    scores = score_candidates(predicted, config.score.resolve())
    ranked = rank_candidates(predicted[IDS].assign(score=scores))
    joined = candidates[[*IDS, KEY]].merge(ranked, on=IDS, how="left", validate="1:1")
    is_kept = joined["rank"].isna() | (joined["rank"] <= n_kept)
    return joined[[*IDS, KEY]].assign(**{SCORE: joined["score"], KEPT: is_kept})


def read_prescreened(prescreened: Prescreened, candidates: pd.DataFrame) -> pd.DataFrame:
    """Add `prescreen_score` and `is_kept` to the candidates.

    Raises:
        IntegrityError: The file is damaged, or is about other candidates.
    """
    if prescreened.candidates != candidates_digest(candidates):
        raise IntegrityError(
            "the candidates have changed since the pre-screen; screen them again"
        )
    table = _read(prescreened).to_pandas()
    return candidates.merge(table[[*IDS, SCORE, KEPT]], on=IDS, how="left", validate="1:1")


def only_kept(
    tables: Iterable[pa.Table], prescreened: Prescreened | None
) -> Iterator[pa.Table]:
    """Leave out the structures that did not pass a pre-screen, if there was one."""
    if prescreened is None:
        yield from tables
        return
    kept = kept_digests(prescreened)
    for table in tables:
        yield table.filter(pc.is_in(table[KEY], value_set=kept))


def kept_digests(prescreened: Prescreened) -> pa.Array:
    """Return the digests of the structures that go on.

    Raises:
        IntegrityError: The file is missing or damaged.
    """
    table = _read(prescreened)
    return table.filter(table[KEPT])[KEY].unique()


def _read(prescreened: Prescreened) -> pa.Table:
    if not prescreened.file.is_intact():
        raise IntegrityError(
            f"{prescreened.file.path}: missing or damaged; screen the candidates again"
        )
    return pq.read_table(prescreened.file.path)
