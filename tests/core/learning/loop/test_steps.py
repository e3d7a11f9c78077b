"""Batches that memory does not hold are halved; a step stays that of the whole batch."""

import logging

import numpy as np
import pytest
import torch

from crystalgnn_core.errors import InputError
from crystalgnn_core.graphs.shards import graph_folder
from crystalgnn_core.learning.config import OptimizerConfig
from crystalgnn_core.learning.data import load_training_data
from crystalgnn_core.learning.fitting import LabelledGraphs, fit, predict_dataset
from crystalgnn_core.learning.loop.acceleration import Forward
from crystalgnn_core.learning.resume import CheckpointFolder
from crystalgnn_core.models.schnet.config import SchNetConfig
from tests.core.worlds import GRAPH, TRAINING

SGD = OptimizerConfig(kind="sgd", learning_rate=0.01, schedule="constant")
# some labels are missing, and the loss of a column is a mean over those that are there
CONFIG = TRAINING.model_copy(update={"optimizer": SGD, "batch_size": 20})
REASON = "CUDA out of memory. Tried to allocate 2.00 GiB.\nAdvice of torch"


@pytest.fixture(scope="module")
def data(built_store):
    loaded = load_training_data(built_store, TRAINING, GRAPH)
    labels = loaded.labels.copy()
    labels[::3, 0] = np.nan
    dataset = loaded.dataset(graph_folder(built_store, GRAPH))
    return LabelledGraphs(dataset, labels, loaded.select("train"), loaded.select("val"))


@pytest.fixture
def train(data, trained, tmp_path):
    def run(name):
        torch.manual_seed(0)
        network = SchNetConfig(cutoff=5.0, n_interactions=1).build(2)
        checkpoints = CheckpointFolder(tmp_path / name)
        found = fit(network, data, CONFIG, checkpoints, trained.card, device="cpu")
        return network, found.history["train_loss"].to_numpy()

    return run


def hold(monkeypatch, n_graphs):
    """Let a pass of more graphs be too much."""
    real, sizes = Forward.__call__, []

    def limited(self, batch):
        if len(batch.ptr) - 1 > n_graphs:
            raise torch.OutOfMemoryError(REASON)
        sizes.append(len(batch.ptr) - 1)
        return real(self, batch)

    monkeypatch.setattr(Forward, "__call__", limited)
    return sizes


def test_halved_batches_make_the_steps_of_whole_ones(train, data, monkeypatch, caplog):
    whole, losses = train("whole")
    sizes = hold(monkeypatch, 6)
    with caplog.at_level(logging.WARNING):
        halved, same_losses = train("halved")
    assert max(sizes) <= 6
    assert sum(sizes[-len(data.train) :]) >= len(data.train)
    assert np.allclose(losses, same_losses, rtol=1e-5)
    pairs = zip(whole.parameters(), halved.parameters(), strict=True)
    # sums of float32 in another order
    assert all(torch.allclose(one, other, rtol=1e-4, atol=1e-6) for one, other in pairs)
    # 18 or 19 graphs a batch: said when there are two pieces, and when there are four
    said = [record.getMessage() for record in caplog.records]
    assert [text.count("pieces") for text in said] == [1, 1]
    assert "passed in 4 pieces" in said[1]
    assert "Advice" not in said[1]


def test_too_little_memory_for_two_graphs_is_one_line(train, monkeypatch):
    hold(monkeypatch, 1)
    with pytest.raises(InputError, match=r"hold [23] graphs in training \(CUDA out of mem"):
        train("tiny")


def test_prediction_halves_its_batches_too(data, trained, train, monkeypatch, caplog):
    network, _ = train("whole")
    expected = predict_dataset(network, data.dataset, trained.card.scaler)
    real, sizes = type(network).forward, []

    def limited(self, batch):
        sizes.append(len(batch.ptr) - 1)
        if sizes[-1] > most:
            raise torch.OutOfMemoryError(REASON)
        return real(self, batch)

    monkeypatch.setattr(type(network), "forward", limited)
    monkeypatch.setattr(type(network), "cpu_form", lambda _: None)
    most = 9
    with caplog.at_level(logging.WARNING):
        found = predict_dataset(network, data.dataset, trained.card.scaler, batch_size=32)
    assert sizes[:3] == [32, 16, 8]
    assert np.allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert "prediction (CUDA out of memory. Tried to allocate 2.00 GiB.): 8" in caplog.text
    most = 0
    with pytest.raises(InputError, match="does not hold a graph in prediction"):
        predict_dataset(network, data.dataset, trained.card.scaler)
