"""Batch norms of rows with weights against repeated rows."""

import torch

from crystalgnn_core.models.normalization import normalize_columns


def test_a_row_with_a_weight_is_normalised_as_so_many_rows():
    rows = torch.randn(4, 3, dtype=torch.float64)
    weight = torch.tensor([1, 5, 2, 1])
    plain, weighted = (torch.nn.BatchNorm1d(3).double() for _ in range(2))
    with torch.no_grad():
        plain.weight.copy_(torch.tensor([2.0, 0.5, 1.0]))
        weighted.load_state_dict(plain.state_dict())
    for _ in range(2):
        expected = plain(rows.repeat_interleave(weight, dim=0))
        found = normalize_columns(rows, weighted, weight.double())
    assert torch.allclose(found.repeat_interleave(weight, dim=0), expected, atol=1e-12)
    for name, value in plain.state_dict().items():
        assert torch.allclose(weighted.state_dict()[name], value, atol=1e-12)
    rows = torch.zeros(4, 3, dtype=torch.float64)
    fixed = normalize_columns(rows, weighted.eval(), weight.double())
    assert torch.equal(fixed, weighted(rows))
