"""The output layer is fitted to labels in closed form, the body left as it is."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.model_selection import LeaveOneOut, cross_val_predict

from crystalgnn_core.graphs.build import build_dataset
from crystalgnn_core.learning.adaptation.heads import refit_output
from crystalgnn_core.learning.fitting import predict_columns, predict_dataset
from crystalgnn_core.learning.scaling import TargetScaler
from crystalgnn_core.models.base import CompositionJoinConfig
from crystalgnn_core.models.cgcnn.config import CGCNNConfig
from crystalgnn_core.models.joined import create_network
from crystalgnn_core.models.megnet.config import MEGNetConfig
from crystalgnn_core.models.network import output_layer
from crystalgnn_core.models.schnet.config import SchNetConfig
from crystalgnn_core.sources.ingest.run import read_source
from crystalgnn_core.sources.synthetic.source import SyntheticSource

ENERGY, GAP = "formation_energy_per_atom", "band_gap"
SCHNET = SchNetConfig(atom_width=8, filter_width=8, n_interactions=1)
CGCNN = CGCNNConfig(atom_width=8, hidden_width=8, n_convolutions=1)
CONFIGS = {
    "cgcnn": CGCNN,
    "joined": CGCNN.model_copy(
        update={"composition": CompositionJoinConfig(width=8, n_features=8)}
    ),
    "megnet": MEGNetConfig(
        embedding_width=4, width=8, hidden_width=8, n_blocks=1, query_width=4
    ),
    "schnet, mean": SCHNET,
    "schnet, sum": SCHNET.model_copy(update={"readout": "sum"}),
}
ONE = TargetScaler(targets=(ENERGY,), mean=(0.0,), std=(1.0,))


@pytest.fixture(scope="module")
def crystals():
    source = SyntheticSource(n_structures=40)
    return [record.crystal for record in read_source(source)]


@pytest.fixture(params=CONFIGS)
def config(request):
    return CONFIGS[request.param]


def made(config, crystals, n_outputs=1, seed=0):
    """A fresh network, and the graphs that it expects."""
    torch.manual_seed(seed)
    network = create_network(config, n_outputs).eval()
    return network, build_dataset(crystals, config.default_graph())[0]


def error(network, dataset, labels, scaler=ONE):
    return np.abs(predict_dataset(network, dataset, scaler) - labels).mean()


def test_labels_on_another_scale_are_reached_by_a_line(config, crystals):
    network, dataset = made(config, crystals)
    before = predict_dataset(network, dataset, ONE)
    n_atoms = np.array([[len(one.atomic_numbers)] for one in crystals])
    # a network that sums over atoms adds its bias once an atom, and nothing else
    shift = n_atoms if config.kind == "schnet" and config.readout == "sum" else 1.0
    labels = -3.0 * before + 2.0 * shift
    refit_output(network, dataset, ONE, labels, {0})
    assert error(network, dataset, labels) < 1e-3 * np.abs(labels).mean()


def test_a_new_target_that_the_body_knows_is_found(config, crystals):
    network, dataset = made(config, crystals)
    with torch.no_grad():
        output_layer(network).weight.mul_(5.0)  # far from what rounding makes
    labels = predict_dataset(network, dataset, ONE)
    with torch.no_grad():
        output_layer(network).weight.normal_()
        output_layer(network).bias.normal_()
    body = {n: v.clone() for n, v in network.state_dict().items()}
    refit_output(network, dataset, ONE, labels, set())
    assert error(network, dataset, labels) < 0.05 * np.abs(labels - labels.mean()).mean()
    layer = output_layer(network)
    for name, value in network.state_dict().items():
        is_output = value.shape in {layer.weight.shape, layer.bias.shape}
        assert is_output or torch.equal(value, body[name])


def test_wrong_labels_among_the_rows_do_not_move_the_line(crystals):
    network, dataset = made(CGCNN, crystals)
    labels = predict_dataset(network, dataset, ONE)
    right = np.delete(np.arange(len(labels)), np.s_[::10])
    labels[::10] += 50.0 * np.ptp(labels)
    refit_output(network, dataset, ONE, labels, {0})
    off = np.abs(predict_dataset(network, dataset, ONE) - labels)[right].mean()
    assert off < 0.5 * np.abs(labels.mean() - labels[right]).mean()


def test_noise_leaves_the_row_as_it_was_but_for_a_line(crystals):
    network, dataset = made(CGCNN, crystals[:12])
    before = output_layer(network).weight.detach().clone()
    labels = predict_dataset(network, dataset, ONE)
    labels += 1e-9 * np.random.default_rng(1).normal(size=labels.shape)
    refit_output(network, dataset, ONE, labels, {0})
    after = output_layer(network).weight.detach()
    cosine = torch.nn.functional.cosine_similarity(before, after)
    assert cosine.item() == pytest.approx(1.0, abs=1e-4)


def test_the_penalty_has_the_lowest_error_of_left_out_rows(crystals):
    """Against scikit-learn's ridge regression, every row left out in turn."""
    from crystalgnn_core.learning.adaptation import heads

    generator = np.random.default_rng(0)
    features = generator.normal(size=(25, 10)) * generator.uniform(0.1, 9.0, 10)
    labels = features @ generator.normal(size=10) * 0.2 + generator.normal(size=25)
    scaled = features / features.std(axis=0)
    errors = [
        np.abs(
            cross_val_predict(Ridge(alpha=alpha), scaled, labels, cv=LeaveOneOut()) - labels
        ).mean()
        for alpha in heads.PENALTIES
    ]
    best = Ridge(alpha=heads.PENALTIES[int(np.argmin(errors))]).fit(scaled, labels)
    fitted = heads._fit_ridge(features, np.ones(25), labels)
    assert fitted is not None
    weight, bias = fitted
    expected = best.predict(scaled)
    assert features @ weight + bias == pytest.approx(expected, abs=0.05)


def test_a_maximum_over_atoms_is_left_as_it_is(crystals):
    config = SCHNET.model_copy(update={"readout": "max"})
    network, dataset = made(config, crystals)
    labels = 2.0 * predict_dataset(network, dataset, ONE)
    before = output_layer(network).weight.detach().clone()
    refit_output(network, dataset, ONE, labels, {0})
    assert torch.equal(output_layer(network).weight, before)


def test_missing_labels_and_logits_are_fitted_from_what_is_there(crystals):
    network, dataset = made(CGCNN, crystals)
    energies = predict_dataset(network, dataset, ONE)[:, 0]
    gaps = np.maximum(energies - np.median(energies), 0.0)
    labels = np.column_stack([energies, gaps])
    network, _ = made(CGCNN, crystals, n_outputs=3)
    labels[::3, 0] = np.nan
    scaler = TargetScaler.fit((ENERGY, GAP), labels, hurdle=(GAP,))
    refit_output(network, dataset, scaler, labels, {0, 1})
    found = predict_columns(network, dataset, scaler)
    right = (found[GAP] > 0) == (labels[:, 1] > 0)
    assert right.mean() > 0.7
    known = np.isfinite(labels[:, 0])
    assert found[ENERGY][known] == pytest.approx(labels[known, 0], abs=0.01)
