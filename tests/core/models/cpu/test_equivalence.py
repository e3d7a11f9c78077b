"""Classes of equivalent atoms against symmetry, and predictions from them."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from crystalgnn_core.graphs.build import build_dataset
from crystalgnn_core.graphs.config import GraphConfig
from crystalgnn_core.models.cgcnn.config import CGCNNConfig
from crystalgnn_core.models.cogn.config import COGNConfig
from crystalgnn_core.models.cpu.equivalence import find_classes
from crystalgnn_core.models.inference import for_inference
from crystalgnn_core.models.schnet.config import SchNetConfig
from crystalgnn_core.records.crystal import Crystal, crystal_from_structure

ORIGIN, HALF = [0, 0, 0], [0.5] * 3
SALT = Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [ORIGIN, HALF])
QUARTZ = Structure.from_spacegroup(
    "P3_221",
    Lattice.hexagonal(4.913, 5.405),
    ["Si", "O"],
    [[0.4697, 0, 2 / 3], [0.4135, 0.2669, 0.7858]],
)


def batch_of(crystals, **changes):
    config = GraphConfig(**changes)
    dataset, refused = build_dataset(crystals, config)
    assert not refused
    return dataset.batch(np.arange(len(dataset)))


def test_orbits_of_known_crystals_are_classes():
    crystals = [crystal_from_structure(structure) for structure in (SALT, QUARTZ)]
    classes = find_classes(batch_of(crystals), 3)
    assert [len(crystal.atomic_numbers) for crystal in crystals] == [8, 9]
    assert len(classes.member) == 4  # Na, Cl, Si, O
    numbers = np.concatenate([crystal.atomic_numbers for crystal in crystals])
    assert np.array_equal(numbers[classes.member][classes.of_atom], numbers)
    assert set(classes.of_atom[:8]) == {0, 1}
    assert set(classes.of_atom[8:]) == {2, 3}


def test_edges_of_rock_salt_are_two_shells():
    classes = find_classes(batch_of([crystal_from_structure(SALT)]), 3)
    # 6 of the other element at a / 2, and the whole shell of 12 at a / sqrt(2)
    assert classes.first.tolist() == [0, 2, 4]
    assert classes.sender.tolist() == [1, 0, 0, 1]
    assert classes.times.tolist() == [6, 12, 6, 12]
    expected = [2.82, 5.64 / np.sqrt(2)] * 2
    assert classes.distance == pytest.approx(expected, abs=1e-5)


def test_each_round_looks_one_edge_farther():
    # a chain of equal atoms with one of another element at its end
    length, n = 2.0, 6
    positions = np.zeros((n, 3))
    positions[:, 0] = np.arange(n) * length
    crystal = Crystal(
        np.array([6, 6, 6, 6, 6, 8], np.int16), np.eye(3) * 60, positions / 60 + 0.1
    )
    batch = batch_of([crystal], strategy="radius", cutoff=2.1, too_few="keep")
    numbers = [len(find_classes(batch, rounds).member) for rounds in range(6)]
    # only O; then the end of the chain and the neighbour of O; then theirs ...
    assert numbers == [2, 4, 6, 6, 6, 6]


def test_distances_are_one_within_the_tolerance_only():
    def pair(shift):
        coords = np.array([[0.0, 0, 0], [0.1, 0, 0], [0.5, 0, 0], [0.6 + shift / 20, 0, 0]])
        return Crystal(np.full(4, 6, np.int16), np.eye(3) * 20, coords)

    graph = {"strategy": "radius", "cutoff": 3.0, "too_few": "keep"}
    assert len(find_classes(batch_of([pair(5e-7)], **graph), 2).member) == 1
    assert len(find_classes(batch_of([pair(1e-4)], **graph), 2).member) == 2


def test_an_element_is_not_taken_for_a_distance():
    # two C: one with H at the fourth distance, one with Li at the second
    lengths = {1: 2.4, 3: 2.2}
    coords, numbers = [], []
    for place, (number, length) in enumerate(lengths.items()):
        x = 5.0 + 20 * place
        coords += [[x, 5, 5], [x + length, 5, 5]]
        numbers += [6, number]
    for place, length in enumerate((2.1, 2.3)):  # the first and the third distance
        x = 45.0 + 15 * place
        coords += [[x, 5, 5], [x + length, 5, 5]]
        numbers += [14, 14]
    crystal = Crystal(np.array(numbers, np.int16), np.eye(3) * 80, np.array(coords) / 80)
    batch = batch_of([crystal], strategy="radius", cutoff=3.0, too_few="keep")
    of_atom = find_classes(batch, 1).of_atom
    assert of_atom[0] != of_atom[2]


@pytest.mark.parametrize("shift", [0.0, 1e-7, 1e-6, 1e-5])
def test_nearly_symmetric_crystals_are_predicted_as_by_the_network(shift):
    structure = SALT.copy()
    if shift:
        structure.perturb(shift, seed=1)
    batch = batch_of([crystal_from_structure(structure), crystal_from_structure(QUARTZ)])
    torch.manual_seed(0)
    network = CGCNNConfig().build(2)
    with torch.no_grad():
        for _ in range(10):
            network(batch)
    form = for_inference(network)
    with torch.no_grad():
        assert torch.allclose(form(batch), network(batch), rtol=1e-5, atol=3e-5)


def test_atoms_of_two_crystals_are_never_one_class():
    crystal = crystal_from_structure(SALT)
    classes = find_classes(batch_of([crystal, crystal]), 3)
    assert len(classes.member) == 4
    assert set(classes.of_atom[:8]).isdisjoint(classes.of_atom[8:])


NETWORKS = CGCNNConfig(), SchNetConfig(), COGNConfig(width=32)


@pytest.mark.parametrize("config", NETWORKS, ids=lambda config: config.kind)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_symmetric_crystals_are_predicted_as_by_the_network(config, seed):
    generator = np.random.default_rng(seed)
    base = [SALT, QUARTZ, SALT.get_primitive_structure()][seed % 3].copy()
    base.scale_lattice(base.volume * generator.uniform(0.9, 1.2))
    if seed % 2:
        base.perturb(0.05, seed=seed)  # no two atoms are equivalent
    base.make_supercell([1, 1, int(generator.integers(1, 3))])
    batch = batch_of([crystal_from_structure(base)])
    torch.manual_seed(seed)
    network = config.build(2)
    with torch.no_grad():
        for _ in range(3):
            network(batch)
    form = for_inference(network)
    with torch.no_grad():
        assert torch.allclose(form(batch), network(batch), rtol=1e-5, atol=2e-5)


def test_a_batch_without_edges_has_as_many_classes_as_elements():
    numbers = np.array([3, 3, 9], np.int16)
    coords = np.array([[0.1] * 3, [0.5] * 3, [0.9] * 3])
    crystal = Crystal(numbers, np.eye(3) * 50, coords)
    classes = find_classes(
        batch_of([crystal], strategy="radius", cutoff=2.0, too_few="keep"), 3
    )
    assert classes.of_atom.tolist() == [0, 0, 1]
    assert classes.first.tolist() == [0, 0, 0]
