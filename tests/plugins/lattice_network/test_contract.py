"""The network does what every network must do."""

from crystalgnn_core.contracts.networks import NetworkContract
from tests.plugins.lattice_network.config import LatticeNetworkConfig


class TestLatticeNetwork(NetworkContract):
    config = LatticeNetworkConfig(width=16, n_layers=2)
    reads_cell = True
