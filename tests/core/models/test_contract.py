"""What every model must do; a new model is one more entry in CONFIGS."""

from typing import Literal, get_args, get_origin

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from torch import nn

from crystalgnn_core.base import FrozenModel
from crystalgnn_core.graphs.build import build_dataset
from crystalgnn_core.graphs.config import GraphConfig
from crystalgnn_core.learning.checkpoints import load_bundle, write_bundle
from crystalgnn_core.learning.config import TrainingConfig
from crystalgnn_core.learning.fitting import LabelledGraphs, fit
from crystalgnn_core.learning.resume import CheckpointFolder
from crystalgnn_core.models import ModelConfig
from crystalgnn_core.models.alignn.config import ALIGNNConfig
from crystalgnn_core.models.cgcnn.config import CGCNNConfig
from crystalgnn_core.models.composition.config import (
    CompositionMLPConfig,
    CompositionTreesConfig,
)
from crystalgnn_core.models.cpu.parallel import Parallel, split_batch
from crystalgnn_core.models.inference import for_inference
from crystalgnn_core.models.megnet.config import MEGNetConfig
from crystalgnn_core.models.schnet.config import SchNetConfig
from crystalgnn_core.records.crystal import Crystal

BASES = (
    CGCNNConfig(
        atom_width=16, hidden_width=16, n_convolutions=2, n_hidden=2, query_width=7
    ),
    ALIGNNConfig(
        hidden_width=16,
        embedding_width=12,
        n_line_convolutions=2,
        n_convolutions=2,
        query_width=7,
    ),
    MEGNetConfig(embedding_width=6, width=12, hidden_width=16, n_blocks=2, query_width=7),
    SchNetConfig(atom_width=16, filter_width=12, n_interactions=2),
    CompositionMLPConfig(widths=(32, 16)),
    CompositionTreesConfig(n_trees=100, min_leaf_rows=1),
)
# atomic masses are known of every element that the suite draws
PROPERTIES = ("electronegativity", "ionic_radius", "oxidation_state", "atomic_mass")
CHOICES = {
    "cgcnn": (
        {"node_features": "embedding", "readout": "max"},
        {"node_features": PROPERTIES, "readout": "set2set"},
        {"n_gaussians": 20, "basis_step": 8 / 19, "gaussian_width": 0.5, "readout": "sum"},
    ),
    "alignn": (
        {"n_line_convolutions": 1, "n_convolutions": 1, "normalization": "layer"},
        {"node_features": "embedding", "readout": "set2set", "n_line_convolutions": 1},
        {"node_features": PROPERTIES, "readout": "max", "n_convolutions": 1},
        {"distance_width": 0.4, "readout": "sum", "n_line_convolutions": 1},
    ),
    "megnet": (
        {"node_features": "table", "readout": "mean"},
        {"node_features": PROPERTIES, "readout": "sum"},
    ),
    "schnet": (
        {"node_features": "table", "readout": "max", "gaussian_width": 0.3},
        {"node_features": PROPERTIES, "readout": "sum", "basis_stop": 4.0},
    ),
}


def named_configs():
    for base in BASES:
        yield base.kind, base
        for change in CHOICES.get(base.kind, ()):
            words = (f"{value:.20}" for value in map(str, change.values()))
            yield f"{base.kind}, {', '.join(words)}", base.model_copy(update=change)


def readout_of(config):
    """Return the readout of a network; models of the composition have none."""
    return getattr(config, "readout", None)


CONFIGS = dict(named_configs())
EXAMPLES = settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
SEED = st.integers(0, 10**6)


@pytest.fixture(params=CONFIGS, autouse=True)
def config(request):
    return CONFIGS[request.param]


def test_every_model_of_the_union_is_tested():
    union, _ = get_args(ModelConfig)  # inside Annotated, as its members are
    members = {get_args(member)[0] for member in get_args(union)}
    assert {type(config) for config in CONFIGS.values()} == members


def test_every_readout_and_kind_of_features_is_tested(config):
    if readout_of(config) is None:
        pytest.skip("models of the composition have neither")
    mine = [other for other in CONFIGS.values() if other.kind == config.kind]
    annotation = type(config).model_fields["readout"].annotation
    assert get_origin(annotation) is Literal
    assert {other.readout for other in mine} == set(get_args(annotation))
    kinds = {other.node_features for other in mine}
    assert kinds == {"table", "embedding", PROPERTIES}


