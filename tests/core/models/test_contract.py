"""What every model must do; a new model is one more entry in CONFIGS."""

from typing import Literal, get_args, get_origin

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crystalgnn_core.contracts.network_fixtures import (
    DESCRIPTIONS,
    draw_crystal,
    eight,
    repeated,
)
from crystalgnn_core.contracts.networks import NetworkContract
from crystalgnn_core.graphs.config import GraphConfig
from crystalgnn_core.models.alignn.config import ALIGNNConfig
from crystalgnn_core.models.base import CompositionJoinConfig
from crystalgnn_core.models.cgcnn.config import CGCNNConfig
from crystalgnn_core.models.cogn.config import COGNConfig
from crystalgnn_core.models.composition.config import (
    CompositionGNNConfig,
    CompositionMLPConfig,
    CompositionTreesConfig,
)
from crystalgnn_core.models.cpu.parallel import Parallel
from crystalgnn_core.models.inference import for_inference
from crystalgnn_core.models.megnet.config import MEGNetConfig
from crystalgnn_core.models.potential.config import PotentialConfig
from crystalgnn_core.models.schnet.config import SchNetConfig
from crystalgnn_core.models.union import BuiltinModel

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
    COGNConfig(width=16, n_blocks=2, n_message_layers=3),
    CompositionGNNConfig(element_width=12, message_width=10, hidden_width=16),
    CompositionMLPConfig(widths=(32, 16)),
    CompositionTreesConfig(n_trees=100, min_leaf_rows=1),
)
# atomic masses are known of every element that the suite draws
PROPERTIES = ("electronegativity", "ionic_radius", "oxidation_state", "atomic_mass")
JOINED = {"composition": CompositionJoinConfig(width=16, n_features=12)}
FORMULA = {"composition": CompositionJoinConfig(width=14, n_features=12, reader="gnn")}
BALANCED = {
    "composition": FORMULA["composition"].model_copy(update={"charge_balance": True})
}
CHOICES = {
    "cgcnn": (
        {"node_features": "embedding", "readout": "max"},
        {"node_features": PROPERTIES, "readout": "set2set"},
        {"n_gaussians": 20, "basis_step": 8 / 19, "gaussian_width": 0.5, "readout": "sum"},
        JOINED,
        FORMULA,
        BALANCED,
    ),
    "composition_gnn": ({"charge_balance": True},),
    "composition_mlp": ({"charge_balance": True, "with_fractions": False},),
    "alignn": (
        {"n_line_convolutions": 1, "n_convolutions": 1, "normalization": "layer"},
        {"node_features": "embedding", "readout": "set2set", "n_line_convolutions": 1},
        {"node_features": PROPERTIES, "readout": "max", "n_convolutions": 1},
        {"distance_width": 0.4, "readout": "sum", "n_line_convolutions": 1},
        JOINED | {"n_line_convolutions": 1, "n_convolutions": 1},
        FORMULA | {"n_line_convolutions": 1, "n_convolutions": 1},
    ),
    "megnet": (
        {"node_features": "table", "readout": "mean"},
        {"node_features": PROPERTIES, "readout": "sum"},
        JOINED,
        FORMULA,
    ),
    "schnet": (
        {"node_features": "table", "readout": "max", "gaussian_width": 0.3},
        {"node_features": PROPERTIES, "readout": "sum", "basis_stop": 4.0},
        JOINED,
        FORMULA,
    ),
    "cogn": (
        {"node_features": "table", "readout": "max", "n_message_layers": 1},
        {"node_features": "embedding", "readout": "sum", "gaussian_width": 0.4},
        FORMULA,
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
GRAPH_NETWORKS = [name for name, config in CONFIGS.items() if readout_of(config)]
SUMS = [name for name, config in CONFIGS.items() if readout_of(config) == "sum"]


def test_every_model_of_the_union_is_tested():
    elsewhere = {PotentialConfig}  # with a potential of the tests
    tested = {type(config) for config in CONFIGS.values()}
    assert tested | elsewhere == set(get_args(BuiltinModel))


@pytest.mark.parametrize("kind", [kind for kind in CHOICES if "composition" not in kind])
def test_every_readout_and_kind_of_features_is_tested(kind):
    mine = [config for config in CONFIGS.values() if config.kind == kind]
    annotation = type(mine[0]).model_fields["readout"].annotation
    assert get_origin(annotation) is Literal
    assert {config.readout for config in mine} == set(get_args(annotation))
    features = {config.node_features for config in mine}
    kinds = {"list" if isinstance(kind, tuple) else kind for kind in features}
    assert kinds == {"table", "embedding", "list"}


class TestOwnNetworks(NetworkContract):
    graph = GraphConfig()
    # a batch normalisation takes the mean away, and with it any offset before it; the
    # global state of MEGNet starts from zero, so that its factors do not count
    without_gradient = (
        "fc_full.bias",
        "layer.0.bias",
        "src_update.bias",
        "inputs.0.state.0.weight",
    )

    @pytest.fixture(autouse=True, params=CONFIGS)
    def _choose(self, request):
        self.config = CONFIGS[request.param]
        self.cutoff = getattr(self.config, "cutoff", None)
        if self.config.composition is not None:  # of which fresh weights say more
            self.least_effect = 2e-7  # of values near 1, beside rounding of 6e-8
        readout = readout_of(self.config)
        self.counts_lone_atoms = readout != "max"  # another atom may have each maximum
        if readout == "sum":  # it grows with the cell; how is tested below
            self.descriptions = tuple(c for c in DESCRIPTIONS if c is not repeated)
            self.tolerance = 6e-5  # values are as many times larger as there are atoms

    def test_only_graph_networks_have_a_fast_form(self):
        form = for_inference(self.network())
        assert isinstance(form, Parallel) == (readout_of(self.config) is not None)


def suite_of(name):
    """Return the suite of a configuration, for tests that not all networks need."""
    suite = TestOwnNetworks()
    suite.config = CONFIGS[name]
    suite.setup_method()
    return suite


DRAWN = (*CHOICES, "composition_gnn", "composition_mlp")


@pytest.mark.parametrize("name", DRAWN)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_prediction_does_not_depend_on_the_description(name, seed):
    suite, rng = suite_of(name), np.random.default_rng(seed)
    crystal = draw_crystal(rng)
    described = [crystal, *(change(crystal, rng) for change in DESCRIPTIONS)]
    before, *after = suite.predict(described)
    # single precision, values near 1
    assert np.stack(after) == pytest.approx(np.stack([before] * len(after)), abs=1e-5)


@pytest.mark.parametrize("name", SUMS)
@pytest.mark.parametrize("seed", range(4))
def test_a_sum_grows_with_the_cell(name, seed):
    suite, rng = suite_of(name), np.random.default_rng(seed)
    crystal = draw_crystal(rng)
    larger = repeated(crystal, rng)
    n_cells = len(larger.atomic_numbers) / len(crystal.atomic_numbers)
    network, found = suite.network(), []
    read = network.read_atoms if name.startswith("megnet") else network.readout
    handle = read.register_forward_hook(lambda *args: found.append(args[-1]))
    suite.predict([crystal, larger])
    handle.remove()
    one, many = found[0].numpy()
    assert many == pytest.approx(one * n_cells, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("name", GRAPH_NETWORKS)
def test_weights_that_are_no_numbers_are_predicted_without_tables(name):
    suite = suite_of(name)
    network = suite.config.build(2)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(float("nan"))
    form = for_inference(network)
    # coGN's fast form has none
    assert isinstance(form, Parallel) == name.startswith("cogn")
    assert form(suite.batch(eight())).isnan().all()
