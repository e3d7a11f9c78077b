"""The weights of one network in another that predicts the same, with other targets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import torch

from crystalgnn_core.learning.scaling import TargetScaler
from crystalgnn_core.models.joined import create_network
from crystalgnn_core.models.network import layer_names_of, output_layer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from crystalgnn_core.models.base import NetworkConfig
    from crystalgnn_core.models.network import Network


class Cut(NamedTuple):
    """The logit of a value that is not zero, as a line in the scaled value."""

    slope: float
    intercept: float


def transferred_scaler(
    network: Network,
    scaler: TargetScaler,
    targets: Sequence[str],
    labels: NDArray[np.float64],
    *,
    kind: Literal["refit", "keep"],
    hurdle: Sequence[str] = (),
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
        hurdle: Targets to learn in two parts, see `TargetScaler.fit`.

    Raises:
        ModelError: The network does not say which of its layers is the output.
    """
    linear = tuple(name for name in targets if name in scaler.linear)
    fitted = TargetScaler.fit(targets, labels, linear=linear, hurdle=hurdle)
    mean, std = list(fitted.mean), list(fitted.std)
    for row, old in _shared(scaler.targets, targets):
        if kind == "keep" or layer_names_of(network).sums_atoms:
            mean[row] = scaler.mean[old]
        if kind == "keep":
            std[row] = scaler.std[old]
    return fitted.model_copy(update={"mean": tuple(mean), "std": tuple(std)})


def transfer(
    network: Network,
    scaler: TargetScaler,
    model: NetworkConfig,
    new: TargetScaler,
    cuts: Mapping[str, Cut] | None = None,
) -> Network:
    """Make a network for the targets of `new` with the weights of another.

    Rows of the output layer of targets that both have are changed with the scale, so that
    predictions in the targets' units are equal; those of other targets are fresh, from
    torch's global generator. A target that only one of both has in two parts keeps the row
    of its value; the new row of its logit is `cuts` of the value, or fresh. The given
    network, its scale and configuration stay as they are.

    Raises:
        ModelError: The network does not say which of its layers is the output.
    """
    made = create_network(model, new.n_outputs)
    own, other = output_layer(made), output_layer(network)
    head = f"{layer_names_of(network).output}."
    body = {k: v for k, v in network.state_dict().items() if not k.startswith(head)}
    made.load_state_dict(body, strict=False)
    with torch.no_grad():
        for row, old in _shared(scaler.targets, new.targets):
            factor = scaler.std[old] / new.std[row]
            offset = (scaler.mean[old] - new.mean[row]) / new.std[row]
            own.weight[row] = other.weight[old] * factor
            own.bias[row] = other.bias[old] * factor + offset
        for row, old in _shared(scaler.hurdle, new.hurdle):
            own.weight[len(new.targets) + row] = other.weight[len(scaler.targets) + old]
            own.bias[len(new.targets) + row] = other.bias[len(scaler.targets) + old]
        for name, (slope, intercept) in (cuts or {}).items():
            value = new.targets.index(name)
            logit = len(new.targets) + new.hurdle.index(name)
            own.weight[logit] = own.weight[value] * slope
            own.bias[logit] = own.bias[value] * slope + intercept
    return made


def known_outputs(
    old: TargetScaler, new: TargetScaler, cuts: Mapping[str, Cut]
) -> set[int]:
    """Return the outputs of a network of `transfer` whose rows are not fresh."""
    logits = [n for n in new.hurdle if n in cuts or n in old.hurdle]
    values = {row for row, _ in _shared(old.targets, new.targets)}
    return values | {len(new.targets) + new.hurdle.index(name) for name in logits}


def fit_cut(scaled: NDArray[np.float64], labels: NDArray[np.float64]) -> Cut:
    """Fit the logit that a label is not zero as a line in a predicted value.

    Args:
        scaled: Predictions on the scale of the value's output, shape (n_rows,).
        labels: Some of them zero and some not, NaN missing, same shape.
    """
    from sklearn.linear_model import LogisticRegression

    known = np.isfinite(labels)
    fitted = LogisticRegression().fit(scaled[known, None], labels[known] != 0)
    return Cut(float(fitted.coef_[0, 0]), float(fitted.intercept_[0]))


def freeze(
    network: Network,
    kind: Literal["none", "embedding", "convolutions", "all_but_head"],
) -> None:
    """Keep parts of a network from learning; it is changed in place.

    Raises:
        ModelError: The network does not say which of its layers these are.
    """
    names = layer_names_of(network)
    network.requires_grad_(kind in {"none", "embedding"})
    if kind == "embedding":
        for name in (names.embedding, *names.further_embeddings):
            network.get_submodule(name).requires_grad_(False)
    if kind == "convolutions":
        for name in names.after_pooling:
            network.get_submodule(name).requires_grad_(True)
    output_layer(network).requires_grad_(True)


def _shared(old: Sequence[str], new: Sequence[str]) -> list[tuple[int, int]]:
    """Return where names that both have stand: among the new, and among the old."""
    return [(row, old.index(name)) for row, name in enumerate(new) if name in old]
