"""Readouts against loops over the sets."""

import pytest
import torch

from crystalgnn_core.models.readout import Set2Set, make_readout

COUNTS = torch.tensor([3, 1, 2])
LOOPS = {
    "mean": lambda rows: rows.mean(dim=0),
    "sum": lambda rows: rows.sum(dim=0),
    "max": lambda rows: rows.max(dim=0).values,
}


@pytest.mark.parametrize("kind", LOOPS)
def test_pool_does_what_a_loop_does(kind):
    members = torch.randn(6, 4)
    pool = make_readout(kind, 4, 1, 1)
    expected = torch.stack([LOOPS[kind](rows) for rows in members.split([3, 1, 2])])
    assert pool(members, COUNTS) == pytest.approx(expected.numpy(), abs=1e-6)
    assert pool.n_outputs == 4
    assert not list(pool.parameters())


@pytest.mark.parametrize("kind", [*LOOPS, "set2set"])
def test_a_member_with_a_weight_is_so_many_members(kind):
    members, weight = torch.randn(6, 4), torch.tensor([2, 1, 3, 1, 4, 1])
    readout = make_readout(kind, 4, 3, 2)
    repeated = readout(members.repeat_interleave(weight, dim=0), torch.tensor([6, 1, 5]))
    assert torch.allclose(readout(members, COUNTS, weight.float()), repeated, atol=1e-6)


def test_equal_members_share_the_gradient_of_their_maximum():
    members = torch.tensor([[1.0], [1.0], [0.0]], requires_grad=True)
    maximum = make_readout("max", 1, 1, 1)(members, torch.tensor([3]))
    (-maximum).sum().backward()
    assert members.grad is not None
    assert members.grad.tolist() == [[-0.5], [-0.5], [0.0]]


@pytest.mark.parametrize("kind", [*LOOPS, "set2set"])
def test_gradients_are_those_of_finite_differences(kind):
    members = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    readout = make_readout(kind, 3, 2, 3).double()
    assert torch.autograd.gradcheck(lambda rows: readout(rows, COUNTS), (members,))


def test_set2set_reads_the_attention_weighted_mean():
    members = torch.randn(6, 4, dtype=torch.float64)
    readout = Set2Set(4, 5, 2).double()
    found = readout(members, COUNTS)
    assert found.shape == (3, readout.n_outputs)
    for rows, output in zip(members.split([3, 1, 2]), found, strict=True):
        memory, held = readout.memory(rows), torch.zeros(10, dtype=torch.float64)
        for _ in range(2):
            first, candidate, last = readout.cell(held).chunk(3)
            gates = [(0.2 * gate + 0.5).clamp(0, 1) for gate in (first, last)]
            query = gates[1] * torch.tanh(gates[0] * torch.tanh(candidate))
            held = torch.cat((query, torch.softmax(memory @ query, dim=0) @ memory))
        assert torch.allclose(output, held, atol=1e-12)


@pytest.mark.parametrize("kind", [*LOOPS, "set2set"])
def test_an_empty_set_gives_finite_numbers(kind):
    readout = make_readout(kind, 3, 2, 2)
    found = readout(torch.randn(2, 3), torch.tensor([0, 2]))
    assert found.isfinite().all()
    assert not found[0, 2 if kind == "set2set" else 0 :].any()  # nothing was read
