"""Weights that other programs wrote, read without running anything that they contain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import torch

from crystalgnn_core.errors import ModelError
from crystalgnn_core.graphs.config import GraphConfig
from crystalgnn_core.models.config import CGCNNConfig, MEGNetConfig
from crystalgnn_core.models.elements import N_ELEMENT_FEATURES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

# names in the published files
_TARGETS = {
    "formation_energy_per_atom": "formation_energy_per_atom",
    "band_gap": "band_gap",
    "bulk_moduli": "bulk_modulus",
    "shear_moduli": "shear_modulus",
}


class PublishedModel(NamedTuple):
    """A network that was trained elsewhere.

    Attributes:
        config: Its sizes.
        graph: The graphs that it expects.
        weights: Its parameters by our names.
        target: What it predicts, or None where the file does not say.
        mean: Of the transformed labels it was trained on.
        std: Their spread; output x std + mean is the (transformed) value.
        elements: Atomic numbers that it has features for.
        n_rows: Rows of each split, where the file tells them.
        error: Mean absolute error on the transformed scale, as the file tells it; None
            where it does not.
        error_split: Rows on which that error was measured.
        epoch: Epoch of the weights.
    """

    config: CGCNNConfig | MEGNetConfig
    graph: GraphConfig
    weights: dict[str, Tensor]
    target: str | None
    mean: float
    std: float
    elements: tuple[int, ...]
    n_rows: dict[str, int]
    error: float | None
    error_split: Literal["val", "test"]
    epoch: int


def read_cgcnn(path: Path) -> PublishedModel:
    """Read a checkpoint of the CGCNN code (Xie & Grossman 2018), `.pth.tar`.

    Only tensors, numbers, text, lists and dicts are read: a file that holds anything else,
    which a pickle could run, is refused.

    Raises:
        ModelError: No such file, no such checkpoint, or one of a classifier.
    """
    content = _load(path)
    try:
        state, settings = content["state_dict"], content["args"]
        normalizer = content["normalizer"]
        mean, std = float(normalizer["mean"]), float(normalizer["std"])
        config = _cgcnn_config(state, settings)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"{path}: no checkpoint of the CGCNN code ({type(error).__name__}: {error}); "
            "expected state_dict, normalizer and args"
        ) from error
    if settings.get("task", "regression") != "regression":
        raise ModelError(
            f"{path}: a CGCNN for {settings['task']}; only regression is supported"
        )
    return PublishedModel(
        config=config,
        graph=GraphConfig(strategy="knn_cgcnn", cutoff=8.0, n_neighbors=12),
        weights={name: value for name, value in state.items() if "num_batches" not in name},
        target=_TARGETS.get(str(settings.get("data_options", ["", "", ""])[-1])),
        mean=mean,
        std=std,
        elements=config.known_elements(),
        n_rows={
            split: int(settings.get(f"{split}_size") or 0)
            for split in ("train", "val", "test")
        },
        error=float(content["best_mae_error"]) if "best_mae_error" in content else None,
        error_split="val",
        epoch=int(content.get("epoch", 0)),
    )


def _load(path: Path) -> dict[str, Any]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ModelError(f"{path}: no such file") from error
    except Exception as error:
        # torch raises what the damage leads to: UnpicklingError, RuntimeError, EOFError ...
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(f"{path}: no checkpoint that is safe to read: {first}") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path}: holds a {type(content).__name__}, not a checkpoint")
    return content


def _cgcnn_config(state: Mapping[str, Tensor], settings: Mapping[str, Any]) -> CGCNNConfig:
    """Read the sizes off the weights, and see that the features are those of the code."""
    config = CGCNNConfig(
        atom_width=int(settings["atom_fea_len"]),
        n_convolutions=int(settings["n_conv"]),
        hidden_width=int(settings["h_fea_len"]),
        n_hidden=int(settings["n_h"]),
    )
    width, n_inputs = state["embedding.weight"].shape
    edge_width = state["convs.0.fc_full.weight"].shape[1] - 2 * width
    if (n_inputs, edge_width) != (N_ELEMENT_FEATURES, config.n_centers):
        raise ValueError(
            f"{n_inputs} features an atom and {edge_width} an edge, not the "
            f"{N_ELEMENT_FEATURES} and {config.n_centers} of the published code"
        )
    return config
