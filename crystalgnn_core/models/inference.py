"""Networks as they are used for prediction: in their fast form where they have one."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import torch

from crystalgnn_core.models.cpu.parallel import Parallel
from crystalgnn_core.models.cpu.tables import TableError
from crystalgnn_core.models.cpu.threads import runs_fused

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor
    from torch_geometric.data import Batch

    from crystalgnn_core.models.network import Network

logger = logging.getLogger(__name__)


def for_inference(network: Network) -> Callable[[Batch], Tensor]:
    """Return what predicts the same as a network in evaluation mode, but faster.

    It holds for the weights as they are now, without gradients. On the CPU it is the
    network's `cpu_form`, with the crystals of a batch divided among the threads of torch;
    elsewhere, and for a network without one, it is the network itself. The forms of this
    package read functions of one distance or angle from tables, to about 1e-6 of their
    largest value, and take distances within 2e-6 angstrom as one where they look for
    equivalent atoms.

    Args:
        network: It is put into evaluation mode.
    """
    network.eval()
    weights = list(network.parameters())
    if weights and runs_fused(*weights):
        try:
            form = network.cpu_form()
        except TableError as error:  # too rough a function, or weights that are not finite
            logger.info("%s: predicted without tables (%s)", type(network).__name__, error)
        else:
            if form is not None:
                return Parallel(form)
    return torch.no_grad()(network)
