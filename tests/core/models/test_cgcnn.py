"""CGCNN against the paper's formula and the authors' published weights."""

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure
from torch.nn import functional

from crystalgnn_core.graphs.config import GraphConfig
from crystalgnn_core.models.cgcnn import GatedConvolution
from crystalgnn_core.models.config import CGCNNConfig
from crystalgnn_core.records.crystal import crystal_from_structure


def published_weights(name):
    """Return a file of the authors' repository, or skip where there is none."""
    folder = Path(__file__).parents[4] / "shared" / "pretrained" / "cgcnn"
    path = folder / f"{name}.pth.tar"
    if not path.is_file():
        pytest.skip(f"published weights are not at hand: {name}.pth.tar")
    return path


def load_published(name):
    """Load weights and label scale; the file holds NumPy numbers beside the tensors."""
    scalar = import_module("numpy._core.multiarray").scalar
    numbers = [np.dtype, scalar, type(np.dtype("float64"))]
    with torch.serialization.safe_globals(numbers):
        content = torch.load(published_weights(name), weights_only=True, map_location="cpu")
    sizes = content["args"]
    config = CGCNNConfig(
        atom_width=sizes["atom_fea_len"],
        n_convolutions=sizes["n_conv"],
        hidden_width=sizes["h_fea_len"],
        n_hidden=sizes["n_h"],
    )
    network = config.build(1)
    network.load_state_dict(content["state_dict"])
    scale = content["normalizer"]
    return network.eval(), float(scale["mean"]), float(scale["std"])


def primitive(space_group, a, species, coords):
    conventional = Structure.from_spacegroup(space_group, Lattice.cubic(a), species, coords)
    return crystal_from_structure(conventional.get_primitive_structure())


ORIGIN, QUARTER, HALF = [0, 0, 0], [0.25] * 3, [0.5] * 3


@pytest.mark.parametrize(
    ("weights", "structure", "expected"),
    [
        (
            "formation-energy-per-atom",
            ("Fm-3m", 4.21, ["Mg", "O"], [ORIGIN, HALF]),
            -3.06565,
        ),
        (
            "formation-energy-per-atom",
            ("F-43m", 5.653, ["Ga", "As"], [ORIGIN, QUARTER]),
            -0.29157,
        ),
        ("band-gap", ("Fm-3m", 5.64, ["Na", "Cl"], [ORIGIN, HALF]), 4.78101),
    ],
)
def test_published_weights_give_the_numbers_of_the_authors_code(
    weights, structure, expected, batch_of
):
    # expected: the code of github.com/txie-93/cgcnn with the same weights and cells
    network, mean, std = load_published(weights)
    batch = batch_of([primitive(*structure)], GraphConfig(strategy="knn"))
    with torch.no_grad():
        value = network(batch).item() * std + mean
    assert value == pytest.approx(expected, abs=1e-4)


def restated(layer, atoms, edges, edge_index, n_atoms):
    """Eq. 5 of Phys. Rev. Lett. 120, 145301 (2018), with z as one concatenated row."""
    neighbor, center = edge_index
    z = torch.cat([atoms[center], atoms[neighbor], edges], dim=1)
    gate, core = layer.bn1(layer.fc_full(z)).chunk(2, dim=1)
    message = torch.sigmoid(gate) * functional.softplus(core)
    total = torch.zeros(n_atoms, atoms.shape[1], dtype=atoms.dtype)
    total = total.index_add(0, center, message)
    return functional.softplus(atoms + layer.bn2(total))


@pytest.mark.parametrize("is_training", [True, False])
def test_split_product_equals_the_concatenation_of_the_paper(
    crystals, batch_of, is_training
):
    batch = batch_of(crystals)
    layer = GatedConvolution(5, 7).double().train(is_training)
    atoms = torch.randn(batch.num_nodes, 5, dtype=torch.float64, requires_grad=True)
    edges = torch.randn(batch.num_edges, 7, dtype=torch.float64, requires_grad=True)
    inputs = [atoms, edges, *layer.parameters()]
    weights = torch.randn(batch.num_nodes, 5, dtype=torch.float64)
    split = layer(atoms, edges, batch.edge_index[0], batch.degree)
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
