"""Several networks of one configuration as one: what they say on average."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from crystalgnn_core.models.network import Network

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor
    from torch_geometric.data import Batch


class EnsembleNetwork(Network):
    """Predict the mean over members that differ in their seed.

    Deep ensembles, Lakshminarayanan et al., NeurIPS 30 (2017), which is also the spread of
    the members for a measure of what is not known. Outputs are averaged on the model's
    internal scale, logits as logits: the cross-entropy of the mean logit is at most the
    mean over the members, and one network has one output a column.

    Batch fields read: those of the members.

    Args:
        members: At least two networks with the same outputs.
    """

    def __init__(self, members: Sequence[Network]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, batch: Batch) -> Tensor:
        """Return the mean of the members' outputs, shape (n_graphs, n_outputs)."""
        return torch.stack([member(batch) for member in self.members]).mean(dim=0)

    def cpu_form(self) -> Callable[[Batch], Tensor] | None:
        """Return the mean of the members' fast forms, if they have one."""
        forms = [form for one in members_of(self) if (form := one.cpu_form()) is not None]
        if len(forms) < len(self.members):
            return None
        return lambda batch: torch.stack([form(batch) for form in forms]).mean(dim=0)


def members_of(network: Network) -> list[Network]:
    """Return the networks that a network is the mean of: itself, where it is one."""
    if isinstance(network, EnsembleNetwork):
        return [one for one in network.members if isinstance(one, Network)]
    return [network]
