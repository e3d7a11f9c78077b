"""Shared layers against plain formulas."""

import numpy as np
import pytest
import torch

from crystalgnn_core.models.layers import (
    GaussianExpansion,
    mean_by_graph,
    spread_to_edges,
    sum_by_center,
)

DEGREE = torch.tensor([2, 0, 3, 1])


def test_gaussian_is_one_at_its_centre_and_falls_to_1_over_e_in_one_step():
    basis = GaussianExpansion(0.0, 8.0, 41, 25.0)
    assert basis.n_features == 41
    features = basis(torch.tensor([1.0, 8.0]))
    assert features[0, 5].item() == pytest.approx(1.0)
    assert features[0, 6].item() == pytest.approx(np.exp(-1), rel=1e-5)
    assert features[1, 40].item() == pytest.approx(1.0)


def test_no_gaussian_is_so_small_that_processors_multiply_it_slowly():
    basis = GaussianExpansion(0.0, 8.0, 41, 25.0)
    distances = torch.linspace(0.0, 9.0, 9001, requires_grad=True)
    features = basis(distances)
    plain = torch.exp(-25.0 * (distances[:, None] - basis.centers).square())
    positive = features[features > 0]
    assert positive.min() > torch.finfo(torch.float32).tiny
    assert (features - plain).abs().max() < 1e-30
    features.sum().backward()
    assert distances.grad is not None
    assert distances.grad.isfinite().all()


def test_sum_goes_to_the_right_centre():
    messages = torch.arange(12.0).reshape(6, 2)
    total = sum_by_center(messages, DEGREE)
    assert total.tolist() == [[2, 4], [0, 0], [18, 21], [10, 11]]


def test_sums_over_nothing_are_empty_and_have_gradients():
    messages = torch.zeros(0, 2, requires_grad=True)
    degree = torch.zeros(0, dtype=torch.int64)
    total = sum_by_center(messages, degree)
    assert total.shape == (0, 2)
    (total.sum() + spread_to_edges(total, degree, 0).sum()).backward()
    assert messages.grad is not None


def test_spreading_repeats_rows_and_its_gradient_sums_them():
    rows = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    spread = spread_to_edges(rows, DEGREE, 6)
    assert torch.equal(spread, rows[[0, 0, 2, 2, 2, 3]])
    assert torch.autograd.gradcheck(lambda r: spread_to_edges(r, DEGREE, 6), (rows,))


def test_sum_by_centre_has_the_right_gradient():
    messages = torch.randn(6, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda m: sum_by_center(m, DEGREE), (messages,))


def test_mean_by_graph_weighs_atoms_equally():
    features = torch.tensor([[1.0], [2.0], [6.0], [5.0]])
    assert mean_by_graph(features, torch.tensor([0, 3, 4])).tolist() == [[3.0], [5.0]]
