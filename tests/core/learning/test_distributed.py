"""Two processes train the network that one trains."""

import os
import socket
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from torch.multiprocessing.spawn import spawn

from crystalgnn_core.distributed import Ranks, join_processes, share
from crystalgnn_core.errors import ModelError
from crystalgnn_core.learning import checkpoints
from crystalgnn_core.learning.checkpoints import choose_device, load_bundle
from crystalgnn_core.learning.config import OptimizerConfig
from crystalgnn_core.learning.loop import steps
from crystalgnn_core.learning.loop.following import follow
from crystalgnn_core.learning.loop.steps import own_part
from crystalgnn_core.learning.training import train_model
from crystalgnn_core.models.alignn.config import ALIGNNConfig
from crystalgnn_core.models.base import CompositionJoinConfig
from crystalgnn_core.models.cgcnn.config import CGCNNConfig
from tests.core.worlds import GRAPH, TRAINING, copy

SMALL = {"atom_width": 8, "n_convolutions": 1, "hidden_width": 8}
JOINED = CompositionJoinConfig(reader="gnn", width=16, n_features=16)
SGD = OptimizerConfig(kind="sgd", learning_rate=0.02, schedule="constant")
LAYERS = {"n_line_convolutions": 1, "n_convolutions": 1}
CASES: dict[str, tuple[Any, dict[str, Any]]] = {
    # batch norms of edges, atoms and crystals; two parts; averaged weights
    "joined": (
        CGCNNConfig(**SMALL, composition=JOINED),
        {"hurdle": ("band_gap",), "ema_decay": 0.9, "batch_size": 15, "members": 2},
    ),
    "alignn": (
        ALIGNNConfig(hidden_width=8, embedding_width=8, **LAYERS),
        {"loss": "mse", "loss_weights": {"band_gap": 2.0}},
    ),
    # one graph for the second process
    "three at a time": (
        CGCNNConfig(**SMALL),
        {"batch_size": 3, "epochs": 1},
    ),
}


def train_cases(store):
    # AdamW divides a slope by its size, and would make much of rounding in small ones
    plain = TRAINING.model_copy(update={"optimizer": SGD})
    for config, changes in CASES.values():
        train_model(store, config, plain.model_copy(update=changes), GRAPH)


def run_rank(rank, store, environment):
    os.environ.update(environment, RANK=str(rank), LOCAL_RANK=str(rank))
    torch.set_num_threads(1)
    join_processes()
    if rank:
        follow()
        return
    train_cases(store)
    share()


def free_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return str(server.getsockname()[1])


def models_of(store):
    return {
        path.parent.name: load_bundle(path.parent)[0].state_dict()
        for path in store.glob("models/*/card.json")
    }


def losses_of(store):
    return {
        path.parent.name: pq.read_table(path)["train_loss"].to_numpy()
        for path in store.glob("models/*/history.parquet")
    }


@pytest.mark.slow
def test_two_processes_train_the_models_of_one(built_store, tmp_path):
    alone, both = (copy(built_store, tmp_path / name) for name in ("alone", "both"))
    environment = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    environment |= {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    running = spawn(run_rank, (both, environment), nprocs=2, join=False)
    train_cases(alone)
    while not running.join():  # it returns when one of them has ended
        pass
    expected, found = losses_of(alone), losses_of(both)
    assert len(expected) == len(CASES)
    assert expected.keys() == found.keys()
    for name, losses in expected.items():
        assert np.allclose(found[name], losses, rtol=1e-5, atol=0)
    before, after = models_of(alone), models_of(both)
    for name, weights in before.items():
        for key, value in weights.items():
            assert torch.allclose(after[name][key], value, rtol=1e-5, atol=1e-6), key


@pytest.mark.parametrize("n_graphs", [2, 3, 4, 7])
def test_each_process_passes_its_part_and_few_graphs_are_passed_by_all(
    n_graphs, monkeypatch
):
    batch, parts = np.arange(n_graphs) + 10, []
    for rank in range(3):
        monkeypatch.setattr(steps, "ranks", lambda rank=rank: Ranks(rank, 3))
        parts.append(own_part(batch).tolist())
    if n_graphs < 3:
        assert parts == [batch.tolist()] * 3
    else:
        assert [row for part in parts for row in part] == batch.tolist()
        assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_a_process_without_a_gpu_of_its_own_says_so(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(checkpoints, "ranks", lambda: Ranks(1, 3, 1, 3))
    assert choose_device("auto") == "cuda:1"
    assert choose_device("cpu") == "cpu"
    monkeypatch.setattr(checkpoints, "ranks", lambda: Ranks(2, 3, 2, 3))
    with pytest.raises(ModelError, match="3 processes share 2 GPUs; start torchrun with"):
        choose_device("cuda")
    monkeypatch.setattr(checkpoints, "ranks", Ranks)
    assert choose_device("auto") == "cuda"
