"""Sums over segments against torch's, with one thread and with several."""

import pytest
import torch

from crystalgnn_core.models import layers
from crystalgnn_core.models.cpu import threads
from crystalgnn_core.models.layers import sum_by_center


@pytest.fixture(params=["fused", "plain"])
def is_fused(request, monkeypatch):
    if request.param == "plain":
        monkeypatch.setattr(layers, "runs_fused", lambda *_: False)


@pytest.mark.usefixtures("is_fused")
@pytest.mark.parametrize("has_weight", [False, True])
def test_sums_are_those_of_a_loop_and_have_its_gradients(has_weight):
    degree = torch.tensor([2, 0, 3, 1])
    rows = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    weight = torch.tensor([1.0, 4, 2, 1, 1, 3]).double() if has_weight else None
    counted = rows if weight is None else rows * weight[:, None]
    expected = torch.stack([part.sum(0) for part in counted.split(degree.tolist())])
    assert torch.allclose(sum_by_center(rows, degree, weight), expected)
    assert torch.autograd.gradcheck(lambda r: sum_by_center(r, degree, weight), (rows,))
    transposed = rows.detach().T.contiguous().T  # columns are next to each other
    assert torch.allclose(sum_by_center(transposed, degree, weight), expected)


def test_threads_divide_the_segments(monkeypatch):
    monkeypatch.setattr(threads, "SMALLEST", 4)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    assert len(threads.row_spans(5, 40)) == 3
    degree = torch.randint(0, 9, (5,))
    rows = torch.randn(int(degree.sum()), 2)
    expected = torch.segment_reduce(rows, "sum", lengths=degree, initial=0.0)
    assert torch.allclose(sum_by_center(rows, degree), expected, atol=1e-5)
