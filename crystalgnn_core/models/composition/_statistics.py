"""The kernel of the composition features."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from crystalgnn_core.compiled import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray


@compiled
def element_statistics(
    atomic_numbers: NDArray[np.int64],
    pointer: NDArray[np.int64],
    table: NDArray[np.float64],
    is_reduced: bool,
) -> NDArray[np.float64]:
    """Return mean, mean absolute deviation, minimum, maximum and range of each property.

    Args:
        atomic_numbers: Of crystals laid end to end, rows of the table.
        pointer: First atom of each crystal and the end, shape (n_crystals + 1,).
        table: NaN unknown, shape (n_elements, n_properties).
        is_reduced: Whether the atoms of the reduced formula are counted.

    Returns:
        Shape (n_crystals, 5 * n_properties), NaN where no element has the property.
    """
    n_crystals, n_properties = len(pointer) - 1, table.shape[1]
    rows = np.full((n_crystals, 5 * n_properties), np.nan)
    counts = np.zeros(len(table), np.int64)
    elements = np.empty(len(table), np.int64)
    for crystal in range(n_crystals):
        n_elements = _count(
            atomic_numbers[pointer[crystal] : pointer[crystal + 1]], counts, elements
        )
        if is_reduced:
            _reduce(counts, elements[:n_elements])
        for column in range(n_properties):
            total, mean = 0, 0.0
            low, high = np.inf, -np.inf
            for element in elements[:n_elements]:
                value = table[element, column]
                if not np.isnan(value):
                    total += counts[element]
                    mean += value * counts[element]
                    low, high = min(low, value), max(high, value)
            if total:
                mean /= total
                spread = 0.0
                for element in elements[:n_elements]:
                    value = table[element, column]
                    if not np.isnan(value):
                        spread += abs(value - mean) * counts[element]
                place = 5 * column
                rows[crystal, place] = mean
                rows[crystal, place + 1] = spread / total
                rows[crystal, place + 2] = low
                rows[crystal, place + 3] = high
                rows[crystal, place + 4] = high - low
        counts[elements[:n_elements]] = 0
    return rows


@compiled
def _count(
    numbers: NDArray[np.int64], counts: NDArray[np.int64], elements: NDArray[np.int64]
) -> int:
    """Count atoms by element and list the elements in order, in place; return how many."""
    n_elements = 0
    for number in numbers:
        if not counts[number]:
            place = n_elements
            while place and elements[place - 1] > number:
                elements[place] = elements[place - 1]
                place -= 1
            elements[place] = number
            n_elements += 1
        counts[number] += 1
    return n_elements


@compiled
def _reduce(counts: NDArray[np.int64], elements: NDArray[np.int64]) -> None:
    """Divide the counts of the elements by their greatest common divisor, in place."""
    divisor = 0
    for element in elements:
        rest = counts[element]
        while rest:
            divisor, rest = rest, divisor % rest
    for element in elements:
        counts[element] //= divisor
