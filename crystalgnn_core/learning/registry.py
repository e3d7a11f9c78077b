"""Models of a store, and which of them is the champion for a set of targets."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from crystalgnn_core.base import FrozenModel
from crystalgnn_core.errors import IntegrityError, ModelError, printable
from crystalgnn_core.learning.cards import CARD, ModelCard, read_card
from crystalgnn_core.storage.files import read_json, write_json
from crystalgnn_core.storage.locks import locked
from crystalgnn_core.storage.paths import local_path
from crystalgnn_core.wording import describe_store, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

logger = logging.getLogger(__name__)
LOCK_SECONDS = 30
FOREIGN = (".pth.tar", ".hdf5", ".zip")  # files of other programs, made into bundles


class Promotion(FrozenModel):
    """One entry of a champion's history."""

    model_id: str
    promoted_at: str
    reason: str


HISTORIES = TypeAdapter(dict[str, list[Promotion]])


class Registry:
    """The models below `<store>/models` and the pointers in `champions.json`.

    A champion belongs to a key: its targets with their label schemes, so that a model of
    one scheme never replaces a model of another.
    """

    def __init__(self, store: Path) -> None:
        self.folder = store / "models"
        self.pointers = self.folder / "champions.json"

    def models(self) -> Iterator[ModelCard]:
        """Yield the cards of all finished models, in order of id; skip unreadable ones."""
        for path in sorted(self.folder.glob(f"*/{CARD}")):
            try:
                yield read_card(path.parent)
            except ModelError as error:
                logger.warning("model skipped: %s", error)

    def champions(self) -> dict[str, str]:
        """Return key to model id of every champion."""
        return {
            key: history[-1].model_id for key, history in self._read().items() if history
        }

    def history(self, key: str) -> list[Promotion]:
        """Return the promotions of a key, oldest first."""
        return self._read().get(key, [])

    def champion(self, key: str) -> str | None:
        """Return the model id of the champion of a key, or None."""
        return self.champions().get(key)

    def promote(self, model_id: str, reason: str) -> str:
        """Make a model the champion of its key; return the key.

        Raises:
            ModelError: The store has no such model.
            TransientError: Another process holds the registry for too long.
        """
        if not (self.folder / model_id / CARD).is_file():
            known = [card.model_id for card in self.models()]
            raise ModelError(
                f"no model {model_id!r} in {self._place()}; models: {_listed(known)}"
                f"{did_you_mean(model_id, known)}"
            )
        key = champion_key(read_card(self.folder / model_id))
        with self._lock():
            content = self._read()
            history = content.setdefault(key, [])
            if history and history[-1].model_id == model_id:
                return key
            now = datetime.now(UTC).isoformat(timespec="seconds")
            history.append(Promotion(model_id=model_id, promoted_at=now, reason=reason))
            self._write(content)
        logger.info("champion of %s is now %s: %s", key, model_id, reason)
        return key

    def rollback(self, key: str) -> str:
        """Go back to the champion before the present one; return its id.

        Raises:
            ModelError: There is no earlier champion, or it is gone.
        """
        with self._lock():
            content = self._read()
            history = content.get(key, [])
            if len(history) < 2:
                meant = "" if history else did_you_mean(key, content)
                raise ModelError(
                    f"no earlier champion for {key} in {self._place()}; nothing was "
                    f"changed{meant}"
                )
            previous = history[-2].model_id
            read_card(self.folder / previous)
            history.pop()
            self._write(content)
        return previous

    def resolve(self, reference: str) -> Path:
        """Find the bundle of `champion`, `champion:KEY`, a model id, a folder, or a file.

        A checkpoint of another program (`.pth.tar` of the CGCNN code, `.hdf5` of the MEGNet
        code, `.zip` of the ALIGNN code) is converted into a bundle in the user's cache. A
        published model of the catalogue is downloaded before, if it is not there.

        Raises:
            ModelError: The reference fits nothing, or `champion` fits several.
            DownloadError: The file of a published model cannot be downloaded as expected.
            TransientError: Its host cannot be reached.
        """
        if printable(reference) != reference:
            raise ModelError(
                f"model {reference}: the path is no Unicode; rename the folder"
            )
        if reference.endswith(FOREIGN):
            from crystalgnn_core.learning.conversion import convert  # loads torch

            return convert(local_path(reference))
        if reference.partition(":")[0] == "champion":
            return self.folder / self._named_champion(reference)
        for folder in (self.folder / reference, local_path(reference)):
            if (folder / CARD).is_file():
                return folder
        # loads an HTTP client
        from crystalgnn_core.models.published.catalogue import catalogue

        published = catalogue()
        if reference in published:
            from crystalgnn_core.learning.pretrained import fetch_published  # loads torch

            return fetch_published(reference)
        known = [card.model_id for card in self.models()]
        names = ["champion", *(f"champion:{key}" for key in self.champions())]
        names += [*known, *published]
        raise ModelError(
            f"no model {reference!r}: not a bundle folder, nor in {self._place()} (models: "
            f"{_listed(known)}), nor published (`crystalgnn models pretrained` lists them)"
            f"{did_you_mean(reference, names)}"
        )

    def lacks_champion(self, reference: str) -> bool:
        """Return whether a reference names a champion that there is not, or not yet."""
        name, has_key, key = reference.partition(":")
        champions = self.champions()
        return name == "champion" and (key not in champions if has_key else not champions)

    def _named_champion(self, reference: str) -> str:
        """Return the id of `champion`, if there is one alone, or of `champion:KEY`."""
        champions = self.champions()
        _, has_key, key = reference.partition(":")
        if has_key and key not in champions:
            raise ModelError(
                f"no champion for {key!r} in {self._place()}; keys: "
                f"{_listed(champions)}{did_you_mean(key, champions)}"
            )
        if not champions:
            known = _listed(card.model_id for card in self.models())
            raise ModelError(
                f"no champion in {self._place()}; train a model first, name another "
                f"--model or --store, or make one of the models there ({known}) the "
                "champion by `crystalgnn models promote`"
            )
        if not has_key and len(champions) > 1:
            raise ModelError(
                f"several champions in {self._place()}; write champion:KEY with one of "
                f"the keys {_listed(champions)}"
            )
        return champions[key] if has_key else next(iter(champions.values()))

    def _place(self) -> str:
        return describe_store(self.folder.parent)

    def _read(self) -> dict[str, list[Promotion]]:
        if not self.pointers.is_file():
            return {}
        content = read_json(self.pointers)
        try:
            return HISTORIES.validate_python(content)
        except ValidationError as error:
            raise IntegrityError(
                f"{self.pointers}: not a list of promotions for every key; restore it, or "
                "delete it and promote a model"
            ) from error

    def _write(self, content: dict[str, list[Promotion]]) -> None:
        write_json(self.pointers, HISTORIES.dump_python(content, mode="json"))

    def _lock(self) -> AbstractContextManager[None]:
        return locked(self.folder / ".champions.lock", timeout=LOCK_SECONDS)


def champion_key(card: ModelCard) -> str:
    """Name the targets of a model with their label schemes."""
    return key_of(card.scaler.targets, card.label_schemes)


def key_of(targets: Sequence[str], label_schemes: Mapping[str, str]) -> str:
    """Name targets with their label schemes, in alphabetical order."""
    return " & ".join(f"{name} [{label_schemes[name]}]" for name in sorted(targets))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
