"""Batches cut between crystals, and predicted on several threads."""

import threading

import numpy as np
import pytest
import torch

from crystalgnn_core.graphs.build import build_dataset
from crystalgnn_core.graphs.config import GraphConfig
from crystalgnn_core.models.cgcnn.config import CGCNNConfig
from crystalgnn_core.models.cpu import parallel
from crystalgnn_core.models.cpu.parallel import Parallel, split_batch
from crystalgnn_core.models.inference import for_inference
from tests.core.random_crystals import draw_crystals


@pytest.fixture
def dataset():
    crystals = draw_crystals((1, 5, 2, 7, 3, 4, 1, 6), seed=8)
    return build_dataset(crystals, GraphConfig())[0]


@pytest.mark.parametrize("n_parts", [1, 2, 3, 50])
def test_parts_are_the_batches_of_their_crystals(dataset, n_parts):
    parts = split_batch(dataset.batch(np.arange(8)), n_parts)
    sizes = [len(part.ptr) - 1 for part in parts]
    assert sum(sizes) == 8
    assert len(parts) <= n_parts
    first = 0
    for part, size in zip(parts, sizes, strict=True):
        expected = dataset.batch(np.arange(first, first + size))
        assert set(part.to_dict()) == set(expected.to_dict())
        for name, value in expected.to_dict().items():
            same = part[name] == value
            assert same if isinstance(same, bool) else same.all(), name
        first += size


def test_threads_of_torch_are_left_as_they_were(dataset, monkeypatch):
    monkeypatch.setattr(parallel, "FEWEST_EDGES", 1)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    seen = []

    def form(batch):
        seen.append((threading.current_thread().name, torch.get_num_threads()))
        return batch.ptr[1:, None].float()

    try:
        Parallel(form)(dataset.batch(np.arange(8)))
        assert torch.get_num_threads() == 3
        late = []
        thread = threading.Thread(target=lambda: late.append(torch.get_num_threads()))
        thread.start()
        thread.join()
        assert late == [3]
    finally:
        torch.set_num_threads(before)
    assert len(seen) == 3
    assert {count for _, count in seen} == {1}
    assert all(name.startswith("crystalgnn-predict") for name, _ in seen)


@pytest.mark.parametrize("n_threads", [1, 2, 4])
def test_predictions_do_not_depend_on_the_threads(dataset, monkeypatch, n_threads):
    monkeypatch.setattr(parallel, "FEWEST_EDGES", 1)
    torch.manual_seed(0)
    network = CGCNNConfig().build(2).eval()
    batch = dataset.batch(np.arange(8))
    with torch.no_grad():
        expected = network(batch)
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        found = for_inference(network)(batch)
    finally:
        torch.set_num_threads(before)
    assert torch.allclose(found, expected, atol=5e-6)


def test_an_error_in_a_thread_is_raised(dataset, monkeypatch):
    monkeypatch.setattr(parallel, "FEWEST_EDGES", 1)

    def form(batch):
        raise ValueError(f"{len(batch.ptr) - 1} crystals")

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(ValueError, match="crystals"):
            Parallel(form)(dataset.batch(np.arange(8)))
    finally:
        torch.set_num_threads(before)
