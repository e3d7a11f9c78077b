"""A network joined with the composition."""

from collections import Counter

import pytest
import torch
from pydantic import ValidationError

from crystalgnn_core.models.base import CompositionJoinConfig
from crystalgnn_core.models.cgcnn.config import CGCNNConfig
from crystalgnn_core.models.composition.config import CompositionMLPConfig
from crystalgnn_core.models.composition.elements import elements_of
from crystalgnn_core.models.composition.inputs import count_inputs, inputs_of
from crystalgnn_core.models.formula_joined import FormulaJoinedNetwork
from crystalgnn_core.models.joined import JoinedNetwork, create_network
from crystalgnn_core.models.merging import merge_equivalent

JOIN = CompositionJoinConfig(width=8, n_features=6)
CONFIG = CGCNNConfig(atom_width=8, hidden_width=8, composition=JOIN)


def test_a_join_makes_another_network_and_none_leaves_names_as_they_were():
    assert isinstance(create_network(CONFIG, 2), JoinedNetwork)
    plain = CGCNNConfig(atom_width=8, hidden_width=8)
    assert (
        create_network(plain, 2).state_dict().keys() == plain.build(2).state_dict().keys()
    )
    assert "composition" not in plain.digest_content()
    assert CONFIG.settings_digest() != plain.settings_digest()


def test_inputs_of_merged_atoms_are_those_of_all_atoms(crystals, batch_of):
    batch = batch_of(crystals)
    inputs = inputs_of(batch)
    assert inputs.shape == (len(crystals), count_inputs())
    assert torch.equal(inputs_of(merge_equivalent(batch, 3)), inputs)


def test_a_composition_changes_what_the_graph_alone_would_give(crystals, batch_of):
    network, batch = JoinedNetwork(CONFIG, JOIN, 1).eval(), batch_of(crystals)
    of_graph = network.graph(batch)
    assert of_graph.shape == (len(crystals), JOIN.n_features)
    other = batch.clone()
    other.atomic_numbers = other.atomic_numbers + 1
    joined = [network.join(one, lambda _: of_graph) for one in (other, batch)]
    assert not torch.allclose(joined[0], joined[1])
    assert torch.allclose(joined[1], network(batch), atol=1e-6)


def test_elements_of_merged_atoms_are_those_of_all_atoms(crystals, batch_of):
    batch = batch_of(crystals)
    merged = merge_equivalent(batch, 3)
    found, others = elements_of(batch), elements_of(merged)
    for name in set(found._fields) - {"of_atom"}:
        assert torch.equal(getattr(found, name), getattr(others, name))
    for elements, atoms in ((found, batch), (others, merged)):
        assert torch.equal(elements.number[elements.of_atom], atoms.atomic_numbers)
    shares = [Counter(crystal.atomic_numbers.tolist()) for crystal in crystals]
    assert found.counts.tolist() == [len(share) for share in shares]
    assert found.fraction.tolist() == [
        share[number] / share.total() for share in shares for number in sorted(share)
    ]


def test_atoms_know_the_formula_that_they_are_part_of(crystals, batch_of):
    """What the graph reads changes where an element elsewhere in the cell does."""
    join = JOIN.model_copy(update={"reader": "gnn"})
    network = create_network(CONFIG.model_copy(update={"composition": join}), 1).eval()
    assert isinstance(network, FormulaJoinedNetwork)
    seen = []
    readout = network.graph.get_submodule("readout")
    readout.register_forward_hook(lambda *args: seen.append(args[1][0]))
    batch, last = batch_of(crystals), len(crystals[-1].atomic_numbers)
    other = batch.clone()
    other.degree = torch.zeros_like(batch.degree)  # nobody hears of a neighbour
    other.edge_index, other.edge_vector = batch.edge_index[:, :0], batch.edge_vector[:0]
    changed = other.clone()
    changed.atomic_numbers = other.atomic_numbers.clone()
    changed.atomic_numbers[-1] = 92
    network(other), network(changed)
    same = changed.atomic_numbers == other.atomic_numbers
    assert torch.equal(seen[0][:-last], seen[1][:-last])
    assert last > 1
    assert not torch.isclose(seen[0], seen[1], atol=1e-7)[-last:][same[-last:]].all()


def test_the_shares_of_both_predictions_are_a_choice(crystals, batch_of):
    join = JOIN.model_copy(update={"reader": "gnn"})
    network = FormulaJoinedNetwork(CONFIG, join, 3).eval()
    batch, shares = batch_of(crystals), torch.tensor([0.0, 0.3, 1.0])
    with torch.no_grad():
        first, second = network.parts(batch)
        network.weigh_parts(shares)
        assert torch.allclose(network(batch), shares * first + (1 - shares) * second)


def test_models_of_the_composition_are_not_joined_with_it():
    with pytest.raises(ValidationError, match="reads the composition already"):
        CompositionMLPConfig(composition=JOIN)
