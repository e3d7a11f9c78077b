"""State of an unfinished training run: kept so that a restart continues bit for bit."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd
import pyarrow as pa
import torch
from safetensors.torch import load_file, save_file

from crystalgnn_core.errors import IntegrityError, ModelError
from crystalgnn_core.learning.cards import HISTORY
from crystalgnn_core.learning.checkpoints import load_bundle, write_bundle
from crystalgnn_core.storage.files import (
    atomic_path,
    file_sha256,
    read_json,
    write_json,
    write_table,
)

if TYPE_CHECKING:
    from pathlib import Path

    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler

    from crystalgnn_core.learning.cards import ModelCard
    from crystalgnn_core.models.network import Network

POINTERS = "pointers.json"
OPTIMIZER = "optimizer.safetensors"
WEIGHT = "weight."  # before the names of weights of which the model has the average
POINTED = {"last", "best", "epoch", "best_epoch", "best_error", "sha256"} | {
    "param_groups",
    "scheduler",
}


class Progress(NamedTuple):
    """How far a run has come.

    Attributes:
        epoch: Last finished epoch, 0 before the first.
        best_epoch: Epoch with the lowest validation error, 0 before the first.
        best_error: Its scaled validation error.
        history: One row a finished epoch.
    """

    epoch: int
    best_epoch: int
    best_error: float
    history: pd.DataFrame


class CheckpointFolder:
    """The `last` and `best` bundles of a run and what is needed to go on.

    Every epoch is written to a folder of its own; then one small file, replaced
    atomically, says which folders are `last` and `best`. A crash at any point leaves the
    previous epoch in force.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(
        self,
        progress: Progress,
        network: Network,
        optimizer: Optimizer,
        scheduler: LRScheduler,
        card: ModelCard,
        *,
        average: Network | None = None,
    ) -> None:
        """Write one epoch and move the pointers.

        With an average of the weights it is the model, and the weights themselves stand
        beside the state of the optimiser.
        """
        target = self._of(progress.epoch)
        model = network if average is None else average
        write_bundle(target, model, card.model_copy(update={"epoch": progress.epoch}))
        tensors, groups = _split_state(optimizer.state_dict())
        if average is not None:
            weights = network.state_dict().items()
            tensors |= {WEIGHT + name: value.contiguous() for name, value in weights}
        with atomic_path(target / OPTIMIZER) as temporary:
            save_file(tensors, temporary)
        write_table(
            target / HISTORY, pa.Table.from_pandas(progress.history, preserve_index=False)
        )
        write_json(
            self.folder / POINTERS,
            {
                "last": target.name,
                "best": self._of(progress.best_epoch).name,
                "epoch": progress.epoch,
                "best_epoch": progress.best_epoch,
                "best_error": progress.best_error,
                "sha256": {n: file_sha256(target / n) for n in (OPTIMIZER, HISTORY)},
                "param_groups": groups,
                "scheduler": scheduler.state_dict(),
            },
        )
        keep = {target, self._of(progress.best_epoch)}
        for old in self.folder.glob("epoch-*"):
            if old not in keep:
                shutil.rmtree(old, ignore_errors=True)

    def restore(
        self,
        network: Network,
        optimizer: Optimizer,
        scheduler: LRScheduler,
        *,
        average: Network | None = None,
    ) -> Progress:
        """Load the last epoch into the objects; without one, leave them as they are.

        Raises:
            IntegrityError: A file of the last epoch is damaged.
        """
        if not (self.folder / POINTERS).is_file():
            return Progress(0, 0, float("inf"), pd.DataFrame())
        pointers = self._pointers()
        last = self.folder / pointers["last"]
        for name, digest in pointers["sha256"].items():
            stored = last / name
            if not stored.is_file() or file_sha256(stored) != digest:
                raise IntegrityError(
                    f"{stored}: missing or damaged; delete {self.folder} to train afresh"
                )
        try:
            loaded, _ = load_bundle(last)
        except (IntegrityError, ModelError) as error:
            raise IntegrityError(
                f"{error}; delete {self.folder} to train afresh"
            ) from error
        tensors = load_file(last / OPTIMIZER)
        if average is None:
            network.load_state_dict(loaded.state_dict())
        else:
            average.load_state_dict(loaded.state_dict())
            names = [name for name in tensors if name.startswith(WEIGHT)]
            weights = {name.removeprefix(WEIGHT): tensors.pop(name) for name in names}
            network.load_state_dict(weights)
        optimizer.load_state_dict(_join_state(tensors, pointers["param_groups"]))
        scheduler.load_state_dict(pointers["scheduler"])
        epoch, best, lowest = (pointers[k] for k in ("epoch", "best_epoch", "best_error"))
        return Progress(epoch, best, lowest, pd.read_parquet(last / HISTORY))

    def best(self) -> tuple[Network, ModelCard]:
        """Load the bundle of the best epoch."""
        return load_bundle(self.folder / self._pointers()["best"])

    def _pointers(self) -> dict[str, Any]:
        pointers = read_json(self.folder / POINTERS)
        if not isinstance(pointers, dict) or not pointers.keys() >= POINTED:
            raise IntegrityError(
                f"{self.folder / POINTERS}: damaged; delete {self.folder} to train afresh"
            )
        return pointers

    def _of(self, epoch: int) -> Path:
        return self.folder / f"epoch-{epoch:05d}"


def _split_state(state: dict[str, Any]) -> tuple[dict[str, torch.Tensor], list[Any]]:
    """Separate an optimiser state into named tensors and JSON parameter groups."""
    tensors = {
        f"{index}.{name}": torch.as_tensor(value).contiguous()
        for index, values in state["state"].items()
        for name, value in values.items()
        if value is not None
    }
    return tensors, state["param_groups"]


def _join_state(tensors: dict[str, torch.Tensor], groups: list[Any]) -> dict[str, Any]:
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = value
    return {"state": state, "param_groups": groups}
