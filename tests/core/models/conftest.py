"""Small crystals and a way from crystals to predictions."""

import numpy as np
import pytest
import torch

from crystalgnn_core.graphs.build import build_dataset
from crystalgnn_core.graphs.config import GraphConfig
from crystalgnn_core.learning.cards import DataSummary, ModelCard
from crystalgnn_core.learning.scaling import TargetScaler
from tests.core.random_crystals import draw_crystals

TARGETS = ("formation_energy_per_atom", "band_gap")


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


@pytest.fixture
def card_of():
    """Make the card of a network of two targets."""
    schemes = dict.fromkeys(TARGETS, "test")
    data = DataSummary(
        sources=("test",),
        record_version=0,
        data_digest="",
        split_digest="",
        label_schemes=schemes,
        licenses=(),
        n_rows={},
        n_labels={},
        n_unlabelled=0,
        refused={},
        leaks={},
    )

    def make(config):
        return ModelCard(
            model_id=config.kind,
            created="2020-01-01T00:00:00+00:00",
            model=config,
            graph=GraphConfig(),
            scaler=TargetScaler(targets=TARGETS, mean=(0.0, 0.0), std=(1.0, 1.0)),
            units={"formation_energy_per_atom": "eV/atom", "band_gap": "eV"},
            label_schemes=schemes,
            elements=config.known_elements(),
            data=data,
            training={},
        )

    return make
