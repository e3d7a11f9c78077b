"""Tables are as exact as they say."""

import numpy as np
import pytest
import torch

from crystalgnn_core.models.cpu.tables import TableError, distance_end, tabulate
from crystalgnn_core.models.layers import GaussianExpansion


def waves(values):
    return torch.stack((torch.sin(values), torch.exp(-values), values**2), dim=1)


@pytest.mark.parametrize("tolerance", [1e-4, 1e-6, 1e-8])
def test_error_is_within_the_bound_everywhere(tolerance):
    table = tabulate(waves, 0.5, 7.0, torch.float64, tolerance=tolerance)
    values = torch.linspace(0.5, 7.0, 99_991, dtype=torch.float64)
    error = (table.read(values) - waves(values)).abs().max()
    assert error <= tolerance * 49


def test_finer_tables_are_made_only_where_they_are_needed():
    coarse = tabulate(waves, 0.5, 7.0, torch.float32, tolerance=1e-4)
    fine = tabulate(lambda x: waves(9 * x), 0.5, 7.0, torch.float32, tolerance=1e-9)
    assert len(coarse.rows) == 259
    assert len(fine.rows) > 1000
    assert coarse.rows.dtype == np.float32


def test_beyond_the_ends_the_function_stays_as_it_is_there():
    table = tabulate(waves, 0.5, 7.0, torch.float64)
    ends = waves(torch.tensor([0.5, 7.0], dtype=torch.float64))
    beyond = table.read(torch.tensor([-3.0, 100.0], dtype=torch.float64))
    assert torch.allclose(beyond, ends, rtol=0, atol=1e-6)


def test_nan_gives_nan():
    table = tabulate(waves, 0.5, 7.0, torch.float32)
    assert table.read(torch.tensor([float("nan")])).isnan().all()


def test_a_step_has_no_table():
    with pytest.raises(TableError, match="16384 intervals"):
        tabulate(lambda x: (x > 1.0).double()[:, None], 0.0, 3.0, torch.float32)


def test_not_a_number_has_no_table():
    with pytest.raises(TableError):
        tabulate(lambda x: (x / 0.0 * 0.0)[:, None], 0.0, 3.0, torch.float32)


def test_halves_are_tables_of_their_columns():
    table = tabulate(lambda x: waves(x).repeat(1, 2), 0.5, 7.0, torch.float64)
    values = torch.tensor([1.3, 4.4], dtype=torch.float64)
    for half in table.split():
        assert torch.equal(half.read(values), table.read(values)[:, :3])


def test_gaussians_are_gone_where_a_table_ends():
    basis = GaussianExpansion(0.0, 8.0, 41, 25.0)
    end = distance_end(basis)
    assert end == pytest.approx(9.4)
    assert basis(torch.tensor([end], dtype=torch.float64)).max() < 1e-20