NETWORKS: dict[FrozenModel, nn.Module] = {}  # by configuration; no test changes them


@pytest.fixture
def network(config, crystals, batch_of):
    """A network whose normalisation layers have seen the crystals."""
    if config not in NETWORKS:
        network, batch = config.build(2), batch_of(crystals)
        if has_gradients(network):
            with torch.no_grad():
                for _ in range(20):
                    network(batch)
        else:
            network.fit(batch, np.stack([LABELS, LABELS**2], 1))
        NETWORKS[config] = network.eval()
    return NETWORKS[config]


LABELS = np.linspace(-1, 1, 8)


def has_gradients(network):
    """Say whether a model is trained by gradients; one without parameters is fitted."""
    return any(True for _ in network.parameters())


@pytest.fixture
def trainable(config):
    """A fresh network; models that are fitted whole have no gradients to be tested."""
    network = config.build(2)
    if not has_gradients(network):
        pytest.skip(f"{config.kind} is fitted whole and has no parameters")
    return network


def predict(network, crystals, graph=None):
    dataset, refused = build_dataset(crystals, graph or GraphConfig())
    assert not refused
    with torch.no_grad():
        return network(dataset.batch(np.arange(len(crystals)))).numpy()


def draw_crystal(seed):
    """Make a cell of 1 to 6 atoms in which no distance lies at the edge of a shell."""
    generator = np.random.default_rng(seed)
    size = int(generator.integers(1, 7))
    lattice = np.eye(3) * 3.4 * np.cbrt(size) + generator.normal(size=(3, 3)) * 0.5
    numbers = generator.integers(1, 90, size).astype(np.int16)
    return Crystal(numbers, lattice, generator.uniform(-1, 2, (size, 3))), generator


def rotated(crystal, generator):
    rotation = Rotation.random(rng=generator).as_matrix()
    return crystal._replace(lattice=crystal.lattice @ rotation)


def translated(crystal, generator):
    return crystal._replace(frac_coords=crystal.frac_coords + generator.uniform(-2, 2, 3))


def reordered(crystal, generator):
    order = generator.permutation(len(crystal.atomic_numbers))
    numbers, coords = crystal.atomic_numbers[order], crystal.frac_coords[order]
    return crystal._replace(atomic_numbers=numbers, frac_coords=coords)


def in_other_cell(crystal, generator):
    matrix = np.eye(3)
    for _ in range(4):
        row, other = generator.choice(3, 2, replace=False)
        matrix[row] += generator.choice([-1, 1]) * matrix[other]
    return crystal._replace(
        lattice=matrix @ crystal.lattice,
        frac_coords=crystal.frac_coords @ np.linalg.inv(matrix),
    )


def repeated(crystal, generator):
    n = np.ones(3)
    n[generator.integers(3)] = generator.integers(2, 4)
    cells = np.stack(np.meshgrid(*map(np.arange, n)), axis=-1).reshape(-1, 3)
    coords = (crystal.frac_coords[:, None] + cells[None]).reshape(-1, 3) / n
    numbers = np.repeat(crystal.atomic_numbers, len(cells))
    return Crystal(numbers, crystal.lattice * n[:, None], coords)


CHANGES = (rotated, translated, reordered, in_other_cell, repeated)


@pytest.mark.parametrize("change", CHANGES)
@EXAMPLES
@given(seed=SEED)
def test_prediction_does_not_depend_on_the_description(network, config, change, seed):
    if change is repeated and readout_of(config) == "sum":
        pytest.skip("a sum grows with the cell; how is tested below")
    crystal, generator = draw_crystal(seed)
    before, after = predict(network, [crystal, change(crystal, generator)])
    # single precision, values near 1; a sum of atoms is as many times larger
    scale = len(crystal.atomic_numbers) if readout_of(config) == "sum" else 1
    assert after == pytest.approx(before, abs=1e-5 * scale)


SUMS = [name for name, config in CONFIGS.items() if readout_of(config) == "sum"]


