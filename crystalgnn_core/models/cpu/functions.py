"""Exponential, logistic function and softplus that compilers turn into vector instructions.

In single precision they are polynomials, a few units in the last place from the exact
values; in double precision they are those of the mathematical library.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic, overload

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F", bound="Callable[..., object]")
Number = Any  # a type of numba where it compiles, a number where it runs

# products and sums may be joined and reordered, but NaN and infinity are kept
FAST = {"contract", "nsz", "arcp", "reassoc"}

# 2^x on [-0.5, 0.5] to 3e-9, and log(1 + x) / x on [0, 1] to 5e-9: Chebyshev fits
_EXP2 = tuple(
    np.float32(value)
    for value in (
        1.0,
        0.6931472067106216,
        0.24022651213595086,
        0.05550327214207754,
        0.009618025602947586,
        0.0013400432165829137,
        0.0001546973198152048,
    )
)
_LOG1P = tuple(
    np.float32(value)
    for value in (
        0.9999999953848525,
        -0.49999903992764305,
        0.3333000403522388,
        -0.24954558871097807,
        0.19678117256481745,
        -0.15311863102850493,
        0.10614264688661737,
        -0.057064200782523306,
        0.019907160939971226,
        -0.003256378476568232,
    )
)
E0, E1, E2, E3, E4, E5, E6 = _EXP2
L0, L1, L2, L3, L4, L5, L6, L7, L8, L9 = _LOG1P
LOG2_E = np.float32(1.4426950408889634)
HIGHEST = np.float32(126.0)  # exponents of two that a float32 can have
ONE = np.float32(1.0)


def vectorized(function: F) -> F:
    """Compile a kernel whose inner loops are to become vector instructions.

    Like `crystalgnn_core.compiled.compiled`, but divisions do not raise (a loop that may
    raise is not made a vector loop) and sums may be reordered.
    """
    compile_it = njit(nogil=True, cache=True, fastmath=FAST, error_model="numpy")
    return cast("F", compile_it(function))


@intrinsic
def _bits_as_float(_: Any, bits: Any) -> Any:  # noqa: ANN401, ARG001  types of numba
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:  # noqa: ANN401, ARG001
        return builder.bitcast(args[0], ir.FloatType())

    return types.float32(types.int32), generate


@intrinsic
def _nearest(_: Any, value: Any) -> Any:  # noqa: ANN401, ARG001  types of numba
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:  # noqa: ANN401, ARG001
        function = builder.module.declare_intrinsic("llvm.rint", [ir.FloatType()])
        return builder.call(function, args)

    return types.float32(types.float32), generate


def exponential(value: float) -> float:
    """Return e^x; outside of float32's range the largest or smallest normal number."""
    return math.exp(value)


@overload(exponential, jit_options={"fastmath": FAST, "error_model": "numpy"})
def _exponential(value: Number) -> Callable[[Number], Number]:
    def in_double_precision(value: Number) -> Number:
        return math.exp(value)

    def in_single_precision(value: Number) -> Number:
        scaled = value * LOG2_E
        scaled = HIGHEST if scaled > HIGHEST else scaled
        scaled = -HIGHEST if scaled < -HIGHEST else scaled
        whole: Number = _nearest(scaled)  # type: ignore[call-arg]
        x = scaled - whole
        power = E0 + x * (E1 + x * (E2 + x * (E3 + x * (E4 + x * (E5 + x * E6)))))
        return power * _bits_as_float((np.int32(whole) + np.int32(127)) << np.int32(23))

    return in_single_precision if value == types.float32 else in_double_precision


def log_one_plus(value: float) -> float:
    """Return log(1 + x) of x in [0, 1]."""
    return math.log1p(value)


@overload(log_one_plus, jit_options={"fastmath": FAST, "error_model": "numpy"})
def _log_one_plus(value: Number) -> Callable[[Number], Number]:
    def in_double_precision(value: Number) -> Number:
        return math.log1p(value)

    def in_single_precision(value: Number) -> Number:
        x = value
        upper = L5 + x * (L6 + x * (L7 + x * (L8 + x * L9)))
        return x * (L0 + x * (L1 + x * (L2 + x * (L3 + x * (L4 + x * upper)))))

    return in_single_precision if value == types.float32 else in_double_precision
