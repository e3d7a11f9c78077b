"""Normalise, activate and add against torch's own operations."""

import copy
from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.nn import functional

from crystalgnn_core.models.cpu import threads
from crystalgnn_core.models.cpu.residual import add_activated

N_ROWS, WIDTH = 150, 21


def make_norm(kind, dtype):
    norm = nn.LayerNorm(WIDTH) if kind == "layer" else nn.BatchNorm1d(WIDTH)
    nn.init.normal_(norm.weight, 1.0, 0.3)
    nn.init.normal_(norm.bias)
    if kind == "batch, averaged":
        norm.momentum = None
    return norm.to(dtype)


@pytest.fixture(params=[1, 3])
def n_threads(request, monkeypatch):
    """Cut even few rows into spans."""
    monkeypatch.setattr(threads, "SMALLEST", 16)
    monkeypatch.setattr(torch, "get_num_threads", lambda: request.param)


@pytest.mark.usefixtures("n_threads")
@pytest.mark.parametrize("kind", ["layer", "batch", "batch, averaged"])
@pytest.mark.parametrize("has_residual", [True, False])
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-11), (torch.float32, 1e-4)]
)
def test_values_gradients_and_statistics_are_those_of_torch(
    kind, has_residual, dtype, tolerance
):
    results = []
    norm = make_norm(kind, dtype)
    # far from zero, so that a sum of squares would cancel
    x = (torch.randn(N_ROWS, WIDTH) + 30 * torch.randn(WIDTH)).to(dtype)
    residual = torch.randn(N_ROWS, WIDTH).to(dtype) if has_residual else None
    weights = torch.randn(N_ROWS, WIDTH).to(dtype)
    for function in (add_activated, plainly):
        own, own_x = copy.deepcopy(norm), x.clone().requires_grad_()
        own_residual = None if residual is None else residual.clone().requires_grad_()
        for _ in range(2):  # the running statistics move twice
            value = function(own_x, own_residual, own)
        inputs = [own_x, own.weight, own.bias, *([own_residual] if has_residual else [])]
        gradients = torch.autograd.grad((value * weights).sum(), inputs)
        results.append((value, *gradients, *own.buffers()))
    for found, expected in zip(*results, strict=True):
        assert torch.allclose(found, expected, rtol=tolerance, atol=tolerance)


def plainly(x, residual, norm):
    activated = functional.silu(norm(x))
    return activated if residual is None else residual + activated


@pytest.mark.parametrize("kind", ["layer", "batch"])
@pytest.mark.parametrize("n_rows", [1, N_ROWS])
def test_learned_statistics_are_used_in_evaluation(kind, n_rows):
    norm = make_norm(kind, torch.float64)
    norm(torch.randn(N_ROWS, WIDTH, dtype=torch.float64) * 3 + 1)
    norm.eval()
    before = [buffer.clone() for buffer in norm.buffers()]
    x = torch.randn(n_rows, WIDTH, dtype=torch.float64, requires_grad=True)
    inputs = [x, norm.weight, norm.bias]
    results = []
    for function in (add_activated, plainly):
        value = function(x, None, norm)
        results.append((value, *torch.autograd.grad(value.square().sum(), inputs)))
    for found, expected in zip(*results, strict=True):
        assert torch.allclose(found, expected, rtol=0, atol=1e-11)
    assert all(map(torch.equal, before, norm.buffers()))
    with torch.no_grad():
        assert not add_activated(x, None, norm).requires_grad


def test_what_kernels_cannot_do_is_left_to_torch():
    norm = nn.LayerNorm(WIDTH).half()
    x = torch.randn(4, WIDTH).half()
    assert not threads.runs_fused(x)
    assert torch.equal(add_activated(x, x, norm), functional.silu(norm(x)) + x)
    single = nn.BatchNorm1d(WIDTH)
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        add_activated(torch.randn(1, WIDTH), None, single)


def test_rows_are_cut_without_gap():
    assert threads.row_spans(0) == [(0, 0)]
    spans = threads.row_spans(10**6)
    assert spans[0][0] == 0
    assert spans[-1][1] == 10**6
    assert all(a[1] == b[0] for a, b in pairwise(spans))


def test_an_error_in_a_thread_is_raised():
    def kernel(_, index, begin, end):
        if index:
            raise ValueError(f"rows {begin} to {end}")

    with pytest.raises(ValueError, match="rows 5 to 9"):
        threads.run_spans(kernel, None, [(0, 5), (5, 9)])
