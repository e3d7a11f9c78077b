"""How much each part of a network counts, by rows that it was not trained on."""

from __future__ import annotations

import logging
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.special import expit

from crystalgnn_core.learning.fitting import INFERENCE_BATCH
from crystalgnn_core.models.network import NetworkInParts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from crystalgnn_core.learning.fitting import LabelledGraphs
    from crystalgnn_core.learning.scaling import TargetScaler
    from crystalgnn_core.models.network import Network

logger = logging.getLogger(__name__)
SHARES = np.arange(11) / 10  # of the first part
HALF, LEAST_ROWS = 0.5, 20


def weigh_parts(network: Network, data: LabelledGraphs, scaler: TargetScaler) -> bool:
    """Choose the share of each of two parts in each output, by the validation rows.

    It is that of the least error, in steps of a tenth. The network is changed in place.

    Args:
        network: After training.
        data: Graphs, labels and validation rows.
        scaler: Of the outputs.

    Returns:
        Whether the prediction has changed; never of a network without parts.
    """
    if not isinstance(network, NetworkInParts):
        return False
    outputs = _predict_parts(network, data)
    wanted, each = scaler.scale(data.labels[data.val]), enumerate(scaler.output_classes)
    chosen = [_choose(outputs[:, :, at], wanted[:, at], is_class=it) for at, it in each]
    if set(chosen) == {HALF}:
        return False
    pairs = zip(scaler.output_targets, chosen, strict=True)
    named = ", ".join(f"{name} {share:.0%}" for name, share in pairs)
    logger.info("the first part counts in %s", named)
    network.weigh_parts(torch.tensor(chosen))
    return True


def _predict_parts(network: NetworkInParts, data: LabelledGraphs) -> NDArray[np.float64]:
    """Return both parts of the validation rows, shape (2, n_rows, n_outputs)."""
    network.eval()
    device = next(chain(network.parameters(), network.buffers())).device
    with torch.inference_mode():
        found = [
            network.parts(batch.to(device)).cpu().double().numpy()
            for _, batch in data.dataset.batches(INFERENCE_BATCH, order=data.val)
        ]
    return np.concatenate(found, axis=1)


def _choose(
    parts: NDArray[np.float64], wanted: NDArray[np.float64], *, is_class: bool
) -> float:
    """Return the share of the first part in one output."""
    known = np.isfinite(wanted)
    if known.sum() < LEAST_ROWS:
        return HALF
    share = SHARES[:, None]
    mixed = share * parts[0, known] + (1 - share) * parts[1, known]
    label = wanted[known]
    # the Brier score of a class: a few sure mistakes do not decide
    errors = np.square(expit(mixed) - label) if is_class else np.abs(mixed - label)
    return float(SHARES[errors.mean(axis=1).argmin()])
