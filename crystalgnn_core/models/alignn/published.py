"""Archives of the ALIGNN code (Choudhary & DeCost 2021): a checkpoint with its settings."""

from __future__ import annotations

import io
import json
import lzma
import zipfile
import zlib
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from crystalgnn_core.errors import ModelError
from crystalgnn_core.models.alignn.published_settings import (
    graph_config,
    network_config,
    target_and_scheme,
)
from crystalgnn_core.models.published.model import PublishedModel
from crystalgnn_core.models.published.opening import checked_state, load_torch, opening

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

    from crystalgnn_core.models.alignn.config import ALIGNNConfig

NOT_CHECKED = "not checked against a real archive"
_UNREADABLE = (  # what zipfile and json raise; RuntimeError: encrypted, unknown method
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    RuntimeError,
    ValueError,
)
_MOST_BYTES = 2**29  # unpacked; the published checkpoints have 50 MB


def read_alignn(path: Path) -> PublishedModel:
    """Read a `.zip` with `config.json` and `checkpoint_*.pt` or `best_model.pt`.

    Several checkpoints: the last one listed counts, as in the authors' code. Only tensors,
    numbers, text and their containers are read; anything else in the checkpoint, such as
    the state of a scheduler, is left out without running it.

    Raises:
        ModelError: No such file, no such archive, or a network that is not built here.
    """
    with opening(path, "archive of the ALIGNN code"):
        archive = _read_archive(path)
        settings = archive.settings
        config = network_config(settings)
        graph = graph_config(settings)
        weights = _used_weights(_read_state(archive.checkpoint), config)
        target, scheme = target_and_scheme(path.name, settings)
        factor = settings.get("target_multiplication_factor") or 1.0
        std = 1.0 / float(factor)
    return PublishedModel(
        config=config,
        graph=graph,
        weights=weights,
        target=target,
        kind="regression",
        mean=0.0,
        std=std,
        elements=config.known_elements(),
        n_rows=archive.n_rows,
        error=None,
        error_split="test",
        epoch=archive.epoch,
        scheme=scheme,
        is_linear=True,
        remarks=(NOT_CHECKED,),
    )


class _Archive(NamedTuple):
    """Content of an archive.

    Attributes:
        settings: `config.json`.
        checkpoint: Bytes of the checkpoint.
        epoch: Epoch in the checkpoint's name; 0 where it has none.
        n_rows: Rows of each split, by `ids_train_val_test.json`.
    """

    settings: dict[str, Any]
    checkpoint: bytes
    epoch: int
    n_rows: dict[str, int]


def _read_archive(path: Path) -> _Archive:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            chosen = [name for name in names if _is_checkpoint(PurePosixPath(name).name)]
            configs = [name for name in names if PurePosixPath(name).name == "config.json"]
            if not chosen or not configs:
                raise ModelError(
                    f"{path}: no archive of the ALIGNN code: it holds "
                    f"{', '.join(names[:5]) or 'nothing'}; expected config.json and "
                    "checkpoint_*.pt or best_model.pt"
                )
            settings = json.loads(_read(archive, configs[-1]))
            if not isinstance(settings, dict) or not isinstance(
                settings.get("model"), dict
            ):
                raise ModelError(f"{path}: {configs[-1]} holds no settings of a model")
            stem = PurePosixPath(chosen[-1]).stem.removeprefix("checkpoint_")
            return _Archive(
                settings,
                _read(archive, chosen[-1]),
                int(stem) if stem.isdigit() else 0,
                _count_rows(archive),
            )
    except FileNotFoundError as error:
        raise ModelError(f"{path}: no such file") from error
    except _UNREADABLE as error:
        raise ModelError(f"{path}: no readable zip archive ({error})") from error


def _is_checkpoint(name: str) -> bool:
    return name == "best_model.pt" or (
        name.startswith("checkpoint_") and name.endswith(".pt")
    )


def _read(archive: zipfile.ZipFile, name: str) -> bytes:
    if archive.getinfo(name).file_size > _MOST_BYTES:
        raise ValueError(f"{name} unpacks to more than {_MOST_BYTES} bytes")
    return archive.read(name)


def _count_rows(archive: zipfile.ZipFile) -> dict[str, int]:
    for name in archive.namelist():
        if PurePosixPath(name).name == "ids_train_val_test.json":
            ids = json.loads(_read(archive, name))
            if not isinstance(ids, dict):
                return {}
            rows = {split: ids.get(f"id_{split}") for split in ("train", "val", "test")}
            return {
                split: len(set(map(str, found))) if isinstance(found, list) else 0
                for split, found in rows.items()
            }
    return {}


def _read_state(checkpoint: bytes) -> dict[str, Tensor]:
    """Read the weights; names of code in the pickle stand for things that do nothing."""
    stream = io.BytesIO(checkpoint)
    foreign = torch.serialization.get_unsafe_globals_in_checkpoint(stream)
    content = load_torch(stream, tuple(foreign))
    if not isinstance(content, dict):
        raise TypeError(f"its checkpoint holds a {type(content).__name__}")
    state = content.get("model", content)
    return checked_state(
        {name: value for name, value in state.items() if torch.is_tensor(value)}
    )


def _used_weights(state: Mapping[str, Tensor], config: ALIGNNConfig) -> dict[str, Tensor]:
    """Leave out what nothing reads, which our network does not have."""
    unread = (
        f"alignn_layers.{config.n_line_convolutions - 1}.edge_update.bn_edges.",
        f"gcn_layers.{config.n_convolutions - 1}.bn_edges.",
        "fc_atomwise.",
        "fc_additional_output.",
        "_species_table",
    )
    return {
        name: value.float()
        for name, value in state.items()
        if not name.startswith(unread) and not name.endswith((".centers", "_tracked"))
    }