@pytest.mark.parametrize("config", SUMS, indirect=True)
@pytest.mark.parametrize("seed", range(4))
def test_a_sum_grows_with_the_cell(config, network, seed):
    crystal, generator = draw_crystal(seed)
    larger = repeated(crystal, generator)
    n_cells = len(larger.atomic_numbers) / len(crystal.atomic_numbers)
    found = []
    read = network.read_atoms if config.kind == "megnet" else network.readout
    handle = read.register_forward_hook(lambda *args: found.append(args[-1]))
    predict(network, [crystal, larger])
    handle.remove()
    one, many = found[0].numpy()
    assert many == pytest.approx(one * n_cells, rel=1e-4, abs=1e-4)


def test_prediction_depends_on_elements_and_on_the_geometry_that_it_sees(network, config):
    crystal, _ = draw_crystal(3)
    strained = crystal._replace(lattice=crystal.lattice * 1.02)
    numbers = np.where(crystal.atomic_numbers > 40, 3, 80).astype(np.int16)
    values = predict(network, [crystal, strained, crystal._replace(atomic_numbers=numbers)])
    by_strain, by_element = np.abs(values[1:] - values[0]).max(axis=1)
    # fresh weights hardly look at distances, but rounding is below 1e-6
    assert by_element > 1e-5
    if config.default_graph().strategy == "none":
        assert by_strain == 0.0
    else:
        assert by_strain > 1e-5


def test_batch_equals_single(network, crystals):
    together = predict(network, crystals)
    alone = np.concatenate([predict(network, [crystal]) for crystal in crystals])
    assert together == pytest.approx(alone, abs=1e-5)
    assert together.shape == (8, 2)


def test_single_atom_cell_is_predicted(network):
    cubic = Crystal(np.array([84], np.int16), np.eye(3) * 3.35, np.zeros((1, 3)))
    assert np.isfinite(predict(network, [cubic])).all()


SPARSE = GraphConfig(strategy="radius", cutoff=4.0, too_few="keep")


def test_an_atom_alone_in_its_cell_is_predicted(network, crystals):
    def alone(number, length):
        numbers = np.array([number], np.int16)
        return Crystal(numbers, np.eye(3) * length, np.zeros((1, 3)))

    # no edge within 4 angstrom, so that the size of the cell does not count
    lone = [alone(11, 20.0), alone(11, 30.0), alone(12, 20.0)]
    sodium, wide, magnesium = predict(network, lone, SPARSE)
    assert np.isfinite(sodium).all()
    assert wide == pytest.approx(sodium, abs=1e-6)
    assert np.abs(magnesium - sodium).max() > 1e-5
    among_others = predict(network, [*crystals, lone[0]], SPARSE)[-1]
    assert among_others == pytest.approx(sodium, abs=1e-5)


def test_an_atom_without_edges_in_a_larger_crystal_counts(config, network):
    def crystal(number, x):
        cluster = [[1, 1, 1], [3.4, 1, 1], [1, 3.4, 1], [1, 1, 3.4]]
        positions = np.array([*cluster, [x, 9, 9]])
        numbers = np.array([8, 22, 38, 14, number], np.int16)
        return Crystal(numbers, np.eye(3) * 18, positions / 18)

    batch = [crystal(11, 9.0), crystal(11, 9.7), crystal(12, 9.0)]
    dataset, _ = build_dataset(batch, SPARSE)
    degrees = dataset.batch(np.arange(3)).degree.numpy().reshape(3, 5)
    assert (degrees[:, :4] > 0).all()
    assert (degrees[:, 4] == 0).all()
    here, there, other = predict(network, batch, SPARSE)
    assert np.isfinite(here).all()
    assert there == pytest.approx(here, abs=1e-5)  # no neighbour sees where it is
    # another atom may have the largest value of each feature
    if readout_of(config) != "max":
        assert np.abs(other - here).max() > 1e-5


def test_gradients_reach_every_parameter(trainable, crystals, batch_of):
    trainable(batch_of(crystals)).square().sum().backward()
    for name, parameter in trainable.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any() or has_no_influence(name), name


def has_no_influence(name):
    """Say whether a parameter of the published networks changes nothing by design.

    A batch normalisation takes the mean away, and with it any offset before it; the global
    state of MEGNet starts from zero, so that what it is multiplied by does not count.
    """
    if name == "inputs.0.state.0.weight":
        return True
    return name.endswith(("fc_full.bias", "layer.0.bias", "src_update.bias"))


