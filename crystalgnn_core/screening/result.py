"""The result of a screen, and which screen of a name came before it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import pandas as pd

from crystalgnn_core.base import ADDED_LATER, FrozenModel
from crystalgnn_core.screening.outcome import CANDIDATES
from crystalgnn_core.screening.prescreening import Prescreened
from crystalgnn_core.storage.checksums import is_lost
from crystalgnn_core.storage.files import FileRef, read_json, read_model, write_json
from crystalgnn_core.storage.shards import KEY

if TYPE_CHECKING:
    from collections.abc import Mapping

logger = logging.getLogger(__name__)
MANIFEST = "screen.json"


class CandidateChanges(FrozenModel):
    """Counts of candidates by what became of them since another screen."""

    n_new: int
    n_changed: int
    n_removed: int
    n_unchanged: int


class ScreenResult(FrozenModel):
    """Reference to a finished screen: in = scored + rejected + duplicates + prescreened.

    Attributes:
        screen_id: Name of the screen; digest of models, settings and candidates.
        folder: Folder of the screen.
        models: Bundle folders of the models.
        n_in: Candidates, with those that could not be read.
        n_scored: Candidates in the ranking.
        n_duplicates: Candidates that repeat another one.
        n_in_window: Scored candidates within every window of the criteria.
        rejected: Reject reason to count, at the ingest of the sources and here.
        changes: Against the previous screen of the same name; None for the first.
        previous: Id of that screen.
        files: Ranking, CSV, rejects, candidates and CIF files, with digests.
        was_ranked: False when the same screen was there already.
        prescreened: The pre-screen that left candidates out; None without one.
        n_unread: Those of the rejected that the ingest refused; they have no record.
    """

    screen_id: str
    folder: str
    models: tuple[str, ...]
    n_in: int
    n_scored: int
    n_duplicates: int
    n_in_window: int
    rejected: dict[str, int]
    changes: CandidateChanges | None
    previous: str | None
    files: tuple[FileRef, ...]
    was_ranked: bool = True
    prescreened: Annotated[Prescreened | None, ADDED_LATER] = None
    n_unread: Annotated[int, ADDED_LATER] = 0

    @property
    def n_prescreened(self) -> int:
        """Candidates that the pre-screen left out."""
        cut = self.prescreened
        return 0 if cut is None else cut.n_in - cut.n_kept

    @property
    def account(self) -> str:
        """What became of all candidates, in one line."""
        cut = self.prescreened
        left_out = "" if cut is None else f" + {self.n_prescreened:,} prescreened"
        return (
            f"{self.n_in:,} candidates = {self.n_scored:,} scored + "
            f"{sum(self.rejected.values()):,} rejected + "
            f"{self.n_duplicates:,} duplicates{left_out}"
        )


def finished_screen(folder: Path) -> ScreenResult | None:
    """Return a screen whose manifest and files are there and intact."""
    result = _read_manifest(folder)
    if result is None or not all(file.is_intact() for file in result.files):
        return None
    return result


def _read_manifest(folder: Path) -> ScreenResult | None:
    result = read_model(folder / MANIFEST, ScreenResult)
    if result is None:
        if (folder / MANIFEST).is_file():
            logger.warning("%s: damaged manifest; ranking again", folder)
        return None
    models = tuple(_bundle(folder.parents[1], path) for path in result.models)
    return result.model_copy(update={"folder": str(folder), "models": models})


def _bundle(store: Path, path: str) -> str:
    """Return where a model is now, should the store have been moved."""
    own = store / "models" / Path(path).name
    return str(own) if own.is_dir() else path


def previous_screen(store: Path, name: str) -> ScreenResult | None:
    """Return the last finished screen of a name, or None."""
    latest = _latest_id(store, name)
    return None if latest is None else finished_screen(store / "screens" / latest)


def set_latest(store: Path, name: str, screen_id: str) -> None:
    """Make a screen the latest of its name."""
    if _latest_id(store, name) != screen_id:
        write_json(_pointer(store, name), screen_id)


def _latest_id(store: Path, name: str) -> str | None:
    path = _pointer(store, name)
    return str(read_json(path)) if path.is_file() else None


def _pointer(store: Path, name: str) -> Path:
    # one file per name, so that two screens that end at once do not overwrite each other
    return store / "screens" / "latest" / f"{name}.json"


def compare_with_previous(
    store: Path, name: str, result: ScreenResult, candidates: pd.DataFrame
) -> ScreenResult:
    """Compare a screen with the one before it.

    A screen that is the latest of its name already keeps its comparison, also when it had
    to be made again because a file was damaged, or when the name of the latest is lost; if
    that is lost, too, it is compared with the newest other screen of the name.
    """
    if is_lost(_pointer(store, name)) or _latest_id(store, name) == result.screen_id:
        kept = _read_manifest(Path(result.folder))
        if kept is not None:
            update = {"changes": kept.changes, "previous": kept.previous}
            return result.model_copy(update=update)
        earlier = _newest_other(store, name, result.screen_id)
    else:
        earlier = previous_screen(store, name)
    if earlier is None:
        return result.model_copy(update={"changes": None, "previous": None})
    before = pd.read_parquet(Path(earlier.folder) / CANDIDATES)
    changes = compare_contents(_contents(before), _contents(candidates))
    update = {"changes": changes, "previous": earlier.screen_id}
    return result.model_copy(update=update)


def _newest_other(store: Path, name: str, screen_id: str) -> ScreenResult | None:
    folders = [
        path.parent
        for path in (store / "screens").glob(f"{name}-*/{MANIFEST}")
        if path.parent.name.rpartition("-")[0] == name and path.parent.name != screen_id
    ]
    newest = max(folders, key=lambda one: (one / MANIFEST).stat().st_mtime, default=None)
    return None if newest is None else finished_screen(newest)


def compare_contents(
    before: Mapping[str, str], after: Mapping[str, str]
) -> CandidateChanges:
    """Compare two mappings from candidate to digest of its structure."""
    common = before.keys() & after.keys()
    n_changed = sum(before[key] != after[key] for key in common)
    return CandidateChanges(
        n_new=len(after.keys() - before.keys()),
        n_changed=n_changed,
        n_removed=len(before.keys() - after.keys()),
        n_unchanged=len(common) - n_changed,
    )


def _contents(frame: pd.DataFrame) -> dict[str, str]:
    frame = frame[frame[KEY].notna()]  # the others could not be read
    keys = zip(frame["source"], frame["candidate_id"], strict=True)
    return dict(zip(("/".join(key) for key in keys), frame[KEY], strict=True))
