"""Published classifiers: probabilities of the reference formulas, the right way round.

The files themselves are not at hand; what is checked is what the codes compute.
"""

import json
import shutil
from argparse import Namespace
from contextlib import suppress
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure
from torch.nn import functional

from crystalgnn_core.errors import ModelError
from crystalgnn_core.graphs.build import build_dataset
from crystalgnn_core.learning.checkpoints import load_bundle
from crystalgnn_core.learning.conversion import convert
from crystalgnn_core.models.cgcnn.published import read_cgcnn
from crystalgnn_core.models.elements import element_table
from crystalgnn_core.screening.prediction import predict
from crystalgnn_core.sources.formats.objects import crystal_from_any
from tests.paths import SHARED

SALT = Structure.from_spacegroup(
    "Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]
).get_primitive_structure()
TITANATE = Structure(
    Lattice.cubic(3.905),
    ["Sr", "Ti", "O", "O", "O"],
    np.array([[0, 0, 0], [0.5] * 3, [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]),
)
STRUCTURES = [SALT, TITANATE]


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CRYSTALGNN_CACHE", str(tmp_path / "cache"))


def state_of_a_classifier(n_hidden=2, width=6, hidden=5):
    """Return weights by the names of the CGCNN code, drawn at random."""
    generator = torch.Generator().manual_seed(1)

    def draw(*shape):
        return 0.4 * torch.randn(*shape, generator=generator)

    state = {"embedding.weight": draw(width, 92), "embedding.bias": draw(width)}
    for index in range(2):
        name = f"convs.{index}"
        state[f"{name}.fc_full.weight"] = draw(2 * width, 2 * width + 41)
        state[f"{name}.fc_full.bias"] = draw(2 * width)
        for norm, size in (("bn1", 2 * width), ("bn2", width)):
            state[f"{name}.{norm}.weight"] = 1.0 + draw(size)
            state[f"{name}.{norm}.bias"] = draw(size)
            state[f"{name}.{norm}.running_mean"] = draw(size)
            state[f"{name}.{norm}.running_var"] = 1.0 + draw(size).abs()
    state["conv_to_fc.weight"], state["conv_to_fc.bias"] = draw(hidden, width), draw(hidden)
    for index in range(n_hidden - 1):
        state[f"fcs.{index}.weight"] = draw(hidden, hidden)
        state[f"fcs.{index}.bias"] = draw(hidden)
    state["fc_out.weight"], state["fc_out.bias"] = 3 * draw(2, hidden), draw(2)
    return state


def write_checkpoint(path, **changes):
    """Write what main.py of the CGCNN code writes for `--task classification`."""
    args: dict[str, Any] = {"atom_fea_len": 6, "h_fea_len": 5, "n_conv": 2, "n_h": 2}
    args |= {"task": "classification", "data_options": ["root_dir"], "val_size": 40}
    content = {
        "epoch": 7,
        "state_dict": state_of_a_classifier(),
        "best_mae_error": 0.93,
        "normalizer": {"mean": 0.0, "std": 1.0},
        "args": args | changes.pop("args", {}),
    }
    torch.save(content | changes, path)
    return content["state_dict"]


def reference_probability(state, structure, graph):
    """Return exp(output)[:, 1] of cgcnn/model.py in evaluation, from its own formulas."""
    dataset, _ = build_dataset([crystal_from_any(structure)], graph)
    batch = dataset.batch(np.arange(1))
    neighbor, center = batch.edge_index
    distance = batch.edge_vector.norm(dim=1, keepdim=True)
    edges = torch.exp(-((distance - torch.arange(0, 8.1, 0.2)) ** 2) / 0.2**2)

    def norm(values, name):
        weight, bias, mean, variance = (
            state[f"{name}.{part}"]
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        return (values - mean) / torch.sqrt(variance + 1e-5) * weight + bias

    def linear(values, name):
        return values @ state[f"{name}.weight"].T + state[f"{name}.bias"]

    atoms = linear(torch.from_numpy(element_table())[batch.atomic_numbers], "embedding")
    for index in range(2):
        total = torch.cat([atoms[center], atoms[neighbor], edges], dim=1)
        total = norm(linear(total, f"convs.{index}.fc_full"), f"convs.{index}.bn1")
        gate, core = total.chunk(2, dim=1)
        message = torch.sigmoid(gate) * functional.softplus(core)
        summed = torch.zeros_like(atoms).index_add_(0, center, message)
        atoms = functional.softplus(atoms + norm(summed, f"convs.{index}.bn2"))
    crystal = functional.softplus(atoms.mean(dim=0, keepdim=True))
    crystal = functional.softplus(linear(crystal, "conv_to_fc"))  # dropout: inactive
    crystal = functional.softplus(linear(crystal, "fcs.0"))
    return torch.log_softmax(linear(crystal, "fc_out"), dim=1).exp()[0, 1].item()


def test_a_cgcnn_classifier_gives_the_probability_of_its_second_class(tmp_path):
    path = tmp_path / "semi-metal-classification.pth.tar"  # as the authors' file is called
    state = write_checkpoint(path)
    bundle = convert(path)
    card = load_bundle(bundle)[1]
    assert card.scaler.targets == ("is_metal",)  # the authors' README: metal (1)
    expected = [reference_probability(state, one, card.graph) for one in STRUCTURES]
    assert abs(expected[0] - expected[1]) > 0.01
    # float32
    assert predict(STRUCTURES, bundle)["is_metal"].to_numpy() == pytest.approx(
        expected, abs=1e-5
    )
    stated = card.metrics["val"]["is_metal"]
    assert (stated.n, stated.mae) == (40, None)
    assert stated.classes is not None
    assert stated.classes.auc == pytest.approx(0.93)


def state_of_two_devices():
    state = state_of_a_classifier()
    return {f"module.{name}": value for name, value in state.items()}


FORKS: dict[str, dict[str, Any]] = {
    # every classifier of main.py, and the authors' own; pytorch#138985
    "numbers of numpy": {"best_mae_error": np.float64(0.93)},
    "arguments as they are": {"args": Namespace(task="classification", val_size=40)},
    "several devices": {"state_dict": state_of_two_devices()},
    "compiled": {
        "state_dict": {
            f"_orig_mod.{name}": value for name, value in state_of_a_classifier().items()
        }
    },
    "another name": {"model_state_dict": state_of_a_classifier(), "state_dict": None},
}


@pytest.mark.parametrize("is_old", [False, True], ids=["zip", "before torch 1.6"])
@pytest.mark.parametrize("name", FORKS)
def test_what_forks_of_the_code_write_is_read_the_same(tmp_path, name, is_old):
    path = tmp_path / "semi-metal-classification.pth.tar"
    write_checkpoint(path)
    content = torch.load(path, weights_only=True) | FORKS[name]
    content = {key: value for key, value in content.items() if value is not None}
    torch.save(content, path, _use_new_zipfile_serialization=not is_old)
    found = read_cgcnn(path)
    state = state_of_a_classifier()
    assert (found.target, found.kind) == ("is_metal", "classification")
    assert found.error == pytest.approx(0.93)
    assert found.n_rows["val"] == 40
    difference = state["fc_out.weight"][1:] - state["fc_out.weight"][:1]
    assert torch.equal(found.weights["fc_out.weight"], difference)
    assert torch.equal(found.weights["embedding.weight"], state["embedding.weight"])


def test_what_a_classifier_tells_apart_is_not_guessed(tmp_path):
    path = tmp_path / "model_best.pth.tar"
    write_checkpoint(path, args={"data_options": ["x.json", "classification", "band_gap"]})
    with pytest.raises(ModelError, match="--target"):
        convert(path)
    with pytest.raises(ModelError, match="for classification, but band_gap is for regres"):
        convert(path, target="band_gap")
    assert convert(path, target="is_metal", scheme="mine").is_dir()


def test_classifiers_of_other_shapes_are_refused(tmp_path):
    path = tmp_path / "model.pth.tar"
    state = state_of_a_classifier()
    state["fc_out.weight"] = torch.zeros(3, 5)
    write_checkpoint(path, state_dict=state)
    with pytest.raises(ModelError, match="3 outputs, not one for each of two classes"):
        read_cgcnn(path)
    write_checkpoint(path, args={"task": "clustering"})
    with pytest.raises(ModelError, match="a CGCNN for clustering"):
        read_cgcnn(path)


@pytest.mark.parametrize(
    ("name", "target"), [("efermi", "fermi_energy"), ("poisson-ratio", "poisson_ratio")]
)
def test_the_authors_other_files_are_known_by_name(tmp_path, name, target):
    path = tmp_path / f"{name}.pth.tar"
    state = state_of_a_classifier()
    state |= {key: state[key][:1] for key in ("fc_out.weight", "fc_out.bias")}
    scale = {"mean": torch.tensor(2.0), "std": torch.tensor(3.0)}
    write_checkpoint(path, state_dict=state, args={"task": "regression"}, normalizer=scale)
    card = load_bundle(convert(path))[1]
    assert card.scaler.targets == (target,)
    assert (card.scaler.mean, card.scaler.std) == ((2.0,), (3.0,))


@pytest.fixture
def megnet(tmp_path):
    """Copy a published MEGNet under other settings and another last function."""
    origin = SHARED / "pretrained" / "megnet" / "band_gap_regression.hdf5"
    if not origin.is_file():
        pytest.skip("published weights are not at hand: MEGNet")
    beside = json.loads(origin.with_name(origin.name + ".json").read_text())

    def write(name, activation="linear", **changes):
        path = tmp_path / f"{name}.hdf5"
        shutil.copy(origin, path)
        with h5py.File(path, "r+") as content:
            settings = json.loads(content.attrs["model_config"])
            last = settings["config"]["layers"][-1]
            assert last["class_name"] == "Dense"
            last["config"]["activation"] = activation
            content.attrs["model_config"] = json.dumps(settings)
        text = json.dumps(beside | {"metadata": {"name": name}} | changes)
        path.with_name(path.name + ".json").write_text(text)
        return path

    return write


def output_of(path):
    """Return what the last layer gives before its function."""
    return predict(STRUCTURES, convert(path))["band_gap"].to_numpy()


def test_a_megnet_classifier_tells_gaps_so_its_output_is_turned_round(megnet):
    raw = output_of(megnet("Band gap regressor"))
    # its settings say: 1 for band gap > 0 and 0 for band gap = 0
    bundle = convert(megnet("Band gap classifier", "sigmoid"))
    assert load_bundle(bundle)[1].scaler.targets == ("is_metal",)
    has_gap = 1 / (1 + np.exp(-raw))
    metal = predict(STRUCTURES, bundle)["is_metal"].to_numpy()
    assert metal == pytest.approx(1 - has_gap, abs=1e-5)
    own = convert(megnet("mine", "sigmoid"), target="is_metal")
    assert predict(STRUCTURES, own)["is_metal"].to_numpy() == pytest.approx(
        has_gap, abs=1e-5
    )


def test_a_megnet_with_scaled_targets_and_older_names_is_read(megnet):
    path = megnet("Band gap regressor")
    raw = output_of(path)
    settings = json.loads(path.with_name(path.name + ".json").read_text())
    graph = settings.pop("graph_converter")
    graph["bond_convertor"] = graph.pop("bond_converter")
    scaler = {"mean": 2.9, "std": 2.7, "is_intensive": True}
    changed = megnet("Fermi energy", graph_convertor=graph, target_scaler=scaler)
    beside = changed.with_name(changed.name + ".json")
    content = json.loads(beside.read_text())
    del content["graph_converter"]
    beside.write_text(json.dumps(content))
    values = predict(STRUCTURES, convert(changed))["fermi_energy"].to_numpy()
    assert values == pytest.approx(raw * 2.7 + 2.9, rel=1e-5)
    with pytest.raises(ModelError, match="values of a whole cell"):
        convert(megnet("Fermi energy", target_scaler=scaler | {"is_intensive": False}))


def change_layers(path, change):
    with h5py.File(path, "r+") as content:
        settings = json.loads(content.attrs["model_config"])
        change(settings["config"]["layers"])
        content.attrs["model_config"] = json.dumps(settings)
    return path


def test_fidelities_and_molecules_are_refused_by_name(megnet):
    """Of mf_2020, with an embedding of the fidelity, and of qm9, from molecules."""
    layer = {"class_name": "Embedding", "name": "embedding_2", "config": {"output_dim": 16}}
    path = change_layers(megnet("mf"), lambda layers: layers.append(layer))
    with pytest.raises(ModelError, match="2 embeddings, of the elements and of a state"):
        convert(path, target="band_gap", scheme="PBE")
    graph = {"@class": "SimpleMolGraph", "bond_converter": {}}
    with pytest.raises(ModelError, match=r"SimpleMolGraph, as of molecules \(qm9\)"):
        convert(megnet("Internal energy at 0 K", graph_converter=graph))


def test_weights_of_other_sizes_are_one_line(megnet):
    def widen(layers):
        [layer] = [one for one in layers if one["class_name"] == "Embedding"]
        layer["config"]["output_dim"] = 32

    with pytest.raises(ModelError, match="has the shape") as caught:
        convert(change_layers(megnet("Band gap regressor"), widen))
    assert "\n" not in str(caught.value)


def test_arrays_larger_than_their_file_take_no_memory(megnet):
    path = megnet("Band gap regressor")
    name = "model_weights/dense_1/dense_1/kernel:0"
    with h5py.File(path, "r+") as content:
        del content[name]
        content.create_dataset(name, (10**6, 10**5), "f4", chunks=(1000, 1000))  # 373 GiB
    with pytest.raises(ModelError, match="declares an array of 400,000,000,000 bytes"):
        convert(path)


@pytest.mark.parametrize("odd", [None, 7, "text", [], [1], {"a": 1}, 1e308, float("nan")])
def test_settings_of_wrong_types_are_one_line(megnet, odd):
    for name in ("metadata", "target_scaler", "graph_converter"):
        path = megnet("Band gap regressor", **{name: odd})
        with suppress(ModelError):  # but no other error
            convert(path, target="band_gap")
    with h5py.File(path, "r+") as content:
        content.attrs["model_config"] = json.dumps(odd)
    with pytest.raises(ModelError, match="MEGNet"):
        convert(path, target="band_gap")


def test_other_functions_of_the_output_are_refused(megnet):
    with pytest.raises(ModelError, match="an output through 'tanh'"):
        convert(megnet("Band gap regressor", "tanh"))
