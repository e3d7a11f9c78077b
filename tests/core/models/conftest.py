"""Small crystals and a way from crystals to predictions."""

import numpy as np
import pytest
import torch

from crystalgnn_core.graphs.build import build_dataset
from crystalgnn_core.graphs.config import GraphConfig
from tests.core.random_crystals import draw_crystals


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@pytest.fixture
def double():
    """Make tensors in double precision, so that equal formulas give equal numbers."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def crystals():
    """Eight crystals of 1 to 6 atoms that differ in elements and cell."""
    return draw_crystals((1, 2, 3, 4, 5, 6, 1, 2), seed=5)


@pytest.fixture
def batch_of():
    """Build one batch from crystals, with the default graph unless told otherwise."""

    def build(crystals, config=None):
        dataset, refused = build_dataset(crystals, config or GraphConfig())
        assert not refused
        return dataset.batch(np.arange(len(crystals)))

    return build
