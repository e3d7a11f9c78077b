"""Running averages of the weights, which generalise better than the last ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch.optim.swa_utils import AveragedModel

if TYPE_CHECKING:
    from torch import Tensor

    from crystalgnn_core.models.network import Network

    Tensors = tuple[Tensor, ...] | list[Tensor]

WARM_UP = 10  # steps after which the average reaches back about a tenth of the steps so far


class WeightAverage:
    """The exponential moving average of a network's weights and running statistics.

    Polyak & Juditsky, SIAM J. Control Optim. 30, 838 (1992), with weights that fade. After
    n steps the decay is at most (1 + n) / (10 + n), so that the average forgets the random
    weights of the start.

    Args:
        network: Network that is trained; the average starts from its weights.
        decay: Share of the average that each step keeps, below 1.
    """

    def __init__(self, network: Network, decay: float) -> None:
        self.decay = decay
        self._model = AveragedModel(network, multi_avg_fn=self._move, use_buffers=True)

    @property
    def n_steps(self) -> int:
        """Steps made so far."""
        return int(self._model.n_averaged)

    @n_steps.setter
    def n_steps(self, number: int) -> None:
        self._model.n_averaged.fill_(number)

    @property
    def network(self) -> Network:
        """The network with averaged weights."""
        return cast("Network", self._model.module)

    def update(self, network: Network) -> None:
        """Move the average towards the weights after a step."""
        self._model.update_parameters(network)

    @torch.no_grad()
    def _move(self, averages: Tensors, values: Tensors, n_steps: Tensor | int) -> None:
        if not averages[0].is_floating_point():
            torch._foreach_copy_(averages, values)
            return
        n = int(n_steps)
        decay = min(self.decay, (1 + n) / (WARM_UP + n))
        torch._foreach_lerp_(averages, values, 1.0 - decay)
