"""The running average of weights against its formula."""

import pytest
import torch

from crystalgnn_core.learning.loop.averaging import WARM_UP, WeightAverage
from crystalgnn_core.models.cgcnn.config import CGCNNConfig


def move(network, number):
    with torch.no_grad():
        for value in network.state_dict().values():
            value.fill_(number)


@pytest.mark.parametrize("decay", [0.15, 0.9])
def test_weights_and_statistics_are_averaged_and_counts_copied(decay):
    network = CGCNNConfig(atom_width=4, hidden_width=4).build(1)
    average = WeightAverage(network, decay)
    expected = 0.0
    for step in range(1, 6):
        move(network, step)
        average.update(network)
        keep = 0.0 if step == 1 else min(decay, step / (WARM_UP + step - 1))
        expected = keep * expected + (1 - keep) * step
    assert average.n_steps == 5
    for name, value in average.network.state_dict().items():
        wanted = 5 if name.endswith("num_batches_tracked") else expected
        assert torch.allclose(value.double(), torch.tensor(wanted).double()), name


def test_the_average_goes_on_from_a_number_of_steps():
    network = CGCNNConfig(atom_width=4, hidden_width=4).build(1)
    move(network, 1.0)
    average = WeightAverage(network, 0.9)
    average.n_steps = 1000
    move(network, 2.0)
    average.update(network)
    moved = average.network.state_dict()["fc_out.bias"]
    assert moved.item() == pytest.approx(1.1)
