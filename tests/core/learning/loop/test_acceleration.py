"""Compiled and half-precision passes against plain ones."""

import logging

import numpy as np
import pytest
import torch

from crystalgnn_core.graphs.build import build_dataset
from crystalgnn_core.graphs.config import GraphConfig
from crystalgnn_core.learning.config import TrainingConfig
from crystalgnn_core.learning.loop.acceleration import Forward
from crystalgnn_core.models.alignn.config import ALIGNNConfig
from crystalgnn_core.models.cgcnn.config import CGCNNConfig
from crystalgnn_core.models.cogn.config import COGNConfig
from crystalgnn_core.models.megnet.config import MEGNetConfig
from crystalgnn_core.models.schnet.config import SchNetConfig
from tests.core.random_crystals import draw_crystals
from tests.tiny import TINY

CONFIGS = (
    ALIGNNConfig(hidden_width=32, n_line_convolutions=1, n_convolutions=1),
    CGCNNConfig(n_convolutions=2),
    COGNConfig(width=32, n_blocks=2),
    CGCNNConfig(readout="set2set"),
    MEGNetConfig(),
    SchNetConfig(n_interactions=2),
)
PLAIN = TrainingConfig()


def passed(network, forward, batch):
    """Return outputs and all gradients of a pass."""
    network.zero_grad()
    value = forward(batch)
    value.square().sum().backward()
    gradients = [p.grad.flatten() for p in network.parameters() if p.grad is not None]
    return value.detach(), torch.cat(gradients)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.kind)
def test_half_precision_is_near_and_gives_single_precision(config, batch):
    torch.manual_seed(0)
    network = config.build(2)
    half = Forward(network, TrainingConfig(precision="bfloat16"))
    exact, exact_slope = passed(network, Forward(network, PLAIN), batch)
    found, slope = passed(network, half, batch)
    assert found.dtype == torch.float32
    assert all(parameter.dtype == torch.float32 for parameter in network.parameters())
    assert not torch.equal(found, exact)  # it is in force
    # bfloat16 has 8 bits: 0.4 % of each product, averaged over many
    assert (found - exact).abs().max() < 0.05 * exact.abs().max()
    assert (slope - exact_slope).norm() < 0.1 * exact_slope.norm()


@pytest.fixture
def batch():
    crystals = draw_crystals((1, 3, 4, 6), seed=3)
    dataset, _ = build_dataset(crystals, GraphConfig(symmetric=True))
    return dataset.batch(np.arange(len(dataset)))


def test_a_network_that_cannot_be_compiled_is_used_as_it_is(batch, monkeypatch, caplog):
    def refuse(network, **options):
        def call(_):
            raise RuntimeError("no working C++ compiler\nand more")

        return call

    monkeypatch.setattr(torch, "compile", refuse)
    network = CGCNNConfig().build(1).eval()
    forward = Forward(network, TrainingConfig(compile=True))
    with caplog.at_level(logging.WARNING), torch.no_grad():
        values = [forward(batch) for _ in range(2)]
        assert all(torch.equal(value, network(batch)[None]) for value in values)
    [record] = caplog.records  # it is tried once
    assert "torch.compile failed (no working C++ compiler)" in record.getMessage()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch's compiler warns of its own parts
@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.kind)
def test_a_compiled_network_gives_the_same(config, batch, caplog):
    torch.manual_seed(0)
    network = config.build(2)
    forward = Forward(network, TrainingConfig(compile=True))
    compiled, slope = passed(network, forward, batch)
    exact, exact_slope = passed(network, Forward(network, PLAIN), batch)
    assert not [entry for entry in caplog.records if entry.name.startswith("crystalgnn")]
    assert torch.allclose(compiled, exact, atol=1e-5)
    assert torch.allclose(slope, exact_slope, atol=1e-3 * exact_slope.abs().max())


def test_compiling_does_not_rename_a_model_but_half_precision_does():
    training = TrainingConfig.model_validate(TINY["training"])
    names = {
        training.model_copy(update=change).result_digest()
        for change in ({}, {"compile": True}, {"precision": "float32"})
    }
    half = training.model_copy(update={"precision": "bfloat16"})
    assert len(names) == 1
    assert half.result_digest() not in names
