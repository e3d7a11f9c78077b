"""coGN against its published description: layers, sizes, and a loop over edges."""

import numpy as np
import pytest
import torch
from torch.nn.functional import silu

from crystalgnn_core.models.cogn.config import COGNConfig
from tests.core.random_crystals import draw_crystals


def test_as_many_parameters_as_the_published_code_layer_by_layer():
    """Sizes of kgcnn/literature/coGN/_coGN_config.py, https://github.com/aimat-lab/gcnn_keras.

    That code has 14 oxidation states and 4 further numbers of an element; here there are 5
    numbers, and 5 that say which are known.
    """
    width, depth, gaussians = 128, 5, 32
    published = {
        "embedding.embedding": 119 * width,
        "embedding.linear": (width + 14 + 4) * width + width,
        "edges": gaussians * width + width,
        "output": width + 1,
    }
    for block in range(depth):
        messages = (3 * width) * width + width + 4 * (width * width + width)
        published[f"blocks.{block}"] = messages + width * width + width
    assert sum(published.values()) == 697_601
    published["embedding.linear"] -= (14 + 4 - 2 * 5) * width

    network = COGNConfig().build(1)
    found = {
        name: sum(value.numel() for value in network.get_submodule(name).parameters())
        for name in published
    }
    assert found == published
    assert sum(map(torch.numel, network.parameters())) == sum(published.values())


def test_distances_are_gaussians_as_published():
    # mu from 0.25 to 8 angstrom, variance their spacing: GaussBasisExpansion.from_bounds
    basis = COGNConfig().build(1).basis
    centers = np.arange(1, 33) * 0.25
    distances = np.array([0.7, 2.0, 3.1, 9.0])
    expected = np.exp(-((distances[:, None] - centers) ** 2) / (2 * 0.25))
    found = basis(torch.from_numpy(distances).float()).numpy()
    assert found == pytest.approx(expected, abs=1e-6)


def test_first_weights_are_those_of_keras():
    network = COGNConfig().build(1)
    for name, value in network.named_parameters():
        if name.endswith("bias"):
            assert not value.any(), name
        elif "embedding.embedding" in name:
            assert value.abs().max().item() == pytest.approx(0.05, rel=0.01)
        else:  # uniform to sqrt(6 / (n_in + n_out)), Glorot & Bengio 2010
            bound = np.sqrt(6 / sum(value.shape))
            assert value.abs().max().item() == pytest.approx(bound, rel=0.1), name


def test_graphs_have_24_neighbours_and_whole_shells():
    graph = COGNConfig().default_graph()
    assert (graph.strategy, graph.n_neighbors) == ("knn_shell", 24)


@pytest.mark.usefixtures("double")
def test_a_loop_over_edges_gives_the_same(batch_of):
    network = COGNConfig(width=6, n_blocks=2, n_message_layers=3).build(2)
    crystals = draw_crystals((1, 3, 4), seed=2)
    batch = batch_of(crystals, COGNConfig().default_graph())
    batch.edge_vector = batch.edge_vector.double()
    with torch.no_grad():
        for value in network.parameters():
            value.add_(torch.randn_like(value) * 0.1)
        expected = by_loops(network, batch)
        found = network(batch)
    assert torch.allclose(found, expected, rtol=0, atol=1e-12)
    assert torch.equal(network(batch), found)  # with gradients, too


def by_loops(network, batch):
    """Concatenate edge, receiver and sender for each edge, as the published code does."""
    centers = network.basis.centers
    known = network.embedding.known.table
    atoms = [
        network.embedding.linear(
            torch.cat((network.embedding.embedding.weight[n], known[n]))
        )
        for n in batch.atomic_numbers
    ]
    for block in network.blocks:
        received = [torch.zeros(6) for _ in atoms]
        for (sender, receiver), vector in zip(
            batch.edge_index.T, batch.edge_vector, strict=True
        ):
            gaussians = torch.exp(-((vector.norm() - centers) ** 2) / (2 * 0.25))
            edge = network.edges(gaussians)
            message = torch.cat((edge, atoms[receiver], atoms[sender]))
            for layer in block.phi_e:
                message = silu(layer(message))
            received[receiver] += message
        atoms = [
            atom + silu(block.phi_v(total))
            for atom, total in zip(atoms, received, strict=True)
        ]
    rows = torch.stack(atoms)
    means = [rows[batch.batch == graph].mean(0) for graph in range(len(batch.ptr) - 1)]
    return network.output(torch.stack(means))
