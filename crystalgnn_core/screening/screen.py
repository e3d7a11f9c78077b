"""A screen: candidates with their predictions, ranked and written as one folder."""

from __future__ import annotations

import logging
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import pandas as pd
from pydantic import ValidationError

from crystalgnn_core.base import LATER, FrozenModel, digest_of
from crystalgnn_core.errors import InputError, IntegrityError
from crystalgnn_core.learning.cards import read_card
from crystalgnn_core.records.contents import Changes, compare_contents
from crystalgnn_core.screening.candidates import (
    candidates_digest,
    load_crystals,
    read_candidates,
)
from crystalgnn_core.screening.cifs import write_cifs
from crystalgnn_core.screening.duplicates import find_duplicates
from crystalgnn_core.screening.flags import flag_candidates
from crystalgnn_core.screening.joining import join_predictions
from crystalgnn_core.screening.latest import latest_screen, point_to
from crystalgnn_core.screening.needs import (
    ENERGY,
    GAP,
    RANKED_TARGETS,
    check_models,
    further_targets,
)
from crystalgnn_core.screening.outcome import CANDIDATES, write_outcome
from crystalgnn_core.screening.prescreening import KEPT, Prescreened, read_prescreened
from crystalgnn_core.screening.ranking import rank_candidates, score_candidates
from crystalgnn_core.storage.files import FileRef, read_json, write_text
from crystalgnn_core.storage.shards import KEY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crystalgnn_core.learning.cards import ModelCard
    from crystalgnn_core.screening.config import ScreeningConfig

logger = logging.getLogger(__name__)
MANIFEST = "screen.json"
SCREEN_FORMAT = 1  # raise it when the same input ranks differently: screens are made again


