"""Functions of one variable as tables with cubic interpolation of bounded error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from crystalgnn_core.models.cpu.functions import vectorized
from crystalgnn_core.models.cpu.threads import array_of, row_spans, run_spans

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

    from crystalgnn_core.models.layers import GaussianExpansion

    Array = NDArray[np.floating[Any]]

TOLERANCE = 1e-6  # of the largest value of the function, or of 1 where that is smaller
FEWEST, MOST = 256, 16384  # intervals
TAIL = 7.0  # widths after which a Gaussian is gone (5e-22)


class TableError(Exception):
    """A function has no table: it is too rough, or not finite."""


class Table(NamedTuple):
    """Values of a function on an even grid, one row a node.

    Between two nodes the function is the cubic through these and the next on either side
    (Lagrange); beyond the ends it has the value at the end.

    Attributes:
        start: First node of the grid; it is row 1.
        per: Intervals for each unit of the variable.
        rows: Shape (n_intervals + 3, width); the first and the last continue the cubics.
    """

    start: float
    per: float
    rows: Array

    def read(self, values: Tensor) -> Tensor:
        """Map values (n,) to rows (n, width)."""
        out = torch.empty((len(values), self.rows.shape[1]), dtype=values.dtype)
        arrays = _Reading(self, array_of(values), array_of(out))
        run_spans(_read_all, arrays, row_spans(len(values)))
        return out

    def split(self) -> tuple[Table, Table]:
        """Return the tables of the first and of the second half of the columns."""
        first, second = np.split(self.rows, 2, axis=1)
        return (
            self._replace(rows=np.ascontiguousarray(first)),
            self._replace(rows=np.ascontiguousarray(second)),
        )


def tabulate(
    function: Callable[[Tensor], Tensor],
    start: float,
    stop: float,
    dtype: torch.dtype,
    *,
    tolerance: float = TOLERANCE,
) -> Table:
    """Tabulate a function so finely that interpolation is as exact as asked for.

    The error is measured in every interval, where that of a cubic is largest and at a
    quarter on either side.

    Args:
        function: Maps values (n,) in double precision to rows (n, width).
        start: Lowest value.
        stop: Highest value; from there on the function is taken as constant.
        dtype: Precision of the table.
        tolerance: Largest error, in units of the largest value of the function or of 1.

    Raises:
        TableError: 16,384 intervals are not enough.
    """
    n = FEWEST
    while n <= MOST:
        grid = torch.linspace(start, stop, n + 1, dtype=torch.float64)
        rows = _with_ends(function(grid))
        table = Table(start, n / (stop - start), array_of(rows))
        between = torch.cat([grid[:-1] + part / table.per for part in (0.25, 0.5, 0.75)])
        error = (table.read(between) - function(between)).abs().max()
        if error <= tolerance * rows.abs().max().clamp(min=1.0):  # not for NaN
            return table._replace(rows=array_of(rows.to(dtype)))
        n *= 2
    raise TableError(f"no table to {tolerance:g} with {MOST} intervals")


def distance_end(basis: GaussianExpansion) -> float:
    """Return the distance in angstrom beyond which all Gaussians of a basis are zero."""
    return float(basis.centers[-1]) + TAIL * basis.gamma**-0.5


def _with_ends(rows: Tensor) -> Tensor:
    """Put a row at either end that lies on the cubic of the four rows next to it."""
    before = 4 * rows[0] - 6 * rows[1] + 4 * rows[2] - rows[3]
    after = 4 * rows[-1] - 6 * rows[-2] + 4 * rows[-3] - rows[-4]
    return torch.cat((before[None], rows, after[None]))


class _Reading(NamedTuple):
    table: Table
    values: Array
    out: Array


@vectorized
def _read_all(arrays: _Reading, _: int, begin: int, end: int) -> None:
    table, values, out = arrays
    row = np.empty(out.shape[1], out.dtype)
    for index in range(begin, end):
        read_row(table, values[index], row)
        for k in range(len(row)):
            out[index, k] = row[k]


@vectorized
def read_row(table: Table, value: float, out: Array) -> None:
    """Interpolate one row."""
    start, per, rows = table
    kind = out.dtype.type
    last = len(rows) - 4
    place = min(max((value - start) * per, 0.0), last + 1.0)
    row = min(int(place), last)
    u = place - row if np.isfinite(value) else value  # NaN gives NaN
    first = kind(-u * (u - 1.0) * (u - 2.0) / 6.0)
    second = kind((u + 1.0) * (u - 1.0) * (u - 2.0) / 2.0)
    third = kind(-(u + 1.0) * u * (u - 2.0) / 2.0)
    fourth = kind((u + 1.0) * u * (u - 1.0) / 6.0)
    for k in range(len(out)):
        out[k] = (
            first * rows[row, k]
            + second * rows[row + 1, k]
            + third * rows[row + 2, k]
            + fourth * rows[row + 3, k]
        )
