"""Fit the output layer of a network to labels in closed form, its body as it is."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from crystalgnn_core.models.network import layer_names_of, output_layer

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from crystalgnn_core.graphs.batches import GraphDataset
    from crystalgnn_core.learning.scaling import TargetScaler
    from crystalgnn_core.models.network import Network

    Array = NDArray[np.float64]

logger = logging.getLogger(__name__)
BATCH = 256
PENALTIES = 10.0 ** np.arange(-3, 7.5, 0.5)
HUBER = 1.345  # 95 % efficient for normal errors
LOGIT_STRENGTH = 0.1  # inverse penalty of a logit's row on standardised features


class Reading(NamedTuple):
    """What an output layer reads of crystals, and gives.

    Attributes:
        features: The factors of its weights, shape (n_rows, n_features).
        n_added: How often its bias is added, shape (n_rows,): once, or once an atom where a
            network sums over atoms.
        outputs: Shape (n_rows, n_outputs).
    """

    features: Array
    n_added: Array
    outputs: Array


class Row(NamedTuple):
    """A row of the output layer: a multiple of what it was, and what is added."""

    factor: float
    weight: Array
    bias: float


def refit_output(
    network: Network,
    dataset: GraphDataset,
    scaler: TargetScaler,
    labels: Array,
    known: Collection[int],
) -> Network:
    """Fit the output layer of a network to labels, in place, and return the network.

    The prediction of a number is first mapped by a line, fitted robustly (Huber, Ann. Math.
    Stat. 35, 73 (1964)); then a ridge regression on the features before the output layer
    fits what the line leaves, with the penalty of the lowest mean absolute error of
    left-out rows (Allen, Technometrics 16, 125 (1974)), unless the line alone has less.
    A logit is mapped by a line, or, where it is new, fitted by a penalised logistic
    regression.

    A network that takes the maximum over the outputs of atoms is not linear in its output
    layer and stays as it is.

    Args:
        network: Network on the scale of `scaler`.
        dataset: Graphs of the labelled rows.
        scaler: Which outputs there are, and their scale.
        labels: In the targets' units, NaN missing, shape (n_rows, n_targets).
        known: Outputs whose row was learned; the others are fitted from nothing.

    Raises:
        ModelError: The network does not say which of its layers is the output.
    """
    read, layer = _read(network, dataset), output_layer(network)
    if read is None:
        logger.info("%s: its output layer is not fitted", type(network).__name__)
        return network
    wanted, classes = scaler.scale(labels), scaler.output_classes
    for index, is_class in enumerate(classes):
        rows = np.isfinite(wanted[:, index])
        own = Reading(read.features[rows], read.n_added[rows], read.outputs[rows])
        before = own.outputs[:, index] * float(index in known)
        fit = _fit_logit if is_class else _fit_number
        row = fit(own, before, wanted[rows, index])
        with torch.no_grad():
            added = torch.from_numpy(row.weight).to(layer.weight)
            kept = row.factor if index in known else 0.0
            layer.weight[index] = layer.weight[index] * kept + added
            layer.bias[index] = layer.bias[index] * kept + row.bias
    return network


@torch.no_grad()
def _read(network: Network, dataset: GraphDataset) -> Reading | None:
    """Read all crystals; None where the outputs are not linear in the output layer."""
    layer, sums = output_layer(network), layer_names_of(network).sums_atoms
    inputs: list[Tensor] = []

    def keep(_: nn.Module, given: tuple[Tensor]) -> None:
        inputs.append(given[0])

    features, counts, outputs = [], [], []
    device = layer.weight.device
    handle, was_training = layer.register_forward_pre_hook(keep), network.training
    network.eval()
    try:
        for _, batch in dataset.batches(BATCH):
            moved = batch.to(device)
            outputs.append(network(moved).double())
            found, n_atoms = inputs.pop().double(), moved.ptr.diff().double()
            if len(found) != len(n_atoms) or sums:
                summed = found.new_zeros(len(n_atoms), found.shape[1])
                found = summed.index_add_(0, moved.batch, found)
                found = found if sums else found / n_atoms[:, None]
            features.append(found)
            counts.append(n_atoms if sums else torch.ones_like(n_atoms))
    finally:
        handle.remove()
        network.train(was_training)
    read, count, given = (torch.cat(parts) for parts in (features, counts, outputs))
    made = read @ layer.weight.double().T + count[:, None] * layer.bias.double()
    if not torch.allclose(made, given, rtol=1e-3, atol=1e-3):
        return None
    return Reading(*(part.cpu().numpy() for part in (read, count, given)))


def _fit_number(read: Reading, before: Array, wanted: Array) -> Row:
    """Fit the row of a number: a line in what it was, then a ridge on what that leaves."""
    factor, offset = _fit_line(before, read.n_added, wanted)
    rest = wanted - factor * before - offset * read.n_added
    ridge = _fit_ridge(read.features, read.n_added, rest)
    if ridge is None:
        return Row(factor, np.zeros(read.features.shape[1]), offset)
    weight, bias = ridge
    return Row(factor, weight, offset + bias)


def _fit_line(before: Array, count: Array, wanted: Array) -> tuple[float, float]:
    """Fit factor and offset robustly."""
    from sklearn.linear_model import HuberRegressor

    line = HuberRegressor(epsilon=HUBER, alpha=0.0, fit_intercept=False, max_iter=1000)
    factor, offset = line.fit(np.stack([before, count], axis=1), wanted).coef_
    return float(factor), float(offset)


def _fit_ridge(features: Array, count: Array, rest: Array) -> tuple[Array, float] | None:
    """Fit what is left by the features; None where that does not help left-out rows."""
    spread = features.std(axis=0)
    scale = np.where(spread > 1e-6 * spread.max(initial=0.0), spread, np.inf)
    scaled, norm = features / scale, count @ count
    mean, level = count @ scaled / norm, count @ rest / norm
    left, sizes, right = np.linalg.svd(scaled - np.outer(count, mean), full_matrices=False)
    around = rest - level * count
    projected, leverage = left.T @ around, count**2 / norm

    def left_out(penalty: float) -> float:
        shrunk = sizes**2 / (sizes**2 + penalty)
        free = 1 - leverage - left**2 @ shrunk
        errors = (around - left @ (shrunk * projected)) / np.maximum(free, 1e-6)
        return float(np.abs(errors).mean())

    errors = [left_out(penalty) for penalty in PENALTIES]
    best = int(np.argmin(errors))
    if errors[best] >= np.abs(rest).mean():
        return None
    weight = right.T @ (sizes / (sizes**2 + PENALTIES[best]) * projected)
    return weight / scale, float(level - mean @ weight)


def _fit_logit(read: Reading, before: Array, wanted: Array) -> Row:
    """Fit the row of a logit: a line in what it was, or a regression on the features."""
    from sklearn.linear_model import LogisticRegression

    width = read.features.shape[1]
    if wanted.min() == wanted.max() or np.ptp(read.n_added) > 0:
        return Row(1.0, np.zeros(width), 0.0)  # a sum over atoms holds no intercept
    if np.ptp(before) > 0:
        line = LogisticRegression().fit(before[:, None], wanted)
        return Row(float(line.coef_[0, 0]), np.zeros(width), float(line.intercept_[0]))
    mean, spread = read.features.mean(axis=0), read.features.std(axis=0)
    scale = np.where(spread > 1e-6 * spread.max(initial=0.0), spread, np.inf)
    fitted = LogisticRegression(C=LOGIT_STRENGTH, max_iter=1000)
    fitted.fit((read.features - mean) / scale, wanted)
    weight = fitted.coef_[0] / scale
    return Row(1.0, weight, float(fitted.intercept_[0] - mean @ weight))
