"""The weights of one network in another that predicts the same, with other targets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch

from crystalgnn_core.learning.scaling import TargetScaler
from crystalgnn_core.models.joined import create_network
from crystalgnn_core.models.network import layer_names_of, output_layer

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from crystalgnn_core.models.base import NetworkConfig
    from crystalgnn_core.models.network import Network


def transferred_scaler(
    network: Network,
    scaler: TargetScaler,
    targets: Sequence[str],
    labels: NDArray[np.float64],
    *,
    kind: Literal["refit", "keep"],
) -> TargetScaler:
    """Choose the scale on which a network goes on learning.

    `refit` fits it to the labels; `keep` leaves that of the network for the targets that it
    has. Where a network sums over atoms, its output layer cannot make up for another mean,
    which is then kept in any case.

    Args:
        network: Network that has learned on `scaler`.
        scaler: Its scale.
        targets: Targets to learn.
        labels: Training labels in their units, shape (n_rows, n_targets), NaN missing.
        kind: Which of the two.

    Raises:
        ModelError: The network does not say which of its layers is the output.
    """
    linear = tuple(name for name in targets if name in scaler.linear)
    fitted = TargetScaler.fit(targets, labels, linear=linear)
    mean, std = list(fitted.mean), list(fitted.std)
    for row, old in _shared(scaler, targets):
        if kind == "keep" or layer_names_of(network).sums_atoms:
            mean[row] = scaler.mean[old]
        if kind == "keep":
            std[row] = scaler.std[old]
    return fitted.model_copy(update={"mean": tuple(mean), "std": tuple(std)})


def transfer(
    network: Network, scaler: TargetScaler, model: NetworkConfig, new: TargetScaler
) -> Network:
    """Make a network for the targets of `new` with the weights of another.

    Rows of the output layer of targets that both have are changed with the scale, so that
    predictions in the targets' units are equal; those of other targets are fresh, from
    torch's global generator. The given network, its scale and configuration stay as they
    are.

    Raises:
        ModelError: The network does not say which of its layers is the output.
    """
    made = create_network(model, len(new.targets))
    own, other = output_layer(made), output_layer(network)
    head = f"{layer_names_of(network).output}."
    body = {k: v for k, v in network.state_dict().items() if not k.startswith(head)}
    made.load_state_dict(body, strict=False)
    with torch.no_grad():
        for row, old in _shared(scaler, new.targets):
            factor = scaler.std[old] / new.std[row]
            offset = (scaler.mean[old] - new.mean[row]) / new.std[row]
            own.weight[row] = other.weight[old] * factor
            own.bias[row] = other.bias[old] * factor + offset
    return made


def freeze(network: Network, kind: Literal["none", "embedding", "all_but_head"]) -> None:
    """Keep parts of a network from learning; it is changed in place.

    Raises:
        ModelError: The network does not say which of its layers these are.
    """
    names = layer_names_of(network)
    network.requires_grad_(kind != "all_but_head")
    if kind == "embedding":
        network.get_submodule(names.embedding).requires_grad_(False)
    output_layer(network).requires_grad_(True)


def _shared(scaler: TargetScaler, targets: Sequence[str]) -> list[tuple[int, int]]:
    """Return where targets that both have stand: among the new, and among the old."""
    return [
        (row, scaler.targets.index(name))
        for row, name in enumerate(targets)
        if name in scaler.targets
    ]
