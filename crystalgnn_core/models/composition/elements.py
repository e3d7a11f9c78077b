"""The elements of crystals, each with its share: what networks of the formula read."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

from crystalgnn_core.models.adjacency import atom_weight
from crystalgnn_core.records.elements import N_NUMBERS

if TYPE_CHECKING:
    from torch import Tensor
    from torch_geometric.data import Batch


class Elements(NamedTuple):
    """The elements of the crystals of a batch, and all their pairs within a crystal.

    Crystal by crystal, in order of atomic number, so that neither the order of the atoms
    nor a supercell changes a single bit.

    Attributes:
        number: Atomic number, shape (n_elements,), int64.
        amount: Atoms of it in its crystal, shape (n_elements,), float64.
        fraction: Share of its crystal's atoms, shape (n_elements,), float64.
        counts: Elements of each crystal, shape (n_graphs,), int64.
        degree: Elements of its crystal, shape (n_elements,), int64.
        sender: Elements of the same crystal, itself among them, grouped by receiving
            element, shape (n_pairs,), int64.
        of_atom: Element of each atom of the batch, shape (n_atoms,), int64.
    """

    number: Tensor
    amount: Tensor
    fraction: Tensor
    counts: Tensor
    degree: Tensor
    sender: Tensor
    of_atom: Tensor


def elements_of(batch: Batch) -> Elements:
    """Find the elements of a batch of crystals, be equivalent atoms merged or not.

    Args:
        batch: Crystals: `atomic_numbers`, `batch`, `ptr`, and `atom_weight` where
            equivalent atoms are merged.
    """
    n_graphs, weight = len(batch.ptr) - 1, atom_weight(batch)
    key = batch.batch * N_NUMBERS + batch.atomic_numbers
    amounts = torch.zeros(n_graphs * N_NUMBERS, dtype=torch.float64, device=key.device)
    # sums of whole numbers, which no order of summation changes
    ones = torch.ones(len(key), device=key.device) if weight is None else weight
    amounts.index_add_(0, key, ones.double())
    places = amounts.nonzero().squeeze(1)
    crystal = places // N_NUMBERS
    counts = crystal.bincount(minlength=n_graphs)
    totals = amounts.view(n_graphs, N_NUMBERS).sum(dim=1)
    degree, first = counts[crystal], counts.cumsum(0) - counts
    start = (degree.cumsum(0) - degree).repeat_interleave(degree)
    within = torch.arange(len(start), device=key.device) - start
    rows = torch.empty_like(amounts, dtype=torch.int64)
    rows[places] = torch.arange(len(places), device=key.device)
    return Elements(
        number=places % N_NUMBERS,
        amount=amounts[places],
        fraction=amounts[places] / totals[crystal],
        counts=counts,
        degree=degree,
        sender=first[crystal].repeat_interleave(degree) + within,
        of_atom=rows[key],
    )
