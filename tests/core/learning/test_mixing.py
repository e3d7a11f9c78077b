"""How much each of two predictions counts, by the rows of the validation split."""

from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np
import pytest
import torch
from torch import nn

from crystalgnn_core.learning.fitting import LabelledGraphs
from crystalgnn_core.learning.mixing import weigh_parts
from crystalgnn_core.learning.scaling import TargetScaler
from crystalgnn_core.models.network import Network, NetworkInParts

if TYPE_CHECKING:
    from crystalgnn_core.graphs.batches import GraphDataset

N_ROWS = 400
RNG = np.random.default_rng(0)
TRUTH = np.column_stack([RNG.normal(size=N_ROWS), RNG.integers(0, 2, N_ROWS)])
NOISE = RNG.normal(size=(2, N_ROWS, 2))
SCALER = TargetScaler(targets=("band_gap", "is_metal"), mean=(0.0, 0.0), std=(1.0, 1.0))


class TwoParts(NetworkInParts):
    """Errors of both parts are as large as told; logits are wrong by chance alone."""

    def __init__(self, *sizes: float) -> None:
        super().__init__()
        sharp = TRUTH * [1, 4] - [0, 2]
        found = np.stack([sharp + s * e for s, e in zip(sizes, NOISE, strict=True)])
        self.found = nn.Buffer(torch.from_numpy(found))
        self.shares: list[float] | None = None

    def parts(self, batch):
        return self.found[:, batch]

    def forward(self, batch):
        return self.parts(batch).mean(0)

    def weigh_parts(self, shares):
        self.shares = shares.tolist()


class Rows(NamedTuple):
    def batches(self, _, order):
        return [(order, torch.from_numpy(order))]


def weighed(network, val=None, labels=TRUTH):
    rows = np.arange(N_ROWS) if val is None else val
    data = LabelledGraphs(cast("GraphDataset", Rows()), labels, rows[:0], rows)
    return weigh_parts(network, data, SCALER)


@pytest.mark.parametrize(("sizes", "share"), [((0.02, 2.0), 1.0), ((2.0, 0.02), 0.0)])
def test_the_better_part_counts_alone_where_the_other_says_nothing(sizes, share):
    network = TwoParts(*sizes)
    assert weighed(network)
    assert network.shares is not None
    assert network.shares[0] == share
    assert abs(network.shares[1] - share) < 0.5


def test_parts_that_are_as_good_count_about_as_much():
    network = TwoParts(0.5, 0.5)
    weighed(network)
    assert network.shares == pytest.approx([0.5, 0.5], abs=0.21)


def test_few_rows_and_missing_labels_change_nothing():
    network = TwoParts(0.02, 2.0)
    assert not weighed(network, np.arange(19))
    labels = TRUTH.copy()
    labels[:, 0] = np.nan
    assert weighed(network, labels=labels)
    assert network.shares is not None
    assert network.shares[0] == 0.5


def test_a_network_without_parts_stays_as_it_is():
    class One(Network):
        def forward(self, _):
            raise AssertionError("nothing is to be predicted")

    assert not weighed(One())
