"""Kernels of residual + SiLU(normalised x): one row after the other.

Loops over the width are short and many: each reads and writes few arrays, so that the
compiler can make vector instructions of it. Rows are addressed by their numbers: a view of
a row would be counted, at the cost of as much as the work on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from crystalgnn_core.models.cpu.functions import exponential, vectorized

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.floating[Any]]
    Sums = NDArray[np.float64]

FLUSH = 32  # rows that are summed in the rows' own precision before they go to a double


class Forward(NamedTuple):
    """Rows, what is added to them, scale and shift of the columns, and the result."""

    x: Array
    before: Array
    scale: Array
    shift: Array
    out: Array
    eps: float
    has_residual: bool


class Backward(NamedTuple):
    """Gradient of the result, rows, scale and shift, and the gradient of the rows."""

    above: Array
    x: Array
    scale: Array
    shift: Array
    below: Array
    eps: float
    sums: Sums  # of two quantities of each column, by span: (n_spans, 2, width)


class Columns(NamedTuple):
    """What turns slopes, in `below`, into the gradient of the rows."""

    x: Array
    scale: Array
    factor: Array
    offset: Array
    below: Array


class Moments(NamedTuple):
    """Rows, a value near the mean of each column, and sums by span (n_spans, 2, width)."""

    x: Array
    center: Array
    sums: Sums


@vectorized
def rows_forward(arrays: Forward, _: int, begin: int, end: int) -> None:
    """Normalise each row by its own mean and spread."""
    x, before, scale, shift, out, eps, has_residual = arrays
    unit = np.empty_like(scale)
    for row in range(begin, end):
        normalize_row(x, row, eps, unit)
        for k in range(len(unit)):
            unit[k] = unit[k] * scale[k] + shift[k]
        _activate(unit, before, out, row, has_residual)


@vectorized
def columns_forward(arrays: Forward, _: int, begin: int, end: int) -> None:
    """Scale and shift each column."""
    x, before, scale, shift = arrays.x, arrays.before, arrays.scale, arrays.shift
    value = np.empty_like(scale)
    for row in range(begin, end):
        for k in range(len(value)):
            value[k] = x[row, k] * scale[k] + shift[k]
        _activate(value, before, arrays.out, row, arrays.has_residual)


@vectorized
def normalize_row(x: Array, row: int, eps: float, unit: Array) -> float:
    """Write (x - mean) / spread of a row into `unit`; return the reciprocal spread."""
    one = x.dtype.type(1.0)
    per = one / x.dtype.type(len(unit))
    total, square = x.dtype.type(0.0), x.dtype.type(0.0)
    for k in range(len(unit)):
        total += x[row, k]
    mean = total * per
    for k in range(len(unit)):
        square += (x[row, k] - mean) * (x[row, k] - mean)
    spread = one / np.sqrt(square * per + x.dtype.type(eps))
    for k in range(len(unit)):
        unit[k] = (x[row, k] - mean) * spread
    return spread


@vectorized
def _activate(
    value: Array, before: Array, out: Array, row: int, has_residual: bool
) -> None:
    one = value.dtype.type(1.0)
    if has_residual:
        for k in range(len(value)):
            out[row, k] = before[row, k] + value[k] / (one + exponential(-value[k]))
    else:
        for k in range(len(value)):
            out[row, k] = value[k] / (one + exponential(-value[k]))


@vectorized
def _slope(value: Array, above: Array, row: int) -> None:
    """Replace what is activated by the gradient before the activation."""
    one = value.dtype.type(1.0)
    for k in range(len(value)):
        share = one / (one + exponential(-value[k]))
        value[k] = above[row, k] * share * (one + value[k] * (one - share))


@vectorized
def rows_backward(arrays: Backward, index: int, begin: int, end: int) -> None:
    """Write gradients of the rows; sum those of shift and scale."""
    above, x, scale, shift, below, eps, sums = arrays
    zero, per = scale.dtype.type(0.0), scale.dtype.type(1.0) / scale.dtype.type(len(scale))
    unit, slope = np.empty_like(scale), np.empty_like(scale)
    of_shift, of_scale = np.zeros_like(scale), np.zeros_like(scale)
    for row in range(begin, end):
        spread = normalize_row(x, row, eps, unit)
        for k in range(len(unit)):
            slope[k] = unit[k] * scale[k] + shift[k]
        _slope(slope, above, row)
        for k in range(len(unit)):
            of_shift[k] += slope[k]
        for k in range(len(unit)):
            of_scale[k] += slope[k] * unit[k]
        mean, mean_unit = zero, zero
        for k in range(len(unit)):
            slope[k] *= scale[k]
            mean += slope[k]
            mean_unit += slope[k] * unit[k]
        mean, mean_unit = mean * per, mean_unit * per
        for k in range(len(unit)):
            below[row, k] = spread * (slope[k] - mean - unit[k] * mean_unit)
        if (row - begin) % FLUSH == FLUSH - 1 or row == end - 1:
            flush(of_shift, sums, index, 0)
            flush(of_scale, sums, index, 1)


@vectorized
def columns_slope(arrays: Backward, index: int, begin: int, end: int) -> None:
    """Write the gradients before the activation; sum them, and their products with x."""
    above, x, scale, shift = arrays.above, arrays.x, arrays.scale, arrays.shift
    below, sums = arrays.below, arrays.sums
    first, second = np.zeros_like(scale), np.zeros_like(scale)
    slope = np.empty_like(scale)
    for row in range(begin, end):
        for k in range(len(slope)):
            slope[k] = x[row, k] * scale[k] + shift[k]
        _slope(slope, above, row)
        for k in range(len(slope)):
            below[row, k] = slope[k]
        for k in range(len(slope)):
            first[k] += slope[k]
        for k in range(len(slope)):
            second[k] += slope[k] * x[row, k]
        if (row - begin) % FLUSH == FLUSH - 1 or row == end - 1:
            flush(first, sums, index, 0)
            flush(second, sums, index, 1)


@vectorized
def columns_backward(arrays: Columns, _: int, begin: int, end: int) -> None:
    """Turn slopes into gradients of the rows, in place."""
    x, scale, factor, offset, below = arrays
    for row in range(begin, end):
        for k in range(len(scale)):
            below[row, k] -= offset[k] + factor[k] * x[row, k]
        for k in range(len(scale)):
            below[row, k] *= scale[k]


@vectorized
def moments(arrays: Moments, index: int, begin: int, end: int) -> None:
    """Sum x - center and its square."""
    x, center, sums = arrays
    one = x.dtype.type(1.0)
    first, second = np.zeros_like(center), np.zeros_like(center)
    for row in range(begin, end):
        add_moments(x, row, one, center, first, second)
        if (row - begin) % FLUSH == FLUSH - 1 or row == end - 1:
            flush(first, sums, index, 0)
            flush(second, sums, index, 1)


@vectorized
def add_moments(  # noqa: PLR0917  arrays
    x: Array,
    row: int,
    times: np.floating[Any],
    center: Array,
    first: Array,
    second: Array,
) -> None:
    """Add x - center of a row and its square to what is there, some times."""
    for k in range(len(center)):
        first[k] += times * (x[row, k] - center[k])
    for k in range(len(center)):
        second[k] += times * (x[row, k] - center[k]) * (x[row, k] - center[k])


@vectorized
def flush(part: Array, sums: Sums, index: int, which: int) -> None:
    """Move a partial sum to the whole one."""
    for k in range(len(part)):
        sums[index, which, k] += part[k]
    for k in range(len(part)):
        part[k] = 0.0
