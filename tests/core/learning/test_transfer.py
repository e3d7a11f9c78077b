"""Every network's outputs can be moved to another scale, and its layers be found."""

import numpy as np
import pytest
import torch

from crystalgnn_core.graphs.build import build_dataset
from crystalgnn_core.learning.fitting import predict_dataset
from crystalgnn_core.learning.scaling import TargetScaler
from crystalgnn_core.learning.transfer import freeze, transfer, transferred_scaler
from crystalgnn_core.models.alignn.config import ALIGNNConfig
from crystalgnn_core.models.cgcnn.config import CGCNNConfig
from crystalgnn_core.models.cogn.config import COGNConfig
from crystalgnn_core.models.megnet.config import MEGNetConfig
from crystalgnn_core.models.network import layer_names_of, output_layer
from crystalgnn_core.models.schnet.config import SchNetConfig
from crystalgnn_core.sources.ingest.run import read_source
from crystalgnn_core.sources.synthetic.source import SyntheticSource

ENERGY, GAP, BULK = "formation_energy_per_atom", "band_gap", "bulk_modulus"
CONFIGS = {
    "cgcnn": CGCNNConfig(atom_width=8, hidden_width=8, n_convolutions=1),
    "alignn": ALIGNNConfig(
        hidden_width=8, embedding_width=8, n_line_convolutions=1, n_convolutions=1
    ),
    "megnet": MEGNetConfig(
        embedding_width=4, width=8, hidden_width=8, n_blocks=1, query_width=4
    ),
    "cogn": COGNConfig(width=8, n_blocks=1),
    "schnet, mean": SchNetConfig(atom_width=8, filter_width=8, n_interactions=1),
    "schnet, sum": SchNetConfig(
        atom_width=8, filter_width=8, n_interactions=1, readout="sum"
    ),
}
AFTER_POOLING = {
    "cgcnn": ("conv_to_fc", "fcs"),
    "alignn": (),
    "megnet": ("output",),
    "cogn": (),
    "schnet": ("lin1",),
}
OLD = TargetScaler(targets=(GAP, BULK), mean=(2.0, 1.9), std=(0.5, 0.2))
NEW = (ENERGY, BULK, GAP)


@pytest.fixture(scope="module")
def crystals():
    source = SyntheticSource(n_structures=12)
    return [record.crystal for record in read_source(source)]


@pytest.fixture(params=CONFIGS)
def config(request):
    torch.manual_seed(0)
    return CONFIGS[request.param]


@pytest.fixture
def network(config):
    return config.build(2).eval()


def labels():
    generator = np.random.default_rng(0)
    found = generator.uniform(0.5, 9.0, (50, 3))
    found[::7, 1] = np.nan
    return found


@pytest.mark.parametrize("kind", ["refit", "keep"])
def test_predictions_in_units_are_kept(config, network, crystals, kind):
    dataset, refused = build_dataset(crystals, config.default_graph())
    assert not refused
    before = {name: value.clone() for name, value in network.state_dict().items()}
    scaler = transferred_scaler(network, OLD, NEW, labels(), kind=kind)
    made = transfer(network, OLD, config, scaler).eval()
    expected = predict_dataset(network, dataset, OLD)
    found = predict_dataset(made, dataset, scaler)
    assert found.shape == (12, 3)
    assert found[:, 2] == pytest.approx(expected[:, 0], abs=1e-5)
    assert found[:, 1] == pytest.approx(expected[:, 1], rel=1e-5)  # of a logarithm
    after = network.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_the_scale_is_that_of_the_labels_or_that_of_the_base(network):
    refitted = transferred_scaler(network, OLD, NEW, labels(), kind="refit")
    kept = transferred_scaler(network, OLD, NEW, labels(), kind="keep")
    fitted = TargetScaler.fit(NEW, labels())
    assert refitted.std == fitted.std
    assert (kept.mean[2], kept.std[2]) == (2.0, 0.5)
    assert (kept.mean[1], kept.std[1]) == (1.9, 0.2)
    assert kept.mean[0] == refitted.mean[0] == fitted.mean[0]
    # the bias of a sum over atoms is added once an atom: no row can make up for a mean
    is_sum = layer_names_of(network).sums_atoms
    assert (refitted.mean[1:] == fitted.mean[1:]) == (not is_sum)


def test_layers_are_what_they_are_called(network):
    names = layer_names_of(network)
    layer = output_layer(network)
    assert layer.out_features == 2
    assert list(network.parameters())[-1] is layer.bias
    embedding = network.get_submodule(names.embedding)
    assert next(network.parameters()) is next(embedding.parameters())


@pytest.mark.parametrize("kind", ["none", "embedding", "convolutions", "all_but_head"])
def test_what_is_frozen_does_not_learn(config, network, kind):
    freeze(network, kind)
    frozen = {name for name, value in network.named_parameters() if not value.requires_grad}
    names = {name for name, _ in network.named_parameters()}
    layers = layer_names_of(network)
    expected = {
        "none": set(),
        "embedding": {n for n in names if n.startswith(f"{layers.embedding}.")},
        "convolutions": {
            n
            for n in names
            if not n.startswith((f"{layers.output}.", *AFTER_POOLING[config.kind]))
        },
        "all_but_head": {n for n in names if not n.startswith(f"{layers.output}.")},
    }[kind]
    assert frozen == expected
    assert bool(frozen) == (kind != "none")


@pytest.mark.parametrize("kind", ["refit", "keep"])
def test_a_target_that_was_not_transformed_stays_so(kind):
    network = CGCNNConfig(atom_width=4, hidden_width=4).build(1)
    old = TargetScaler(
        targets=("bulk_modulus",), mean=(90.0,), std=(40.0,), linear=("bulk_modulus",)
    )
    labels = np.array([[50.0], [100.0], [210.0]])
    new = transferred_scaler(network, old, ("bulk_modulus",), labels, kind=kind)
    assert new.linear == ("bulk_modulus",)
    made = transfer(network, old, CGCNNConfig(atom_width=4, hidden_width=4), new)
    hidden = torch.randn(5, 4)
    with torch.no_grad():
        before = old.unscale(output_layer(network)(hidden).double().numpy())
        after = new.unscale(output_layer(made)(hidden).double().numpy())
    assert after == pytest.approx(before, rel=1e-5)
    assert new.scale(labels)[:, 0] == pytest.approx(
        (labels[:, 0] - new.mean[0]) / new.std[0]
    )
