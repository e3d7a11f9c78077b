"""The kernel of the charge features."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from crystalgnn_core.compiled import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST = 1.0  # charge per atom; larger ones, and those of no assignment, are all alike


class States(NamedTuple):
    """Oxidation states of the elements.

    Attributes:
        electronegativity: By atomic number, shape (119,), infinite where unknown.
        states: One row an atomic number, shape (119, n); the first `counts` are filled.
        counts: States of each element, shape (119,).
    """

    electronegativity: NDArray[np.float64]
    states: NDArray[np.int64]
    counts: NDArray[np.int64]


@compiled
def balance_formulas(
    numbers: NDArray[np.int64],
    amounts: NDArray[np.int64],
    pointer: NDArray[np.int64],
    table: States,
) -> NDArray[np.float64]:
    """Return excess, deficit, whether balanced, and distance of each formula."""
    rows = np.empty((len(pointer) - 1, 4))
    for formula in range(len(rows)):
        start, end = pointer[formula], pointer[formula + 1]
        order = start + np.argsort(table.electronegativity[numbers[start:end]])
        rows[formula] = _balance(numbers[order], _reduced(amounts[order]), table)
    return rows


@compiled
def count_electrons(
    numbers: NDArray[np.int64], amounts: NDArray[np.int64], pointer: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the electrons of each reduced formula."""
    found = np.empty(len(pointer) - 1, np.int64)
    for formula in range(len(found)):
        start, end = pointer[formula], pointer[formula + 1]
        found[formula] = (numbers[start:end] * _reduced(amounts[start:end])).sum()
    return found


@compiled
def _reduced(amounts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Divide amounts by their greatest common divisor."""
    divisor = 0
    for amount in amounts:
        rest = amount
        while rest:
            divisor, rest = rest, divisor % rest
    return amounts // divisor


@compiled
def _balance(
    elements: NDArray[np.int64], amounts: NDArray[np.int64], table: States
) -> tuple[float, float, float, float]:
    """Balance one formula, whose elements are in order of electronegativity."""
    n_atoms = amounts.sum()
    most = int(MOST * n_atoms)
    above, below, distance = most, most, most
    is_balanced = 0.0
    for n_cations in range(1, len(elements)):
        last, first = elements[n_cations - 1], elements[n_cations]
        if table.electronegativity[last] == table.electronegativity[first]:
            continue
        sums, low, high = _sums(elements, amounts, n_cations, table)
        if not len(sums):
            continue
        distance = min(distance, max(low, -high, 0))
        zero = len(sums) // 2
        if sums[zero]:
            is_balanced = 1.0
        for charge in range(min(most, zero) + 1):
            if sums[zero + charge]:
                above = min(above, charge)
            if sums[zero - charge]:
                below = min(below, charge)
    return above / n_atoms, below / n_atoms, is_balanced, distance / n_atoms


@compiled
def _sums(
    elements: NDArray[np.int64], amounts: NDArray[np.int64], n_cations: int, table: States
) -> tuple[NDArray[np.bool_], int, int]:
    """Mark the charges that can be reached; the middle of the array is zero.

    Returns:
        The marks, none where an element lacks a state of its sign; lowest and highest
        charge where atoms of an element may differ.
    """
    low, high, farthest = 0, 0, 0
    for place, element in enumerate(elements):
        sign = 1 if place < n_cations else -1
        lowest, highest = 99, -99
        for state in table.states[element, : table.counts[element]]:
            if state * sign >= 0:
                lowest, highest = min(lowest, state), max(highest, state)
        if lowest > highest:
            return np.zeros(0, np.bool_), 0, 0
        low, high = low + lowest * amounts[place], high + highest * amounts[place]
        farthest += max(-lowest, highest) * amounts[place]
    sums = np.zeros(2 * farthest + 1, np.bool_)
    sums[farthest] = True
    for place, element in enumerate(elements):
        sign = 1 if place < n_cations else -1
        moved = np.zeros(len(sums), np.bool_)
        for state in table.states[element, : table.counts[element]]:
            shift = state * amounts[place]
            if state * sign > 0 and shift > 0:
                moved[shift:] |= sums[:-shift]
            elif state * sign > 0:
                moved[:shift] |= sums[-shift:]
            elif state == 0:
                moved |= sums
        sums = moved
    return sums, low, high
