"""Sizes of networks: what is refused, and digests that last."""

import json
import subprocess
import sys

import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from crystalgnn_core.models import ModelConfig
from crystalgnn_core.models.alignn.config import ALIGNNConfig
from crystalgnn_core.models.cgcnn.config import CGCNNConfig
from crystalgnn_core.models.cogn.config import COGNConfig
from crystalgnn_core.models.megnet.config import MEGNetConfig
from crystalgnn_core.models.schnet.config import SchNetConfig

CONFIGS = CGCNNConfig, ALIGNNConfig, MEGNetConfig, SchNetConfig, COGNConfig


@pytest.mark.parametrize(
    ("config", "digest"),
    [  # as of the version before node features and readouts were settings
        (CGCNNConfig(), "a3dcacef2646a254"),
        (CGCNNConfig(basis_step=0.3, atom_width=5), "c62fc57d299004da"),
        (ALIGNNConfig(), "358dbbae45c754f4"),
        (ALIGNNConfig(basis_stop=6), "ff803549c7148d84"),
        (MEGNetConfig(), "60ee89fccfdfeb40"),
        (MEGNetConfig(query_width=3), "a879be7c638fe684"),
        (SchNetConfig(), "c49557e4b21772df"),
        (SchNetConfig(readout="sum", cutoff=4), "00ed7126cc77b76c"),
    ],
)
def test_settings_that_came_later_do_not_rename_models(config, digest):
    assert config.settings_digest() == digest


@pytest.mark.parametrize("make", CONFIGS)
def test_settings_that_are_used_count(make):
    default = make()
    for change in ({"node_features": ("row", "group")}, {"readout": "sum"}):
        assert make(**change).settings_digest() != default.settings_digest()


def test_twenty_gaussians_from_0_to_8_angstrom():
    config = CGCNNConfig(n_gaussians=20)
    assert config.n_centers == 20
    assert config.basis_step == pytest.approx(8 / 19)
    basis = config.build(1).basis
    assert basis.n_features == 20
    assert basis.centers[[0, 1, -1]].tolist() == pytest.approx([0, 8 / 19, 8])
    assert basis(torch.tensor([8 / 19]))[0, 0].item() == pytest.approx(0.367879, abs=1e-6)
    wide = CGCNNConfig(n_gaussians=20, gaussian_width=0.5).build(1).basis
    value = wide(torch.tensor([0.5]))[0, 0].item()
    assert value == pytest.approx(0.367879, abs=1e-6)  # 1 / e at one width


def test_settings_survive_being_written_and_read():
    for config in (
        CGCNNConfig(n_gaussians=20, basis_stop=7.3),
        ALIGNNConfig(node_features=("row", "oxidation_state"), readout="set2set"),
        SchNetConfig(node_features="table", gaussian_width=0.316),
    ):
        content = json.loads(config.model_dump_json())
        assert TypeAdapter(ModelConfig).validate_python(content) == config


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_gaussians": 20, "basis_step": 0.2}, "n_gaussians 20 contradicts basis_step"),
        ({"n_gaussians": 1}, "greater than or equal to 2"),
        ({"n_gaussians": 20, "basis_start": 9.0}, "not above basis_start"),
        ({"node_features": ["row", "colour"]}, "no element property is called 'colour'"),
        ({"node_features": "row"}, "'row' is no choice of node features"),
        ({"node_features": []}, "no element property is named"),
        ({"node_features": ["row", "row"]}, "row is named twice"),
        ({"kind": "alignn", "basis_start": 8.0}, "not above basis_start"),
        ({"kind": "megnet", "basis_start": 6.0}, "not above basis_start"),
        ({"kind": "megnet", "readout": "max"}, "'set2set', 'mean' or 'sum'"),
        ({"kind": "schnet", "basis_start": 5.0}, "not above basis_start"),
        ({"kind": "cogn", "basis_stop": 0.2}, "not above basis_start"),
        ({"kind": "schnet", "readout": "set2set"}, "'mean', 'sum' or 'max'"),
    ],
)
def test_contradicting_and_unknown_settings_are_refused(settings, message):
    with pytest.raises(ValidationError, match=message) as caught:
        TypeAdapter(ModelConfig).validate_python(settings)
    assert caught.value.error_count() == 1


def test_each_choice_tells_which_elements_it_knows():
    assert CGCNNConfig().known_elements() == tuple(range(1, 101))
    assert CGCNNConfig(node_features="embedding").known_elements()[-1] == 118
    assert MEGNetConfig().known_elements() == tuple(range(1, 95))
    assert SchNetConfig().known_elements() == tuple(range(1, 100))
    assert COGNConfig().known_elements() == tuple(range(1, 119))
    by_property = MEGNetConfig(node_features=("electronegativity",)).known_elements()
    assert {2, 10, 18} == set(range(1, 104)) - set(by_property)  # He, Ne, Ar have none


def test_reading_settings_loads_neither_torch_nor_pymatgen():
    code = (
        "import sys; from crystalgnn_core.models.cgcnn.config import CGCNNConfig;"
        "CGCNNConfig(node_features=('row',), n_gaussians=20).settings_digest();"
        "print({'torch', 'pymatgen', 'jarvis'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
