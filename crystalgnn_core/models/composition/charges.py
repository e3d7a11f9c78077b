"""Whether a formula can be charge-balanced: what decides if an ionic crystal has a gap."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from pymatgen.core.periodic_table import Element

from crystalgnn_core.models.composition._charges import (
    States,
    balance_formulas,
    count_electrons,
)
from crystalgnn_core.models.elements import property_of_elements
from crystalgnn_core.records.elements import N_NUMBERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from crystalgnn_core.models.composition.elements import Elements

N_CHARGE_FEATURES = 9


def charge_features(
    atomic_numbers: NDArray[np.int64],
    amounts: NDArray[np.int64],
    pointer: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Say how near formulas are to being neutral by oxidation states.

    Every element takes one state, those below some electronegativity a positive one and
    those above a negative one, as in the screening by charge neutrality of Davies et al.,
    Chem 1, 617 (2016). Two tables of states are used: the common ones, and all that are met
    in the ICSD. What is left over is a charge per atom:

    * `excess`: the least that is not negative, electrons too many for a semiconductor;
    * `deficit`: the least of the other sign, electrons too few, as where anions are bonded;
    * `is_balanced`: 1 where it is zero;
    * `distance`: the least of either sign where atoms of an element may differ.

    A charge above 1, and one of a formula without an anion, is 1. Last stands whether the
    reduced formula has an odd number of electrons.

    Args:
        atomic_numbers: Elements of the formulas, laid end to end, each once.
        amounts: Atoms of each, same shape.
        pointer: First element of each formula and the end, shape (n_formulas + 1,).

    Returns:
        Shape (n_formulas, 9), between 0 and 1.
    """
    found = [
        balance_formulas(atomic_numbers, amounts, pointer, table) for table in _tables()
    ]
    odd = count_electrons(atomic_numbers, amounts, pointer) % 2
    return np.concatenate([*found, odd[:, None].astype(np.float64)], axis=1)


def charges_of(elements: Elements) -> Tensor:
    """Return the charge features of a batch, shape (n_graphs, 9), float64, on the CPU."""
    pointer = np.concatenate([[0], elements.counts.cpu().numpy().cumsum()])
    amounts = elements.amount.cpu().numpy().astype(np.int64)
    return torch.from_numpy(
        charge_features(elements.number.cpu().numpy(), amounts, pointer)
    )


@cache
def _tables() -> tuple[States, States]:
    """Return the common states and those of the ICSD, by pymatgen."""
    elements = [Element.from_Z(number) for number in range(1, N_NUMBERS)]
    common = [element.common_oxidation_states for element in elements]
    met = [element.icsd_oxidation_states for element in elements]
    both = [icsd or usual for icsd, usual in zip(met, common, strict=True)]
    return _table_of(common), _table_of(both)


def _table_of(rows: Sequence[Sequence[int]]) -> States:
    """Lay states out; an element without any has the state 0."""
    order = property_of_elements("electronegativity")
    filled = [(0,), *(tuple(row) or (0,) for row in rows)]
    counts = np.array([len(row) for row in filled])
    states = np.zeros((len(filled), counts.max()), np.int64)
    for number, row in enumerate(filled):
        states[number, : len(row)] = row
    # noble gases have none
    return States(np.where(np.isnan(order), np.inf, order), states, counts)
