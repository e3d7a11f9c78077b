"""Every row once an epoch, whatever the batches are cut by."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from crystalgnn_core.learning.config import TrainingConfig
from crystalgnn_core.learning.loop.batching import (
    batches_on_device,
    count_batches,
    epoch_batches,
)

WAYS: dict[str, dict[str, Any]] = {
    "size": {"batch_size": 7},
    "edges": {"max_edges": 60},
    "buckets": {"batch_size": 7, "bucket_size": 20},
    "edges in buckets": {"max_edges": 60, "bucket_size": 20},
}


def graphs(n_rows):
    """Every other graph is a training row; edges differ from 1 to 30."""
    n_edges = np.random.default_rng(3).integers(1, 31, 2 * n_rows)
    return np.arange(0, 2 * n_rows, 2), n_edges


@pytest.mark.parametrize("way", WAYS)
@given(st.integers(2, 80), st.integers(1, 5), st.integers(0, 3))
def test_an_epoch_holds_every_row_once_and_no_graph_alone(way, n_rows, epoch, seed):
    rows, n_edges = graphs(n_rows)
    config = TrainingConfig(seed=seed, epochs=5, **WAYS[way])
    batches = epoch_batches(rows, n_edges, config, epoch)
    assert sorted(np.concatenate(batches)) == rows.tolist()
    assert min(map(len, batches)) > 1
    assert count_batches(rows, n_edges, config)[epoch - 1] == len(batches)
    again = epoch_batches(rows, n_edges, config, epoch)
    assert all(map(np.array_equal, batches, again))


@pytest.mark.parametrize("way", WAYS)
def test_epochs_and_seeds_differ(way):
    rows, n_edges = graphs(60)
    orders = {
        np.concatenate(
            epoch_batches(rows, n_edges, TrainingConfig(seed=seed, **WAYS[way]), epoch)
        ).tobytes()
        for seed in (0, 1)
        for epoch in (1, 2)
    }
    assert len(orders) == 4


def test_graphs_without_edges_are_batched_by_number():
    rows = np.arange(50)
    config = TrainingConfig(max_edges=200, batch_size=10, epochs=2)
    batches = epoch_batches(rows, np.zeros(50, np.int64), config, 1)
    assert [len(batch) for batch in batches] == [10] * 5
    assert count_batches(rows, np.zeros(50, np.int64), config) == [5, 5]


def test_the_edge_budget_is_kept_but_for_graphs_that_would_be_alone():
    rows, n_edges = graphs(500)
    config = TrainingConfig(max_edges=200)
    for batch in epoch_batches(rows, n_edges, config, 1):
        assert n_edges[batch].sum() <= 200
    lone = epoch_batches(rows, n_edges, TrainingConfig(max_edges=1), 1)
    assert {len(batch) for batch in lone} <= {2, 3}


def test_buckets_gather_graphs_of_like_size():
    rows, n_edges = graphs(400)
    spread = {}
    for size in (0, 200):
        config = TrainingConfig(batch_size=10, bucket_size=size)
        batches = epoch_batches(rows, n_edges, config, 1)
        spread[size] = np.mean([np.ptp(n_edges[batch]) for batch in batches])
    assert spread[200] < 0.3 * spread[0]


def test_batches_of_one_size_are_those_of_earlier_versions():
    rows = np.arange(10, 33)
    batches = epoch_batches(rows, np.ones(40, int), TrainingConfig(batch_size=6, seed=4), 3)
    order = np.random.default_rng([4, 3]).permutation(rows)
    assert [batch.tolist() for batch in batches] == [
        part.tolist() for part in np.array_split(order, 4)
    ]


def test_settings_that_do_not_change_results_do_not_change_the_name():
    plain = TrainingConfig()
    assert plain.result_digest() == "a7f0b3ba54651a8a"  # before there were buckets
    for same in ({"loading": "mapped"}, {"memory_gib": 1.0}, {"device": "cpu"}):
        assert plain.model_copy(update=same).result_digest() == plain.result_digest()
    for other in ({"max_edges": 9}, {"bucket_size": 9}, {"seed": 1}):
        assert plain.model_copy(update=other).result_digest() != plain.result_digest()


class _Pinned:
    """A data set whose batches tell what is done with them."""

    def assemble(self, batches):
        for chosen in batches:
            self.done = []
            yield chosen, self

    def pin_memory(self):
        self.done.append("pinned")
        return self

    def to(self, device, *, non_blocking=False):
        return (str(device), non_blocking, *self.done)


def test_batches_for_a_gpu_are_pinned_and_copied_while_it_works():
    batches = [np.array([0, 1])]
    dataset: Any = _Pinned()
    [(chosen, where)] = batches_on_device(dataset, batches, torch.device("cuda"))
    assert chosen.tolist() == [0, 1]
    assert where == ("cuda", True, "pinned")
    [(_, where)] = batches_on_device(dataset, batches, torch.device("cpu"))
    assert where == ("cpu", False)
