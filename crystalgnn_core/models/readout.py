"""From the members of sets to one vector per set, such as from atoms to crystals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from crystalgnn_core.models.layers import mean_by_center, spread_to_edges, sum_by_center

if TYPE_CHECKING:
    from torch import Tensor

    from crystalgnn_core.models.base import Readout

TINY = 1e-30  # keeps the weights of an empty set finite


class Pool(nn.Module):
    """Reduce each feature over a set.

    Args:
        kind: `mean`, `sum` or `max`. Each is zero over an empty set.
        width: Features of a member and of the output.
    """

    def __init__(self, kind: Readout, width: int) -> None:
        super().__init__()
        self.kind, self.n_outputs = kind, width

    def forward(
        self, members: Tensor, counts: Tensor, weight: Tensor | None = None
    ) -> Tensor:
        """Return one row per set, shape (n_sets, width).

        Args:
            members: Shape (n_members, width), grouped by set.
            counts: Members of each set, shape (n_sets,), int64.
            weight: How often each member counts, shape (n_members,); once by default.
        """
        if self.kind == "mean":
            return mean_by_center(members, counts, weight)
        if self.kind == "sum":
            return sum_by_center(members, counts, weight)
        # not segment_reduce, which gives a negative gradient to each of equal members
        rows = torch.arange(len(counts), device=counts.device)
        index = rows.repeat_interleave(counts, output_size=len(members))
        start = members.new_zeros(len(counts), members.shape[1])
        places = index.unsqueeze(1).expand_as(members)
        return start.scatter_reduce(0, places, members, "amax", include_self=False)


class Set2Set(nn.Module):
    """Reduce a set to a vector by attention, pass by pass.

    Vinyals, Bengio & Kudlur, ICLR 2016, as the published MEGNet weights expect it: the cell
    forgets in each pass what it held in the last one, so there is no gate for forgetting.

    Args:
        n_inputs: Features of a member.
        width: Features of the query; the output has twice as many.
        n_passes: Passes over the set.
    """

    def __init__(self, n_inputs: int, width: int, n_passes: int) -> None:
        super().__init__()
        self.width, self.n_passes, self.n_outputs = width, n_passes, 2 * width
        self.memory = nn.Linear(n_inputs, width)
        self.cell = nn.Linear(2 * width, 3 * width)

    def forward(
        self, members: Tensor, counts: Tensor, weight: Tensor | None = None
    ) -> Tensor:
        """Return one row per set, shape (n_sets, 2 width).

        Args:
            members: Shape (n_members, n_inputs), grouped by set.
            counts: Members of each set, shape (n_sets,), int64.
            weight: How often each member counts, shape (n_members,); once by default.
        """
        memory = self.memory(members)
        found = memory.new_zeros(len(counts), 2 * self.width)
        for _ in range(self.n_passes):
            share_in, candidate, share_out = self.cell(found).chunk(3, dim=1)
            inner = hard_sigmoid(share_in) * torch.tanh(candidate)
            query = hard_sigmoid(share_out) * torch.tanh(inner)
            score = (memory * spread_to_edges(query, counts, len(memory))).sum(dim=1)
            read = self._read(memory, score.unsqueeze(1), counts, weight)
            found = torch.cat((query, read), dim=1)
        return found

    def _read(
        self, memory: Tensor, score: Tensor, counts: Tensor, number: Tensor | None
    ) -> Tensor:
        """Average the memory with the softmax of the scores over each set."""
        highest = torch.segment_reduce(score.detach(), "max", lengths=counts, initial=-1e30)
        weight = torch.exp(score - spread_to_edges(highest, counts, len(score)))
        if number is not None:
            weight = weight * number.unsqueeze(1)
        total = sum_by_center(weight, counts)
        return sum_by_center(weight * memory, counts) / (total + TINY)


def hard_sigmoid(values: Tensor) -> Tensor:
    """Return 0.2 x + 0.5 between 0 and 1, as Keras 2 has it."""
    return (0.2 * values + 0.5).clamp(0.0, 1.0)


def make_readout(
    kind: Readout, width: int, query_width: int, n_passes: int
) -> Pool | Set2Set:
    """Return the layer from members (n_members, width) to sets (n_sets, n_outputs).

    Args:
        kind: `mean`, `sum`, `max` or `set2set`.
        width: Features of a member.
        query_width: Features of the query of `set2set`.
        n_passes: Passes of `set2set`.
    """
    if kind == "set2set":
        return Set2Set(width, query_width, n_passes)
    return Pool(kind, width)
