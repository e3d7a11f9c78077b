"""The fast functions against numpy's in double precision."""

import numpy as np
import pytest

from crystalgnn_core.models.cpu.functions import (
    exponential,
    log_one_plus,
    vectorized,
)


@vectorized
def exponentials(values, out):
    for k in range(len(values)):
        out[k] = exponential(values[k])


@vectorized
def logarithms(values, out):
    for k in range(len(values)):
        out[k] = log_one_plus(values[k])


def run(kernel, values):
    out = np.empty_like(values)
    kernel(values, out)
    return out


def test_exponential_is_exact_to_a_few_units_in_the_last_place():
    values = np.linspace(-20, 20, 40001, dtype=np.float32)
    exact = np.exp(values.astype(np.float64))
    # the product with log2(e) is rounded: half a unit of up to 29, times log(2)
    assert np.abs(run(exponentials, values) / exact - 1).max() < 2e-6
    small = np.abs(values) < 2
    assert np.abs(run(exponentials, values)[small] / exact[small] - 1).max() < 3e-7


def test_exponential_has_no_overflow_and_keeps_nan():
    values = np.array([-1e30, -200, 200, np.inf, -np.inf, np.nan], np.float32)
    found = run(exponentials, values)
    assert (found[[0, 1, 4]] < 1e-37).all()
    assert (found[[2, 3]] > 1e37).all()
    assert np.isfinite(found[:5]).all()
    assert np.isnan(found[5])


def test_logarithm_is_exact_between_0_and_1():
    values = np.linspace(0, 1, 10001, dtype=np.float32)
    exact = np.log1p(values.astype(np.float64))
    assert run(logarithms, values) == pytest.approx(exact, rel=3e-7)


def test_double_precision_is_that_of_the_library():
    values = np.linspace(0, 1, 1001)
    assert run(exponentials, -20 * values) == pytest.approx(np.exp(-20 * values), rel=1e-15)
    assert run(logarithms, values) == pytest.approx(np.log1p(values), rel=1e-15)
