"""Kernels of CGCNN's gated sum: node after node, edge after edge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from crystalgnn_core.models.cpu.functions import exponential, log_one_plus, vectorized
from crystalgnn_core.models.cpu.residual_kernels import add_moments, flush

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.floating[Any]]
    Index = NDArray[np.int64]
    Sums = NDArray[np.float64]


class Mix(NamedTuple):
    """Edge terms, which become m; A and B of the nodes; graph; sums of m - center.

    `weight` says how many edges each one stands for in these sums.
    """

    mixed: Array
    projected: Array
    sender: Index
    first: Index
    weight: Array
    center: Array
    sums: Sums


class Gate(NamedTuple):
    """m, first edge of each node, scale and shift of the columns, and the sums.

    `times` says how many edges of its node each one stands for.
    """

    mixed: Array
    first: Index
    times: Array
    scale: Array
    shift: Array
    out: Array


class Slopes(NamedTuple):
    """Gradient of the sums, m, first edges, scale and shift, slopes and their sums."""

    above: Array
    mixed: Array
    first: Index
    times: Array
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
    weight: Array


@vectorized
def mix(arrays: Mix, index: int, begin: int, end: int) -> None:
    """Add what the two nodes of each edge have to its term, and sum the columns."""
    mixed, projected, sender, first, weight, center, sums = arrays
    double = mixed.shape[1]
    part, square = np.zeros_like(center), np.zeros_like(center)
    for node in range(begin, end):
        for edge in range(first[node], first[node + 1]):
            there = sender[edge]
            for k in range(double):
                mixed[edge, k] += projected[there, k] + projected[node, double + k]
            add_moments(mixed, edge, weight[edge], center, part, square)
        flush(part, sums, index, 0)
        flush(square, sums, index, 1)


@vectorized
def gate(arrays: Gate, _: int, begin: int, end: int) -> None:
    """Sum the gated messages of each node's edges."""
    mixed, first, times, scale, shift, out = arrays
    width = out.shape[1]
    z, total = np.empty_like(scale), np.empty(width, scale.dtype)
    for node in range(begin, end):
        for k in range(width):
            total[k] = 0.0
        for edge in range(first[node], first[node + 1]):
            for k in range(2 * width):
                z[k] = mixed[edge, k] * scale[k] + shift[k]
            add_gated(z, times[edge], total)
        for k in range(width):
            out[node, k] = total[k]


@vectorized
def add_gated(z: Array, times: np.floating[Any], total: Array) -> None:
    """Add s(gate) softplus(core), some times.

    Gate and core lie side by side in z, and are overwritten.
    """
    one, zero, width = z.dtype.type(1.0), z.dtype.type(0.0), len(total)
    for k in range(width):
        z[k] = one / (one + exponential(-z[k]))
    for k in range(width):
        x = z[width + k]
        plus = (x if x > zero else zero) + log_one_plus(exponential(-abs(x)))
        z[k] *= plus
    for k in range(width):
        total[k] += times * z[k]


@vectorized
def slope(  # noqa: C901  one loop for each vector operation
    arrays: Slopes, index: int, begin: int, end: int
) -> None:
    """Write the gradients of z; sum them, and their products with m, by column."""
    above, mixed, first, times, scale, shift, below, sums = arrays
    width = above.shape[1]
    one, zero = scale.dtype.type(1.0), scale.dtype.type(0.0)
    part, product = np.zeros_like(scale), np.zeros_like(scale)
    z, slopes = np.empty_like(scale), np.empty_like(scale)
    for node in range(begin, end):
        for edge in range(first[node], first[node + 1]):
            for k in range(2 * width):
                z[k] = mixed[edge, k] * scale[k] + shift[k]
            for k in range(width):
                z[k] = one / (one + exponential(-z[k]))
            for k in range(width):
                x = z[width + k]
                small = exponential(-abs(x))
                plus = (x if x > zero else zero) + log_one_plus(small)
                slopes[k] = plus * z[k] * (one - z[k])
                slopes[width + k] = z[k] * (one if x > zero else small) / (one + small)
            for k in range(width):
                slopes[k] *= times[edge] * above[node, k]
            for k in range(width):
                slopes[width + k] *= times[edge] * above[node, k]
            for k in range(2 * width):
                below[edge, k] = slopes[k]
            for k in range(2 * width):
                part[k] += slopes[k]
            for k in range(2 * width):
                product[k] += slopes[k] * mixed[edge, k]
        flush(part, sums, index, 0)
        flush(product, sums, index, 1)


@vectorized
def scatter(arrays: Scatter, _: int, begin: int, end: int) -> None:
    """Turn slopes into gradients of m, in place, and sum these at both nodes."""
    mixed, scale, factor, offset, below, of_projected, sender, first, weight = arrays
    double = len(scale)
    total = np.empty_like(scale)
    for node in range(begin, end):
        for k in range(double):
            total[k] = 0.0
        for edge in range(first[node], first[node + 1]):
            there = sender[edge]
            for k in range(double):
                below[edge, k] -= weight[edge] * (offset[k] + factor[k] * mixed[edge, k])
            for k in range(double):
                below[edge, k] *= scale[k]
            for k in range(double):
                of_projected[there, k] += below[edge, k]
            for k in range(double):
                total[k] += below[edge, k]
        for k in range(double):
            of_projected[node, double + k] = total[k]
