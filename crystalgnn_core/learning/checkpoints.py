"""Model bundles: weights in safetensors and a card that says what they are."""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import torch
from pydantic import Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from crystalgnn_core.artifacts import atomic_path, file_sha256, read_json, write_text
from crystalgnn_core.base import FrozenModel
from crystalgnn_core.errors import IntegrityError, ModelError
from crystalgnn_core.graphs.config import GraphConfig
from crystalgnn_core.learning.data import DataSummary
from crystalgnn_core.learning.metrics import Metrics
from crystalgnn_core.learning.scaling import TargetScaler
from crystalgnn_core.models import ModelConfig

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

CARD_FORMAT = 1
CARD, WEIGHTS = "card.json", "model.safetensors"
TEST_PREDICTIONS, HISTORY = "test_predictions.parquet", "history.parquet"
PACKAGES = ("torch", "torch-geometric", "numpy", "pymatgen", "crystalgnn")


class ModelCard(FrozenModel):
    """Everything that must be known to use a model and to judge it.

    Attributes:
        format: Version of this layout.
        model_id: Name of the model in its store.
        created: UTC time, ISO 8601.
        model: Network configuration.
        graph: Graph configuration; predictions must use the same.
        scaler: Targets in column order, with their scale.
        units: Unit of each target.
        label_schemes: Scheme of each target's labels.
        elements: Atomic numbers that occur in the training split.
        element_counts: Atomic number to training rows that contain the element; empty
            where that is not known.
        label_range: Target to lowest and highest training label, in the target's unit;
            empty where that is not known.
        data: Where the rows came from and how they were divided.
        training: The training configuration, as JSON.
        epoch: Epoch of these weights, from 1.
        metrics: Split to target to errors; the test split is filled in at the end.
        baseline: Errors of the composition-only baseline on the test split.
        environment: Package versions and platform.
        weights_sha256: Digest of the weights file.
        files_sha256: Digests of the files that belong to a finished model of a store.
    """

    format: int = CARD_FORMAT
    model_id: str
    created: str
    model: ModelConfig
    graph: GraphConfig
    scaler: TargetScaler
    units: dict[str, str]
    label_schemes: dict[str, str]
    elements: tuple[int, ...]
    element_counts: dict[int, int] = Field(default_factory=dict)
    label_range: dict[str, tuple[float, float]] = Field(default_factory=dict)
    data: DataSummary
    training: dict[str, Any]
    epoch: int = 0
    metrics: dict[str, dict[str, Metrics]] = Field(default_factory=dict)
    baseline: dict[str, Metrics] = Field(default_factory=dict)
    environment: dict[str, str] = Field(default_factory=dict)
    weights_sha256: str = ""
    files_sha256: dict[str, str] = Field(default_factory=dict)


def write_bundle(folder: Path, network: nn.Module, card: ModelCard) -> ModelCard:
    """Write the weights, then the card that names their digest: without a card, no bundle.

    Returns:
        The card as written.
    """
    tensors = {name: value.contiguous() for name, value in network.state_dict().items()}
    with atomic_path(folder / WEIGHTS) as temporary:
        save_file(tensors, temporary)
    written = card.model_copy(update={"weights_sha256": file_sha256(folder / WEIGHTS)})
    write_text(folder / CARD, written.model_dump_json(indent=1) + "\n")
    return written


def read_card(folder: Path) -> ModelCard:
    """Read the card of a bundle.

    Raises:
        ModelError: The folder is no bundle, or one of another format.
    """
    try:
        content = read_json(folder / CARD)
    except IntegrityError as error:
        raise ModelError(f"{folder} is no model bundle: {error}") from error
    found = content.get("format") if isinstance(content, dict) else None
    if found != CARD_FORMAT:
        raise ModelError(f"{folder}: card format {found}, this version reads {CARD_FORMAT}")
    try:
        return ModelCard.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ModelError(f"{folder}: card field {where}: {first['msg']}") from error


def load_bundle(folder: Path, device: str = "cpu") -> tuple[nn.Module, ModelCard]:
    """Load a bundle's network in evaluation mode, and its card.

    Raises:
        ModelError: The folder is no bundle, or the weights do not fit the card.
        IntegrityError: The weights file is damaged.
    """
    card = read_card(folder)
    weights = folder / WEIGHTS
    if not weights.is_file() or file_sha256(weights) != card.weights_sha256:
        raise IntegrityError(
            f"{weights}: missing or not the file the card describes; restore or retrain it"
        )
    network = card.model.build(len(card.scaler.targets))
    try:
        network.load_state_dict(load_file(weights))
    except (RuntimeError, SafetensorError) as error:
        raise ModelError(f"{folder}: weights do not fit the card ({error})") from error
    return network.to(device).eval(), card


def environment() -> dict[str, str]:
    """Return the versions of what decides a model's numbers."""
    found = {"python": platform.python_version(), "platform": platform.machine()}
    for package in PACKAGES:
        found[package] = version(package)
    return found


def choose_device(setting: str) -> str:
    """Resolve `auto`, and refuse a CUDA request that cannot be met.

    Raises:
        ModelError: `cuda` was asked for and there is none.
    """
    if setting == "cuda" and not torch.cuda.is_available():
        raise ModelError(
            "device cuda was asked for, but torch finds none; use device: auto"
        )
    if setting == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return setting
