"""SchNet against PyG's on molecules, and its cutoff."""

import numpy as np
import pytest
import torch
from torch_geometric.nn import SchNet as Reference

from crystalgnn_core.graphs.config import GraphConfig
from crystalgnn_core.models.schnet.config import SchNetConfig
from crystalgnn_core.records.crystal import Crystal

CUTOFF, BOX = 4.0, 60.0  # angstrom
GRAPH = GraphConfig(strategy="radius", cutoff=CUTOFF, too_few="keep")


def molecules():
    """Water, methane and a random cluster, each in a large box; positions in angstrom."""
    generator = np.random.default_rng(1)
    water = ([8, 1, 1], [[0, 0, 0], [0.76, 0.59, 0], [-0.76, 0.59, 0]])
    corners = 0.63 * np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    methane = ([6, 1, 1, 1, 1], [[0, 0, 0], *corners.tolist()])
    cluster = (generator.integers(1, 90, 12), generator.uniform(0, 7, (12, 3)))
    return [
        Crystal(
            np.array(numbers, np.int16), np.eye(3) * BOX, np.array(positions) / BOX + 0.4
        )
        for numbers, positions in (water, methane, cluster)
    ]


def reference_graph(positions, batch):
    """All pairs of a molecule within the cutoff, as radius_graph of torch-cluster."""
    distance = torch.cdist(positions, positions)
    is_edge = (distance <= CUTOFF) & (batch[:, None] == batch[None])
    edges = (is_edge & ~torch.eye(len(batch), dtype=torch.bool)).nonzero().T
    return edges, (positions[edges[0]] - positions[edges[1]]).norm(dim=-1)


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize(("readout", "name"), [("sum", "add"), ("mean", "mean")])
def test_equal_weights_give_the_numbers_and_gradients_of_pyg(batch_of, readout, name):
    reference = Reference(
        hidden_channels=24,
        num_filters=20,
        num_interactions=3,
        num_gaussians=15,
        cutoff=CUTOFF,
        interaction_graph=reference_graph,
        readout=name,
    ).double()
    config = SchNetConfig(
        atom_width=24,
        filter_width=20,
        n_interactions=3,
        n_gaussians=15,
        cutoff=CUTOFF,
        readout=readout,
    )
    network = config.build(1).double()
    weights = {k: v for k, v in reference.state_dict().items() if ".conv.nn." not in k}
    del weights["distance_expansion.offset"]
    network.load_state_dict(weights)

    crystals = molecules()
    batch = batch_of(crystals, GRAPH)
    positions = np.concatenate([c.frac_coords @ c.lattice for c in crystals])
    batch.edge_vector = vectors(positions, batch)
    ours = network(batch)
    theirs = reference(
        batch.atomic_numbers, torch.from_numpy(positions), batch.batch
    ).reshape(-1, 1)
    assert torch.allclose(ours, theirs, rtol=0, atol=1e-10)
    ours.square().sum().backward()
    theirs.square().sum().backward()
    expected = dict(reference.named_parameters())
    for parameter_name, parameter in network.named_parameters():
        other = expected[parameter_name].grad
        assert parameter.grad is not None
        assert other is not None
        assert torch.allclose(parameter.grad, other, rtol=1e-8, atol=1e-8), parameter_name


def vectors(positions, batch):
    """Edge vectors in double precision; stored graphs have single precision."""
    neighbor, center = batch.edge_index.numpy()
    return torch.from_numpy(positions[neighbor] - positions[center])
