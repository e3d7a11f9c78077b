"""ALIGNN against the published formulas, written with concatenation-free scatter sums."""

import pytest
import torch
from torch.nn import functional

from crystalgnn_core.graphs.config import GraphConfig
from crystalgnn_core.graphs.line_graph import pair_along_paths
from crystalgnn_core.models.alignn import network as alignn
from crystalgnn_core.models.alignn.config import ALIGNNConfig
from crystalgnn_core.models.cpu import residual

CONFIG = ALIGNNConfig(
    hidden_width=12, embedding_width=10, n_line_convolutions=2, n_convolutions=2
)
GRAPH = GraphConfig(n_neighbors=6, symmetric=True)


def reference_convolution(layer, nodes, edges, sender, receiver):
    """Edge-gated convolution as in the authors' code."""
    mixed = layer.src_gate(nodes)[sender] + layer.dst_gate(nodes)[receiver]
    mixed = mixed + layer.edge_gate(edges)
    share = torch.sigmoid(mixed)
    message = layer.dst_update(nodes)[sender] * share
    top = torch.zeros_like(nodes).index_add(0, receiver, message)
    bottom = torch.zeros_like(nodes).index_add(0, receiver, share)
    updated = layer.src_update(nodes) + top / (bottom + 1e-6)
    updated = nodes + functional.silu(layer.bn_nodes(updated))
    if layer.bn_edges is None:
        return updated, None
    return updated, edges + functional.silu(layer.bn_edges(mixed))


def reference_embedding(embedding, expanded):
    for step in embedding[1:]:
        expanded = functional.silu(step.layer[1](step.layer[0](expanded)))
    return expanded


def reference(network, batch):
    sender, receiver = batch.edge_index
    line = pair_along_paths(batch.edge_index, batch.edge_vector, batch.degree)
    cosine = line.cosine.double()
    length = batch.edge_vector.norm(dim=1)
    atoms = network.atom_embedding(batch.atomic_numbers)
    grid = torch.linspace(0, 8, 80, dtype=torch.float64)
    expanded = torch.exp(-(79 / 8) * (length[:, None] - grid) ** 2)
    bonds = reference_embedding(network.edge_embedding, expanded)
    grid = torch.linspace(-1, 1, 40, dtype=torch.float64)
    expanded = torch.exp(-(39 / 2) * (cosine[:, None] - grid) ** 2)
    angles = reference_embedding(network.angle_embedding, expanded)
    for layer in network.alignn_layers:
        atoms, bonds = reference_convolution(
            layer.node_update, atoms, bonds, sender, receiver
        )
        bonds, angles = reference_convolution(
            layer.edge_update, bonds, angles, *line.bond_pairs
        )
    for layer in network.gcn_layers:
        atoms, bonds = reference_convolution(layer, atoms, bonds, sender, receiver)
    sizes = batch.ptr.diff().unsqueeze(1)
    shape = (len(sizes), atoms.shape[1])
    pooled = torch.zeros(shape, dtype=atoms.dtype).index_add(0, batch.batch, atoms)
    return network.fc(pooled / sizes)


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("normalization", ["batch", "layer"])
@pytest.mark.parametrize("is_fused", [True, False])
def test_outputs_and_gradients_are_those_of_the_formulas(
    crystals, batch_of, is_fused, normalization, monkeypatch
):
    for module in (alignn, residual):
        monkeypatch.setattr(module, "runs_fused", lambda *_: is_fused)
    batch = batch_of(crystals, GRAPH)
    batch.edge_vector = batch.edge_vector.double()
    config = CONFIG.model_copy(update={"normalization": normalization})
    network = config.build(2).double()
    results = []
    for forward in (network, lambda batch: reference(network, batch)):
        network.zero_grad()
        value = forward(batch)
        value.square().sum().backward()
        gradients = {name: grad_of(p).clone() for name, p in network.named_parameters()}
        results.append((value.detach(), gradients))
    (ours, gradients), (theirs, expected) = results
    assert torch.allclose(ours, theirs, rtol=0, atol=1e-10)
    for name, gradient in gradients.items():
        assert torch.allclose(gradient, expected[name], rtol=1e-8, atol=1e-9), name


def grad_of(parameter):
    assert parameter.grad is not None
    return parameter.grad


def test_long_bonds_form_no_angle(crystals, batch_of):
    batch = batch_of(crystals, GRAPH)
    values = []
    for cutoff in (50.0, 3.0, 0.1):
        torch.manual_seed(0)
        config = CONFIG.model_copy(update={"angle_cutoff": cutoff})
        values.append(config.build(1)(batch).detach())
    assert not torch.allclose(values[0], values[1])
    assert values[2].isfinite().all()  # a line graph without pairs