class ScreenResult(FrozenModel):
    """Reference to a finished screen: in = scored + rejected + duplicates + prescreened.

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
        files: Ranking, CSV, rejects, candidates and CIF files, with digests.
        was_ranked: False when the same screen was there already.
        prescreened: The pre-screen that left candidates out; None without one.
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
    prescreened: Annotated[Prescreened | None, LATER] = None

    @property
    def n_prescreened(self) -> int:
        """Candidates that the pre-screen left out."""
        return 0 if self.prescreened is None else self.prescreened.n_left_out


def rank_screen(
    store: Path,
    config: ScreeningConfig,
    models: Sequence[Path],
    prescreened: Prescreened | None = None,
) -> ScreenResult:
    """Join candidates and predictions, rank, and write the screen's folder.

    Writes `ranking.parquet`, `ranking.csv`, `rejects.parquet`, `candidates.parquet` and
    `cif/` with the top candidates; returns at once when an equal screen is there and sound.

    Args:
        store: Store folder.
        config: Candidates and score.
        models: Bundle folders.
        prescreened: What `prescreen` returned, when a pre-screen is configured.

    Raises:
        InputError: There are no candidates, or the pre-screen is missing.
        ModelError: The models do not predict formation energy and band gap.
        IntegrityError: A candidate has neither prediction nor reject reason, or the counts
            do not add up.
    """
    cards = [read_card(model) for model in models]
    check_models(cards)
    if (config.prescreen is None) != (prescreened is None):
        raise InputError("rank with a pre-screen exactly when one is configured")
    candidates = read_candidates(store, config.sources)
    screen_id = _name_screen(config, cards, candidates, prescreened)
    folder = store / "screens" / screen_id
    result = _finished(folder)
    was_ranked = result is None
    if result is None:
        if prescreened is not None:
            candidates = read_prescreened(prescreened, candidates)
        result = _rank(store, config, models, candidates, folder).model_copy(
            update={"prescreened": prescreened}
        )
    else:
        logger.info("screen %s is there already", screen_id)
    placed = _place(store, config.name, result, candidates)
    if was_ranked or placed != result:
        content = placed.model_dump_json(indent=1, exclude=placed.unused_fields())
        write_text(folder / MANIFEST, content + "\n")
    point_to(store, config.name, screen_id)
    return placed.model_copy(update={"was_ranked": was_ranked})


def _rank(
    store: Path,
    config: ScreeningConfig,
    models: Sequence[Path],
    candidates: pd.DataFrame,
    folder: Path,
) -> ScreenResult:
    """Rank the candidates, those that are kept, and write all files but the manifest."""
    cards = [read_card(model) for model in models]
    targets = (*RANKED_TARGETS, *further_targets(cards))
    kept = candidates
    if KEPT in candidates:
        kept = candidates[candidates[KEPT]].reset_index(drop=True)
    predicted, rejects = join_predictions(store, cards, kept, targets)
    duplicates = find_duplicates(
        predicted, RANKED_TARGETS, partial(load_crystals, store, config.sources)
    )
    unique = predicted.drop(index=list(duplicates))
    ranking = rank_candidates(
        unique.assign(
            score=score_candidates(
                unique[ENERGY].to_numpy(), unique[GAP].to_numpy(), config.score
            ),
            flags=flag_candidates(unique, cards),
        )
    )
    n_out = len(ranking) + len(rejects) + len(duplicates)
    if len(kept) != n_out:
        raise IntegrityError(
            f"screen {folder.name}: {len(kept)} candidates in, but {len(ranking)} "
            f"scored + {len(rejects)} rejected + {len(duplicates)} duplicates = {n_out}"
        )
    files = write_outcome(folder, candidates, ranking, rejects, further_targets(cards))
    cifs = write_cifs(store, config, folder / "cif", ranking.head(config.top_k))
    return ScreenResult(
        screen_id=folder.name,
        folder=str(folder),
        models=tuple(str(model) for model in models),
        n_in=len(candidates),
        n_scored=len(ranking),
        n_duplicates=len(duplicates),
        n_in_window=int(ranking[GAP].between(*config.score.gap_window).sum()),
        rejected=dict(sorted(Counter(reject.reason for reject in rejects).items())),
        changes=None,
        previous=None,
        files=(*files, *cifs),
    )


def _place(
    store: Path, name: str, result: ScreenResult, candidates: pd.DataFrame
) -> ScreenResult:
    """Compare a screen with the one before it.

    A screen that is the latest of its name already keeps its comparison, also when it had
    to be made again because a file was damaged.
    """
    latest = latest_screen(store, name)
    if latest == result.screen_id:
        kept = _manifest(Path(result.folder))
        if kept is None:
            return result
        return result.model_copy(
            update={"changes": kept.changes, "previous": kept.previous}
        )
    previous = previous_screen(store, name)
    if previous is None:
        return result.model_copy(update={"changes": None, "previous": None})
    before = pd.read_parquet(Path(previous.folder) / CANDIDATES)
    changes = compare_contents(_contents(before), _contents(candidates))
    return result.model_copy(update={"changes": changes, "previous": previous.screen_id})


def previous_screen(store: Path, name: str) -> ScreenResult | None:
    """Return the last finished screen of a name, or None."""
    latest = latest_screen(store, name)
    return None if latest is None else _finished(store / "screens" / latest)


def _name_screen(
    config: ScreeningConfig,
    cards: Sequence[ModelCard],
    candidates: pd.DataFrame,
    prescreened: Prescreened | None,
) -> str:
    # what does not decide the ranking, or is named by what it comes to
    named_otherwise = {"device", "batch_size", "models", "prescreen", "allow_mixed_schemes"}
    content = {
        "format": SCREEN_FORMAT,
        "models": [card.weights_sha256 for card in cards],
        "config": config.settings_digest(exclude=named_otherwise),
        "candidates": candidates_digest(candidates),
    }
    if prescreened is not None:
        content["prescreen"] = {"models": prescreened.weights, "keep": prescreened.keep}
    digest = digest_of(content)
    return f"{config.name}-{digest[:12]}"


def _finished(folder: Path) -> ScreenResult | None:
    """Return a screen whose manifest and files are there and sound."""
    result = _manifest(folder)
    if result is None or not all(file.is_sound() for file in result.files):
        return None
    return result


def _manifest(folder: Path) -> ScreenResult | None:
    if not (folder / MANIFEST).is_file():
        return None
    try:
        return ScreenResult.model_validate(read_json(folder / MANIFEST))
    except (IntegrityError, ValidationError):
        logger.warning("%s: damaged manifest; ranking again", folder)
        return None


def _contents(frame: pd.DataFrame) -> dict[str, str]:
    keys = zip(frame["source"], frame["candidate_id"], strict=True)
    return dict(zip(("/".join(key) for key in keys), frame[KEY], strict=True))
