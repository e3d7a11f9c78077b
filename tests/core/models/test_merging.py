"""Merged batches against symmetry, and what is summed over them against all atoms."""

import copy

import numpy as np
import pytest
import torch
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from crystalgnn_core.models.adjacency import Adjacency, atom_weight
from crystalgnn_core.models.cgcnn import network as cgcnn
from crystalgnn_core.models.cgcnn.config import CGCNNConfig
from crystalgnn_core.models.merging import merge_equivalent
from crystalgnn_core.records.crystal import crystal_from_structure

SALT = Structure.from_spacegroup(
    "Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0] * 3, [0.5] * 3]
)


@pytest.fixture
def salt():
    return crystal_from_structure(SALT)


def test_rock_salt_is_two_atoms_with_two_shells_each(salt, crystals, batch_of):
    batch = batch_of([salt, crystals[0], salt])
    merged = merge_equivalent(batch, 3)
    assert merged.atomic_numbers[:2].tolist() == [11, 17]
    assert merged.atom_weight[:2].tolist() == [4, 4]
    assert merged.degree[:2].tolist() == [2, 2]
    # 6 of the other element at a / 2, and 12 of its own at a / sqrt(2)
    assert merged.edge_weight[:4].tolist() == [6, 12, 6, 12]
    assert merged.edge_index[:, :4].tolist() == [[1, 0, 0, 1], [0, 0, 1, 1]]
    length = merged.edge_vector[:4].norm(dim=1).tolist()
    assert length == pytest.approx([2.82, 5.64 / np.sqrt(2)] * 2, abs=1e-5)
    assert merged.ptr[[0, 1, -1]].tolist() == [0, 2, len(merged.atomic_numbers)]
    assert merged.batch[-2:].tolist() == [2, 2]
    assert torch.equal(merged.lattice, batch.lattice)


def test_atoms_and_edges_are_as_many_as_before(salt, crystals, batch_of):
    batch = batch_of([*crystals, salt])
    merged = merge_equivalent(batch, 3)
    assert merged.atom_weight.sum() == batch.num_nodes
    weights = Adjacency.of_batch(merged).weights()
    assert weights is not None
    assert weights.sum() == batch.num_edges


def test_a_plain_batch_has_no_weights(crystals, batch_of):
    plain = Adjacency.of_batch(batch_of(crystals))
    assert plain.edge_weight is None
    assert plain.node_weight is None
    assert plain.weights() is None
    assert atom_weight(batch_of(crystals)) is None


@pytest.mark.parametrize("is_fused", [True, False])
@pytest.mark.parametrize("readout", ["mean", "sum", "max", "set2set"])
def test_sums_and_gradients_are_those_of_all_atoms(  # noqa: PLR0917  fixtures
    salt, crystals, batch_of, is_fused, readout, monkeypatch
):
    monkeypatch.setattr(cgcnn, "runs_fused", lambda *_: is_fused)
    config = CGCNNConfig(atom_width=5, hidden_width=6, readout=readout, query_width=4)
    network = config.build(2).double().train()
    batch = batch_of([salt, *crystals])
    batch.edge_vector = batch.edge_vector.double()
    found = []
    for graphs in (batch, merge_equivalent(batch, network.equivalence_rounds)):
        copied = copy.deepcopy(network)
        outputs = copied(graphs)
        outputs.square().sum().backward()
        gradients = [value.grad for value in copied.parameters()]
        found.append([outputs, *gradients, *copied.buffers()])
    for whole, merged in zip(*found, strict=True):
        # distances that are one to 2e-6 angstrom are not equal to the last digit
        assert torch.allclose(whole, merged, rtol=1e-5, atol=1e-6)
