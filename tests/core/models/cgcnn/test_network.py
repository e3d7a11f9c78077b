"""CGCNN against the formula of the paper."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from crystalgnn_core.graphs.config import GraphConfig
from crystalgnn_core.models.adjacency import Adjacency
from crystalgnn_core.models.cgcnn import network as cgcnn
from crystalgnn_core.models.cgcnn.config import CGCNNConfig
from crystalgnn_core.models.cgcnn.network import GatedConvolution


def restated(layer, atoms, edges, edge_index, n_atoms):
    """Eq. 5 of Phys. Rev. Lett. 120, 145301 (2018), with z as one concatenated row."""
    neighbor, center = edge_index
    z = torch.cat([atoms[center], atoms[neighbor], edges], dim=1)
    gate, core = layer.bn1(layer.fc_full(z)).chunk(2, dim=1)
    message = torch.sigmoid(gate) * functional.softplus(core)
    total = torch.zeros(n_atoms, atoms.shape[1], dtype=atoms.dtype)
    total = total.index_add(0, center, message)
    return functional.softplus(atoms + layer.bn2(total))


@pytest.mark.parametrize("is_fused", [True, False])
@pytest.mark.parametrize("is_training", [True, False])
def test_split_product_equals_the_concatenation_of_the_paper(
    crystals, batch_of, is_training, is_fused, monkeypatch
):
    monkeypatch.setattr(cgcnn, "runs_fused", lambda *_: is_fused)
    batch = batch_of(crystals)
    layer = GatedConvolution(5, 7).double().train(is_training)
    atoms = torch.randn(batch.num_nodes, 5, dtype=torch.float64, requires_grad=True)
    edges = torch.randn(batch.num_edges, 7, dtype=torch.float64, requires_grad=True)
    inputs = [atoms, edges, *layer.parameters()]
    weights = torch.randn(batch.num_nodes, 5, dtype=torch.float64)
    adjacency = Adjacency.of(batch.edge_index[0], batch.degree, batch.ptr)
    split = layer(atoms, edges, adjacency)
    whole = restated(layer, atoms, edges, batch.edge_index, batch.num_nodes)
    assert torch.allclose(split, whole, rtol=0, atol=1e-10)
    gradients = torch.autograd.grad((split * weights).sum(), inputs)
    expected = torch.autograd.grad((whole * weights).sum(), inputs)
    for got, want in zip(gradients, expected, strict=True):
        assert torch.allclose(got, want, rtol=0, atol=1e-10)


def test_atom_without_neighbours_is_predicted_in_evaluation(crystals, batch_of):
    far = crystals[0]._replace(lattice=np.eye(3) * 30)
    network = CGCNNConfig(atom_width=8, hidden_width=8).build(1).eval()
    batch = batch_of([far, crystals[1]], GraphConfig(too_few="keep"))
    assert batch.degree[0] == 0
    with torch.no_grad():
        assert network(batch).isfinite().all()


def test_basis_without_width_is_refused():
    with pytest.raises(ValueError, match="basis_stop"):
        CGCNNConfig(basis_start=5.0, basis_stop=4.0)
