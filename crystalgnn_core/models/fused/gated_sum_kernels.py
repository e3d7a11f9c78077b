"""Kernels of CGCNN's gated sum: node after node, edge after edge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from crystalgnn_core.models.fused.functions import (
    exponential,
    log_one_plus,
    vectorized,
)
from crystalgnn_core.models.fused.residual_kernels import add_moments, flush

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.floating[Any]]
    Index = NDArray[np.int64]
    Sums = NDArray[np.float64]


class Mix(NamedTuple):
    """Edge terms, which become m; A and B of the nodes; graph; sums of m - center."""

    mixed: Array
    projected: Array
    sender: Index
    first: Index
    center: Array
    sums: Sums


class Gate(NamedTuple):
    """m, first edge of each node, scale and shift of the columns, and the sums."""

    mixed: Array
    first: Index
    scale: Array
    shift: Array
    out: Array


class Slopes(NamedTuple):
    """Gradient of the sums, m, first edges, scale and shift, slopes and their sums."""

    above: Array
    mixed: Array
    first: Index
    scale: Array
    shift: Array
    below: Array
    sums: Sums


class Scatter(NamedTuple):
    """What turns slopes into gradients of m, and these into gradients of the nodes."""

    mixed: Array
    scale: Array
    factor: Array
    offset: Array
    below: Array
    of_projected: Array
    sender: Index
    first: Index


@vectorized
def mix(arrays: Mix, index: int, begin: int, end: int) -> None:
    """Add what the two nodes of each edge have to its term, and sum the columns."""
    double = arrays.mixed.shape[1]
    part, square = np.zeros_like(arrays.center), np.zeros_like(arrays.center)
    for node in range(begin, end):
        received = arrays.projected[node, double:]
        for edge in range(arrays.first[node], arrays.first[node + 1]):
            here, sent = arrays.mixed[edge], arrays.projected[arrays.sender[edge], :double]
            for k in range(double):
                here[k] = here[k] + sent[k] + received[k]
            add_moments(here, arrays.center, part, square)
        flush(part, arrays.sums[index, 0])
        flush(square, arrays.sums[index, 1])


@vectorized
def gate(arrays: Gate, _: int, begin: int, end: int) -> None:
    """Sum the gated messages of each node's edges."""
    scale, shift, width = arrays.scale, arrays.shift, arrays.out.shape[1]
    z = np.empty_like(scale)
    for node in range(begin, end):
        total = arrays.out[node]
        for k in range(width):
            total[k] = 0.0
        for edge in range(arrays.first[node], arrays.first[node + 1]):
            m = arrays.mixed[edge]
            for k in range(2 * width):
                z[k] = m[k] * scale[k] + shift[k]
            add_gated(z[:width], z[width:], total)


@vectorized
def add_gated(gates: Array, core: Array, total: Array) -> None:
    """Add s(gate) softplus(core), and overwrite both."""
    one, zero = gates.dtype.type(1.0), gates.dtype.type(0.0)
    for k in range(len(gates)):
        gates[k] = one / (one + exponential(-gates[k]))
    for k in range(len(core)):
        x = core[k]
        core[k] = (x if x > zero else zero) + log_one_plus(exponential(-abs(x)))
    for k in range(len(gates)):
        total[k] += gates[k] * core[k]


@vectorized
def slope(arrays: Slopes, index: int, begin: int, end: int) -> None:
    """Write the gradients of z; sum them, and their products with m, by column."""
    scale, shift, width = arrays.scale, arrays.shift, arrays.above.shape[1]
    first, second = np.zeros_like(scale), np.zeros_like(scale)
    z = np.empty_like(scale)
    for node in range(begin, end):
        for edge in range(arrays.first[node], arrays.first[node + 1]):
            m, under = arrays.mixed[edge], arrays.below[edge]
            for k in range(2 * width):
                z[k] = m[k] * scale[k] + shift[k]
            _gated_slopes(z[:width], z[width:], arrays.above[node], under)
            for k in range(2 * width):
                first[k] += under[k]
            for k in range(2 * width):
                second[k] += under[k] * m[k]
        flush(first, arrays.sums[index, 0])
        flush(second, arrays.sums[index, 1])


@vectorized
def _gated_slopes(gates: Array, core: Array, above: Array, under: Array) -> None:
    """Write the gradients of gate and core side by side; overwrite both."""
    one, zero, width = gates.dtype.type(1.0), gates.dtype.type(0.0), len(gates)
    for k in range(width):
        gates[k] = one / (one + exponential(-gates[k]))
    for k in range(width):
        x = core[k]
        small = exponential(-abs(x))
        plus = (x if x > zero else zero) + log_one_plus(small)
        under[k] = above[k] * plus * gates[k] * (one - gates[k])
        core[k] = (one if x > zero else small) / (one + small)
    for k in range(width):
        under[width + k] = above[k] * gates[k] * core[k]


@vectorized
def scatter(arrays: Scatter, _: int, begin: int, end: int) -> None:
    """Turn slopes into gradients of m, in place, and sum these at both nodes."""
    scale, factor, offset = arrays.scale, arrays.factor, arrays.offset
    double = len(scale)
    for node in range(begin, end):
        of_received = arrays.of_projected[node, double:]
        for edge in range(arrays.first[node], arrays.first[node + 1]):
            of_sent = arrays.of_projected[arrays.sender[edge], :double]
            m, under = arrays.mixed[edge], arrays.below[edge]
            for k in range(double):
                under[k] = scale[k] * (under[k] - offset[k] - factor[k] * m[k])
            for k in range(double):
                of_sent[k] += under[k]
            for k in range(double):
                of_received[k] += under[k]