def test_input_is_left_untouched(network, crystals, batch_of):
    batch = batch_of(crystals)
    before = {
        name: value.clone()
        for name, value in batch.to_dict().items()
        if name != "num_nodes"
    }
    network(batch)
    assert set(before) | {"num_nodes"} == set(batch.to_dict())
    assert all(torch.equal(batch[name], value) for name, value in before.items())


def test_eight_crystals_are_learned_by_heart(config, crystals, batch_of):
    network = config.build(1)
    batch = batch_of(crystals)
    labels = torch.from_numpy(LABELS).float().unsqueeze(1)
    if not has_gradients(network):
        network.fit(batch, labels.double().numpy())
        assert (network(batch) - labels).square().mean().item() < 1e-3
        return
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(150):
        loss = (network(batch) - labels).square().mean()
        if loss.item() < 1e-3:
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 1e-3


def test_a_reloaded_bundle_gives_the_same_numbers(
    network, config, crystals, card_of, tmp_path
):
    card = write_bundle(tmp_path, network, card_of(config))
    again, read = load_bundle(tmp_path)
    assert read == card
    assert read.model == config
    assert np.array_equal(predict(again, crystals), predict(network, crystals))


@pytest.mark.usefixtures("trainable")
def test_training_is_decided_by_the_seed(config, crystals, card_of, tmp_path):
    dataset, _ = build_dataset(crystals, GraphConfig())
    labels = np.random.default_rng(0).normal(size=(8, 2))
    rows = LabelledGraphs(dataset, labels, np.arange(6), np.arange(6, 8))
    states = []
    for index, seed in enumerate((1, 1, 2)):
        training = TrainingConfig(epochs=2, batch_size=2, seed=seed, device="cpu")
        torch.manual_seed(seed)
        network = config.build(2)
        checkpoints = CheckpointFolder(tmp_path / str(index))
        fit(network, rows, training, checkpoints, card_of(config), device="cpu")
        states.append(network.state_dict())
    first, again, other = states
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    assert any(not torch.equal(value, other[name]) for name, value in first.items())


@pytest.mark.usefixtures("trainable")
def test_seed_decides_the_weights(config, crystals):
    values = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        values.append(predict(config.build(1).eval(), crystals))
    assert np.array_equal(values[0], values[1])
    assert not np.array_equal(values[0], values[2])


def test_inference_form_predicts_the_same(network, config, crystals, batch_of):
    batch = batch_of(crystals)
    form = for_inference(network)
    is_graph_network = readout_of(config) is not None
    assert isinstance(form, Parallel) == is_graph_network
    with torch.no_grad():
        expected = network(batch)
    assert form(batch) == pytest.approx(expected, abs=5e-6)  # tables to 1e-6, a few of them
    if isinstance(form, Parallel):
        parts = [form.form(part) for part in split_batch(batch, 3)]
        assert torch.cat(parts) == pytest.approx(expected, abs=5e-6)


def test_weights_that_are_no_numbers_are_predicted_without_tables(
    trainable, crystals, batch_of
):
    with torch.no_grad():
        for parameter in trainable.parameters():
            parameter.fill_(float("nan"))
    form = for_inference(trainable)
    assert not isinstance(form, Parallel)
    assert form(batch_of(crystals)).isnan().all()


@pytest.mark.usefixtures("trainable")
def test_inference_form_is_made_of_the_weights_as_they_are(network, crystals, batch_of):
    batch = batch_of(crystals)
    before = for_inference(network)(batch)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05)
        after, expected = for_inference(network)(batch), network(batch)
    assert not torch.allclose(before, after)
    assert after == pytest.approx(expected, rel=1e-5, abs=2e-5)


def test_inference_form_has_no_gradient_and_evaluates(config, crystals, batch_of):
    form = for_inference(config.build(1).train())
    assert not form(batch_of(crystals)).requires_grad
    alone = form(batch_of(crystals[:1]))  # no statistics of the batch are used
    assert alone == pytest.approx(form(batch_of(crystals))[:1], abs=1e-5)
