"""Statistics of element properties: what a composition alone says.

They answer whether the structure is needed at all: a graph network that is not better than
these has learned nothing from the geometry.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from crystalgnn_core.models.composition._statistics import element_statistics
from crystalgnn_core.models.elements import property_of_elements

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from crystalgnn_core.models.base import ElementProperty

_PROPERTIES: tuple[ElementProperty, ...] = (
    "atomic_number",
    "atomic_mass",
    "group",
    "row",
    "mendeleev_number",
    "electronegativity",
    "atomic_radius",
    "ionization_energy",
    "electron_affinity",
    "melting_point",
)
_STATISTICS = ("mean", "deviation", "minimum", "maximum", "range")


@cache
def property_table() -> NDArray[np.float64]:
    """Return element properties, shape (119, n_properties), NaN where unknown."""
    return np.stack([property_of_elements(name) for name in _PROPERTIES], axis=1)


def feature_names() -> list[str]:
    """Name the columns of `composition_features`."""
    return [f"{name}_{statistic}" for name in _PROPERTIES for statistic in _STATISTICS]


def composition_features(
    atomic_numbers: Sequence[NDArray[np.int16]],
) -> NDArray[np.float64]:
    """Describe compositions by statistics of element properties (Ward et al. 2016).

    Ward et al., npj Comput. Mater. 2, 16028 (2016): fraction-weighted mean and mean
    absolute deviation, minimum, maximum and range.

    Args:
        atomic_numbers: Atomic numbers of the atoms of each crystal.

    Returns:
        Shape (n_crystals, 5 * n_properties), NaN where no element has the property.
    """
    sizes = [len(numbers) for numbers in atomic_numbers]
    flat = np.concatenate([np.empty(0, np.int64), *map(np.asarray, atomic_numbers)])
    pointer = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
    return batch_features(flat.astype(np.int64), pointer.astype(np.int64), reduced=False)


def batch_features(
    atomic_numbers: NDArray[np.int64], pointer: NDArray[np.int64], *, reduced: bool = True
) -> NDArray[np.float64]:
    """Describe compositions laid end to end; see `composition_features`.

    The sums run over the elements in order of atomic number, so that the order of the atoms
    does not change a single bit.

    Args:
        atomic_numbers: Shape (n_atoms,).
        pointer: First atom of each crystal and the end, shape (n_crystals + 1,).
        reduced: Count the atoms of the reduced formula, so that a supercell does not change
            a single bit either. Trees turn the last bit of a value at a threshold into
            another leaf.

    Returns:
        Shape (n_crystals, 5 * n_properties), NaN where no element has the property.

    Raises:
        ValueError: An atomic number is not one of an element.
    """
    table = property_table()
    if len(atomic_numbers) and not 0 < atomic_numbers.min() <= atomic_numbers.max() < len(
        table
    ):
        raise ValueError(
            f"atomic numbers from {atomic_numbers.min()} to {atomic_numbers.max()} found; "
            f"those of elements are 1 to {len(table) - 1}"
        )
    return element_statistics(atomic_numbers, pointer, table, reduced)
