"""CGCNN for prediction: batch norms folded, edge terms from tables, one pass per layer."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import torch
from torch.nn import functional

from crystalgnn_core.models.cpu.equivalence import Classes, find_classes
from crystalgnn_core.models.cpu.functions import vectorized
from crystalgnn_core.models.cpu.gated_sum_kernels import add_gated
from crystalgnn_core.models.cpu.residual import learned_affine
from crystalgnn_core.models.cpu.tables import Table, distance_end, read_row, tabulate
from crystalgnn_core.models.cpu.threads import fields_of, run_spans
from crystalgnn_core.models.element_layers import embed_atoms

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor
    from torch_geometric.data import Batch

    from crystalgnn_core.models.cgcnn.network import CGCNN, GatedConvolution
    from crystalgnn_core.models.layers import GaussianExpansion

    Array = NDArray[np.floating[Any]]


class FastCGCNN:
    """Predict what a CGCNN predicts.

    Args:
        network: In evaluation mode; its weights are used as they are now.
    """

    def __init__(self, network: CGCNN) -> None:
        with torch.no_grad():
            self.network = network
            self.layers = [
                _fold(cast("GatedConvolution", layer), network.basis)
                for layer in network.convs
            ]

    def __call__(self, batch: Batch) -> Tensor:
        """Return predictions on the model's internal scale, shape (n_graphs, n_targets)."""
        classes = find_classes(batch, len(self.layers))
        spans = [(0, len(classes.member))]
        with torch.no_grad():
            member = torch.from_numpy(classes.member)
            atoms = embed_atoms(self.network.embedding, batch, member)
            for layer in self.layers:
                projected = functional.linear(atoms, layer.weight, layer.bias)
                messages = torch.empty_like(atoms)
                arrays = fields_of(layer.table, projected, classes, messages)
                run_spans(_convolve, _Convolution(*arrays), spans)
                moved = torch.addcmul(layer.shift, messages, layer.scale)
                atoms = functional.softplus(atoms + moved)
            every = atoms.index_select(0, torch.from_numpy(classes.of_atom))
            return self.network.read(every, batch)


class _Layer(NamedTuple):
    """A convolution with its first batch norm inside the weights.

    Attributes:
        table: Edge terms of a distance.
        weight: Of neighbours, then centres, shape (4 width, width).
        bias: Shape (4 width,).
        scale: Of the second batch norm, shape (width,).
        shift: Shape (width,).
    """

    table: Table
    weight: Tensor
    bias: Tensor
    scale: Tensor
    shift: Tensor


def _fold(layer: GatedConvolution, basis: GaussianExpansion) -> _Layer:
    scale, shift = learned_affine(layer.bn1)
    of_center, of_neighbor, of_edge = layer.split_weight()
    of_distance = (of_edge * scale[:, None]).double()
    expand = copy.deepcopy(basis).double()
    table = tabulate(
        lambda distance: functional.linear(expand(distance), of_distance),
        0.0,
        distance_end(basis),
        scale.dtype,
    )
    weight = torch.cat((of_neighbor, of_center)) * scale.repeat(2)[:, None]
    at_center = layer.fc_full.bias * scale + shift
    bias = torch.cat((torch.zeros_like(at_center), at_center))
    return _Layer(table, weight, bias, *learned_affine(layer.bn2))


class _Convolution(NamedTuple):
    table: Table
    projected: Array
    classes: Classes
    out: Array


@vectorized
def _convolve(arrays: _Convolution, _: int, begin: int, end: int) -> None:
    """Sum the gated messages of each node's edges, none of which is kept."""
    table, projected, classes, out = arrays
    width = out.shape[1]
    z, total = np.empty(2 * width, out.dtype), np.empty(width, out.dtype)
    for node in range(begin, end):
        for k in range(width):
            total[k] = 0.0
        for edge in range(classes.first[node], classes.first[node + 1]):
            read_row(table, classes.distance[edge], z)
            there = classes.sender[edge]
            for k in range(2 * width):
                z[k] = z[k] + projected[there, k] + projected[node, 2 * width + k]
            add_gated(z, classes.times[edge], total)
        for k in range(width):
            out[node, k] = total[k]
