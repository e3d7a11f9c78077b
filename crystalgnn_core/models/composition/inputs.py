"""What networks read of the composition of a crystal."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import torch

from crystalgnn_core.models.adjacency import atom_weight
from crystalgnn_core.models.composition.charges import N_CHARGE_FEATURES, charges_of
from crystalgnn_core.models.composition.elements import elements_of
from crystalgnn_core.models.composition.features import batch_features, property_table

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor
    from torch_geometric.data import Batch

FRACTION_SCALE = 10.0  # most fractions are small; as large as the other inputs


def count_inputs(with_fractions: bool = True, *, with_charges: bool = False) -> int:
    """Return the number of columns of `inputs_of`."""
    n_elements, n_properties = property_table().shape
    n_fractions = n_elements if with_fractions else 0
    return 6 * n_properties + n_fractions + (N_CHARGE_FEATURES if with_charges else 0)


def inputs_of(
    batch: Batch, *, with_fractions: bool = True, with_charges: bool = False
) -> Tensor:
    """Describe the compositions of a batch of crystals.

    The statistics are those of Ward et al., npj Comput. Mater. 2, 16028 (2016), see
    `batch_features`, on the scale of the element table: means, minima and maxima as
    standard scores among the elements, deviations and ranges in units of the elements'
    spread. What no element of the crystal has is 0, and one more input a property says so.
    The fractions of the elements beside them are the inputs of ElemNet, Jha et al., Sci.
    Rep. 8, 17593 (2018).

    Args:
        batch: Crystals: `atomic_numbers`, `ptr`, and `atom_weight` where equivalent atoms
            are merged.
        with_fractions: Whether the fraction of each element is an input, too.
        with_charges: Whether those of `charge_features` are inputs, too.

    Returns:
        Shape (n_graphs, n_inputs), float64, on the CPU.
    """
    numbers, pointer = batch.atomic_numbers.cpu().numpy(), batch.ptr.cpu().numpy()
    weight = atom_weight(batch)
    if weight is not None:
        times = weight.cpu().numpy().astype(np.int64)
        numbers = np.repeat(numbers, times)
        pointer = np.concatenate([[0], times.cumsum()])[pointer]
    center, scale = _element_scale()
    features = batch_features(numbers, pointer)
    scaled = (features - center) / scale
    is_unknown = np.isnan(features[:, ::5])  # all statistics of a property are, or none
    inputs = [np.nan_to_num(scaled), is_unknown]
    if with_fractions:
        inputs.append(FRACTION_SCALE * _fractions(numbers, pointer))
    if with_charges:
        inputs.append(charges_of(elements_of(batch)).numpy())
    return torch.from_numpy(np.concatenate(inputs, axis=1))


def _fractions(
    atomic_numbers: NDArray[np.int64], pointer: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the fraction of each element, shape (n_graphs, n_elements)."""
    n_graphs, n_elements = len(pointer) - 1, len(property_table())
    sizes = np.diff(pointer)
    cells = np.repeat(np.arange(n_graphs) * n_elements, sizes) + atomic_numbers
    counts = np.bincount(cells, minlength=n_graphs * n_elements)
    return counts.reshape(n_graphs, n_elements) / sizes[:, None]


@cache
def _element_scale() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the offset and the unit of every feature, both of shape (n_features,)."""
    table = property_table()
    mean, spread = np.nanmean(table, axis=0), np.nanstd(table, axis=0)
    has_offset = np.array([1.0, 0.0, 1.0, 1.0, 0.0])  # not the deviation and the range
    return np.outer(mean, has_offset).ravel(), np.repeat(spread, 5)
