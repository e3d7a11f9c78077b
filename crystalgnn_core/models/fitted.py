"""Models that are fitted in one go and kept as arrays."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from crystalgnn_core.models.network import Estimator

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

CERTAIN = 40.0  # a logit whose probability is 1 to the last bit


class ArrayEstimator(Estimator):
    """Base of the models whose arrays have a size that fitting decides.

    They are buffers, which a bundle stores; there are no parameters and no gradients.

    Attributes:
        fields: Names of the arrays.
    """

    fields: ClassVar[tuple[str, ...]]

    def keep(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Take over what has been fitted, by the names of `fields`."""
        for name, array in arrays.items():
            self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(array)))

    def arrays(self) -> list[NDArray[Any]]:
        """Return the arrays in the order of `fields`, on the CPU."""
        columns = (self.get_buffer(name).cpu() for name in self.fields)
        return [column.contiguous().numpy() for column in columns]

    @abstractmethod
    def problem(self, columns: list[Tensor]) -> str:
        """Say why stored arrays cannot be evaluated; empty when they can."""

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        *args: Any,  # noqa: ANN401  torch's own lists, of which the last takes errors
    ) -> None:
        """Take over arrays of any size, but none that cannot be evaluated."""
        errors: list[str] = args[-1]
        names = {own: f"{prefix}{own}" for own in self.fields}
        if all(name in state_dict for name in names.values()):
            problem = self.problem([state_dict[name] for name in names.values()])
            if problem:
                errors.append(problem)
                return
            for own, name in names.items():
                self.register_buffer(own, torch.empty_like(state_dict[name]))
        super()._load_from_state_dict(state_dict, prefix, *args)
