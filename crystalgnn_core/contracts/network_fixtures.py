"""What the suite of networks works on: small crystals, their batches, a model card."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING
from unittest import SkipTest

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from crystalgnn_core.graphs.build import build_dataset
from crystalgnn_core.graphs.config import GraphConfig
from crystalgnn_core.learning.cards import DataSummary, ModelCard
from crystalgnn_core.learning.scaling import TargetScaler
from crystalgnn_core.models.joined import create_network
from crystalgnn_core.models.network import Estimator, Network
from crystalgnn_core.records.crystal import Crystal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor
    from torch_geometric.data import Batch

    from crystalgnn_core.models.base import NetworkConfig

TARGETS = ("formation_energy_per_atom", "band_gap")
LABELS = np.linspace(-1, 1, 8)


class NetworkFixtures:
    """A configured network and its predictions.

    Attributes:
        config: Settings of a network that is small enough to be trained in seconds.
        graph: Its graphs; None takes the default ones of the settings.
    """

    config: NetworkConfig
    graph: GraphConfig | None = None

    def setup_method(self) -> None:
        """Draw the same weights in every test."""
        torch.manual_seed(0)

    def network(self) -> Network:
        """Return a network whose normalisation layers have seen crystals; leave it so."""
        return _settled(self.config, self.graph or self.config.default_graph())

    def trainable(self) -> Network:
        """Return a fresh network, unless it is fitted in one go and has no gradients."""
        network = create_network(self.config, 2)
        if isinstance(network, Estimator):
            raise SkipTest(f"{self.config.kind} is fitted in one go")
        return network

    def batch(self, crystals: Sequence[Crystal], graph: GraphConfig | None = None) -> Batch:
        """Build one batch, with the graphs of the network unless others are given."""
        return _batch(crystals, graph or self.graph or self.config.default_graph())

    def predict(
        self,
        crystals: Sequence[Crystal],
        graph: GraphConfig | None = None,
        network: Network | None = None,
    ) -> NDArray[np.float32]:
        """Return predictions, shape (n_crystals, n_targets)."""
        with torch.no_grad():
            return (network or self.network())(self.batch(crystals, graph)).numpy()


@cache
def _settled(config: NetworkConfig, graph: GraphConfig) -> Network:
    network, batch = create_network(config, 2), _batch(eight(), graph)
    if isinstance(network, Estimator):
        network.fit(batch, np.stack([LABELS, LABELS**2], 1))
    else:
        with torch.no_grad():
            for _ in range(20):
                network(batch)
    return network.eval()


def _batch(crystals: Sequence[Crystal], graph: GraphConfig) -> Batch:
    dataset, refused = build_dataset(crystals, graph)
    assert not refused, refused
    return dataset.batch(np.arange(len(crystals)))


@cache
def eight() -> tuple[Crystal, ...]:
    """Return eight crystals of 1 to 6 atoms."""
    rng = np.random.default_rng(5)
    return tuple(draw_crystal(rng, size) for size in (1, 2, 3, 4, 5, 6, 1, 2))


def draw_crystal(rng: np.random.Generator, size: int | None = None) -> Crystal:
    """Draw a skewed cell of 1 to 6 atoms, from H to Ac, at random places."""
    size = int(rng.integers(1, 7)) if size is None else size
    lattice = np.eye(3) * 3.4 * np.cbrt(size) + rng.normal(size=(3, 3)) * 0.5
    numbers = rng.integers(1, 90, size).astype(np.int16)
    return Crystal(numbers, lattice, rng.uniform(-1, 2, (size, 3)))


def crystal_of(numbers: list[int], positions: object, box: float) -> Crystal:
    """Put atoms at positions in angstrom into a cubic cell of the given edge."""
    coords = np.array(positions, dtype=float) / box
    return Crystal(np.array(numbers, np.int16), np.eye(3) * box, coords)


def rocksalt(edge: float) -> Crystal:
    """Return the eight atoms of a cell of rock salt, the edge in angstrom."""
    half = np.stack(np.meshgrid(*[[0.0, 0.5]] * 3), axis=-1).reshape(-1, 3)
    numbers = np.where(half.sum(axis=1) % 1.0, 17, 11).astype(np.int16)
    return Crystal(numbers, np.eye(3) * edge, half)


def rotated(crystal: Crystal, rng: np.random.Generator) -> Crystal:
    """Turn a crystal around."""
    rotation = Rotation.random(rng=rng).as_matrix()
    return crystal._replace(lattice=crystal.lattice @ rotation)


def translated(crystal: Crystal, rng: np.random.Generator) -> Crystal:
    """Choose another origin."""
    return crystal._replace(frac_coords=crystal.frac_coords + rng.uniform(-2, 2, 3))


def reordered(crystal: Crystal, rng: np.random.Generator) -> Crystal:
    """List the atoms in another order."""
    order = rng.permutation(len(crystal.atomic_numbers))
    numbers, coords = crystal.atomic_numbers[order], crystal.frac_coords[order]
    return crystal._replace(atomic_numbers=numbers, frac_coords=coords)


def in_other_cell(crystal: Crystal, rng: np.random.Generator) -> Crystal:
    """Choose another cell of the same volume."""
    matrix = np.eye(3)
    for _ in range(4):
        row, other = rng.choice(3, 2, replace=False)
        matrix[row] += rng.choice([-1, 1]) * matrix[other]
    return crystal._replace(
        lattice=matrix @ crystal.lattice,
        frac_coords=crystal.frac_coords @ np.linalg.inv(matrix),
    )


def repeated(crystal: Crystal, rng: np.random.Generator) -> Crystal:
    """Take a supercell of two or three cells."""
    n = np.ones(3)
    n[rng.integers(3)] = rng.integers(2, 4)
    cells = np.stack(np.meshgrid(*map(np.arange, n)), axis=-1).reshape(-1, 3)
    coords = (crystal.frac_coords[:, None] + cells[None]).reshape(-1, 3) / n
    numbers = np.repeat(crystal.atomic_numbers, len(cells))
    return Crystal(numbers, crystal.lattice * n[:, None], coords)


DESCRIPTIONS = (rotated, translated, reordered, in_other_cell, repeated)


def card_of(config: NetworkConfig) -> ModelCard:
    """Make the card of a network of two targets, trained on nothing."""
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


def pass_once(network: Network, batch: Batch) -> list[tuple[str, Tensor]]:
    """Return outputs, gradients and running statistics of a pass of training."""
    outputs = network(batch)
    torch.autograd.backward(outputs.square().mean())
    gradients = [(name, value.grad) for name, value in network.named_parameters()]
    known = [(name, value) for name, value in gradients if value is not None]
    return [("outputs", outputs.detach()), *known, *network.named_buffers()]
