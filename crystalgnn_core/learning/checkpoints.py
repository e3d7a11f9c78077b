"""Model bundles: weights in safetensors and a card that says what they are."""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from crystalgnn_core.distributed import ranks
from crystalgnn_core.errors import IntegrityError, ModelError
from crystalgnn_core.learning.cards import CARD, WEIGHTS, ModelCard, read_card
from crystalgnn_core.models.joined import create_network
from crystalgnn_core.models.network import Estimator
from crystalgnn_core.models.novelty import Novelty, is_reference
from crystalgnn_core.storage.files import atomic_path, file_sha256, write_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

    from crystalgnn_core.models.base import NetworkConfig
    from crystalgnn_core.models.network import Network

PACKAGES = ("torch", "torch-geometric", "numpy", "pymatgen", "crystalgnn")


def write_bundle(folder: Path, network: Network, card: ModelCard) -> ModelCard:
    """Write the weights, then the card that names their digest: without a card, no bundle.

    Returns:
        The card as written.
    """
    tensors = {name: value.contiguous() for name, value in network.state_dict().items()}
    if network.novelty is None:
        card = card.model_copy(update={"novelty_rows": 0})
    elif card.novelty_rows:
        tensors |= network.novelty.tensors()
    with atomic_path(folder / WEIGHTS) as temporary:
        save_file(tensors, temporary)
    written = card.model_copy(update={"weights_sha256": file_sha256(folder / WEIGHTS)})
    write_text(folder / CARD, written.model_dump_json(indent=1) + "\n")
    return written


def load_bundle(folder: Path, device: str = "cpu") -> tuple[Network, ModelCard]:
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
    try:
        tensors = load_file(weights)
        novelty = Novelty.from_tensors(tensors)
        tensors = {name: one for name, one in tensors.items() if not is_reference(name)}
        network = build_network(
            card.model, card.scaler.n_outputs, tensors, n_members=card.n_members
        )
        network.load_state_dict(tensors)
        network.novelty = novelty
    except (ArithmeticError, RuntimeError, SafetensorError, ValueError) as error:
        said = " ".join(str(error).split())
        raise ModelError(f"{folder}: weights do not fit the card ({said})") from error
    return network.to(device).eval(), card


def build_network(
    config: NetworkConfig,
    n_targets: int,
    weights: Mapping[str, Tensor],
    *,
    n_members: int = 1,
) -> Network:
    """Build the network of some weights; memory is taken only if they are of its sizes.

    Raises:
        ValueError: A shape is another one.
    """
    with torch.device("meta"):
        planned = create_network(config, n_targets, n_members=n_members)
    if not isinstance(planned, Estimator):  # whose state grows with what it learned
        for name, value in planned.state_dict().items():
            if name in weights and weights[name].shape != value.shape:
                raise ValueError(
                    f"{name} has the shape {tuple(weights[name].shape)}, the network "
                    f"{tuple(value.shape)}"
                )
    return create_network(config, n_targets, n_members=n_members)


def environment() -> dict[str, str]:
    """Return the versions of what decides a model's numbers."""
    found = {"python": platform.python_version(), "platform": platform.machine()}
    for package in PACKAGES:
        found[package] = version(package)
    return found


def choose_device(setting: str) -> str:
    """Resolve `auto`, and refuse a CUDA request that cannot be met.

    Raises:
        ModelError: `cuda` was asked for and there is none, or none for this process.
    """
    if setting == "cuda" and not torch.cuda.is_available():
        raise ModelError(
            "device cuda was asked for, but torch finds none; use device: auto"
        )
    if setting == "cpu" or not torch.cuda.is_available():
        return "cpu"
    found, n_devices = ranks(), torch.cuda.device_count()
    if found.local_rank >= n_devices:
        raise ModelError(
            f"{found.local_size} processes share {n_devices} GPUs; start torchrun with "
            f"--nproc-per-node {n_devices}"
        )
    return "cuda" if found.size == 1 else f"cuda:{found.local_rank}"
