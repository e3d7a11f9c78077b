"""Networks as they are used for prediction: folded, and read from tables where they can be.

Training changes weights at every step; afterwards they stay, and with them every function
of one distance or one angle. Such functions are tabulated once for each network.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import torch

from crystalgnn_core.models.alignn.inference import FastALIGNN
from crystalgnn_core.models.alignn.network import ALIGNN
from crystalgnn_core.models.cgcnn.inference import FastCGCNN
from crystalgnn_core.models.cgcnn.network import CGCNN
from crystalgnn_core.models.cpu.parallel import Parallel
from crystalgnn_core.models.cpu.tables import TableError
from crystalgnn_core.models.cpu.threads import runs_fused
from crystalgnn_core.models.megnet.inference import FastMEGNet
from crystalgnn_core.models.megnet.network import MEGNet
from crystalgnn_core.models.schnet.inference import FastSchNet
from crystalgnn_core.models.schnet.network import SchNet

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn
    from torch_geometric.data import Batch

logger = logging.getLogger(__name__)

_FORMS: dict[type, Callable[..., Callable[[Batch], Tensor]]] = {
    ALIGNN: FastALIGNN,
    CGCNN: FastCGCNN,
    MEGNet: FastMEGNet,
    SchNet: FastSchNet,
}


def for_inference(network: nn.Module) -> Callable[[Batch], Tensor]:
    """Return what predicts the same as a network in evaluation mode, but faster.

    It holds for the weights as they are now, without gradients. On the CPU it reads
    functions of one distance or angle from tables, to about 1e-6 of their largest value,
    takes distances within 2e-6 angstrom as one where it looks for equivalent atoms, and
    has the crystals of a batch divided among the threads of torch; elsewhere it is the
    network itself.

    Args:
        network: A network of `crystalgnn_core.models`, which is put into evaluation mode.
    """
    network.eval()
    form = _FORMS.get(type(network))
    if form is None or not runs_fused(*network.parameters()):
        return torch.no_grad()(network)
    try:
        return Parallel(form(network))
    except TableError as error:  # too rough a function, or weights that are not finite
        logger.info("%s: predicted without tables (%s)", type(network).__name__, error)
        return torch.no_grad()(network)
