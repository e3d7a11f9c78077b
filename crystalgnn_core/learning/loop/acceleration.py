"""Ways to make the passes of training faster where the hardware has them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import torch

from crystalgnn_core.distributed import ranks
from crystalgnn_core.models.network import Network, NetworkInParts

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from torch import Tensor
    from torch_geometric.data import Batch

    from crystalgnn_core.learning.config import TrainingConfig

logger = logging.getLogger(__name__)


class Forward:
    """The forward pass of a network, compiled where that is asked for and possible.

    Args:
        network: Its weights are looked up at every pass.
        config: `compile` and `precision`.
        in_parts: Whether each part of a network in parts is wanted, or its prediction.
    """

    def __init__(
        self, network: Network, config: TrainingConfig, *, in_parts: bool = True
    ) -> None:
        self.network = network
        self._parts: Callable[[Batch], Tensor] = self._whole
        if in_parts and isinstance(network, NetworkInParts):
            self._parts = network.parts
        # of several processes one could fail to compile alone, and lose step
        is_compiled = config.compile and ranks().size == 1
        self._compiled = torch.compile(self._parts, dynamic=True) if is_compiled else None
        self._was_tried = False
        self._is_half = config.precision == "bfloat16"

    def __call__(self, batch: Batch) -> Tensor:
        """Return the parts in single precision, shape (n_parts, n_graphs, n_outputs)."""
        with self._autocast(batch.ptr.device.type):
            return self._run(batch).float()

    def _whole(self, batch: Batch) -> Tensor:
        predicted: Tensor = self.network(batch)
        return predicted.unsqueeze(0)

    def _autocast(self, device: str) -> AbstractContextManager[object]:
        return torch.autocast(device, dtype=torch.bfloat16, enabled=self._is_half)

    def _run(self, batch: Batch) -> Tensor:
        if self._compiled is None:
            return self._parts(batch)
        if not self._was_tried:
            self._was_tried = True
            self._try(self._compiled, batch)
        run = self._parts if self._compiled is None else self._compiled
        return run(batch)

    def _try(self, compiled: Callable[[Batch], Tensor], batch: Batch) -> None:
        """Compile both directions; give up where that fails. The network stays as it is."""
        buffers = {name: value.clone() for name, value in self.network.named_buffers()}
        try:
            with torch.enable_grad():
                torch.autograd.backward(compiled(batch).float().sum())
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, OSError) as error:
            # no compiler on the machine, or an operation that it does not know
            self._compiled = None
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            logger.warning("torch.compile failed (%s); going on without it", reason)
        finally:
            self.network.zero_grad()
            with torch.no_grad():
                for name, value in self.network.named_buffers():
                    value.copy_(buffers[name])
