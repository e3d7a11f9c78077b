"""Archives of the ALIGNN code: read without running them, converted to equal networks."""

import io
import json
import pickle
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.optim.lr_scheduler import OneCycleLR

from crystalgnn_core.errors import ModelError
from crystalgnn_core.models.alignn.config import ALIGNNConfig
from crystalgnn_core.models.alignn.published import read_alignn

SIZES = {
    "name": "alignn",
    "alignn_layers": 2,
    "gcn_layers": 2,
    "hidden_features": 8,
    "embedding_features": 6,
    "atom_input_features": 92,
    "output_features": 1,
}
SETTINGS = {
    "target": "formation_energy_peratom",
    "dataset": "dft_3d",
    "neighbor_strategy": "k-nearest",
    "cutoff": 8.0,
    "max_neighbors": 12,
    "model": SIZES,
}
CONFIG = ALIGNNConfig(
    hidden_width=8, embedding_width=6, n_line_convolutions=2, n_convolutions=2
)


def state_as_written(normalization="batch"):
    """Return a network and its weights as that code writes them, unread ones included."""
    torch.manual_seed(3)
    network = CONFIG.model_copy(update={"normalization": normalization}).build(1).eval()
    state = dict(network.state_dict())
    for unread in ("alignn_layers.1.edge_update", "gcn_layers.1"):
        for name in ("weight", "bias"):
            state[f"{unread}.bn_edges.{name}"] = torch.ones(8)
    state["edge_embedding.0.centers"] = torch.linspace(0, 8, 80)
    return network, state


IDS = {"id_train": ["a", "b", "b"], "id_val": ["c"], "id_test": []}


def write_archive(path, content=None, *, folder="jv/", ids=IDS, **changes):
    """Write an archive; a setting that is None is left out."""
    settings = {key: value for key, value in (SETTINGS | changes).items() if value != ""}
    buffer = io.BytesIO()
    torch.save({"model": state_as_written()[1]} if content is None else content, buffer)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{folder}checkpoint_299.pt", b"an older one")
        archive.writestr(f"{folder}checkpoint_300.pt", buffer.getvalue())
        archive.writestr(f"{folder}config.json", json.dumps(settings))
        archive.writestr(f"{folder}ids_train_val_test.json", json.dumps(ids))
    return path


@pytest.mark.parametrize("folder", ["", "jv_formation_energy_peratom_alignn/"])
def test_weights_and_settings_are_those_of_the_archive(tmp_path, folder):
    network, state = state_as_written()
    model = read_alignn(write_archive(tmp_path / "a.zip", {"model": state}, folder=folder))
    assert model.config == CONFIG
    assert model.graph.model_dump() == {
        "strategy": "knn_alignn",
        "cutoff": 8.0,
        "n_neighbors": 12,
        "shell_tolerance": 1e-5,
        "too_few": "enlarge",
        "max_cutoff": 16.0,
        "symmetric": True,
    }
    assert (model.target, model.scheme) == ("formation_energy_per_atom", "JARVIS OptB88vdW")
    assert (model.mean, model.std, model.is_linear) == (0.0, 1.0, True)
    assert (model.epoch, model.n_rows) == (300, {"train": 2, "val": 1, "test": 0})
    assert model.remarks == ("not checked against a real archive",)
    again = model.config.build(1)
    missing, unexpected = again.load_state_dict(model.weights, strict=False)
    assert all(name.endswith("num_batches_tracked") for name in missing)
    assert not unexpected
    for name, value in network.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            assert torch.equal(again.state_dict()[name], value), name


def test_pure_torch_archives_hold_weights_alone_and_layer_norms(tmp_path):
    _, state = state_as_written("layer")
    path = tmp_path / "formation_energy_peratom.zip"
    with zipfile.ZipFile(path, "w") as archive:
        buffer = io.BytesIO()
        torch.save(state | {"_species_table": torch.zeros(120, 92)}, buffer)
        archive.writestr("best_model.pt", buffer.getvalue())
        sizes = SIZES | {"name": "alignn_atomwise_pure", "calculate_gradient": False}
        graphs = {"neighbor_strategy": "pure_torch", "cutoff": 5.0, "max_neighbors": None}
        archive.writestr("config.json", json.dumps(SETTINGS | graphs | {"model": sizes}))
    model = read_alignn(path)
    assert model.config == CONFIG.model_copy(
        update={"normalization": "layer", "angle_cutoff": 3.5}
    )
    assert (model.graph.strategy, model.graph.cutoff) == ("radius", 5.0)
    assert model.n_rows == {}
    model.config.build(1).load_state_dict(model.weights)


@pytest.mark.parametrize(
    ("name", "settings", "meaning"),
    [
        ("a", {"target": "mbj_bandgap"}, ("band_gap", "MBJ")),
        ("a", {"target": "optb88vdw_bandgap"}, ("band_gap", "JARVIS OptB88vdW")),
        ("a", {"target": "bulk_modulus_kv"}, ("bulk_modulus", "JARVIS OptB88vdW")),
        ("a", {"target": "gap pbe", "dataset": "megnet"}, ("band_gap", "MP legacy")),
        ("jv_mbj_bandgap_alignn", {"target": "target"}, ("band_gap", "MBJ")),
        (
            "mp_e_form_alignn",
            {"target": "target", "dataset": "user_data"},
            ("formation_energy_per_atom", "MP legacy"),
        ),
        (
            "jv_shear_modulus_gv_alignn",
            {"target": "target"},
            ("shear_modulus", "JARVIS OptB88vdW"),
        ),
        ("mine", {"target": "target", "dataset": "user_data"}, (None, None)),
    ],
)
def test_target_and_scheme_are_told_by_settings_or_name(tmp_path, name, settings, meaning):
    model = read_alignn(write_archive(tmp_path / f"{name}.zip", **settings))
    assert (model.target, model.scheme) == meaning


def test_scaled_labels_are_scaled_back(tmp_path):
    path = write_archive(tmp_path / "a.zip", target_multiplication_factor=4.0)
    assert read_alignn(path).std == 0.25


class _Attack:
    def __reduce__(self):
        return (Path.touch, (Path("attacked"),))


class _Blocked:
    def __reduce__(self):
        import os

        return (os.mkdir, ("attacked",))


def test_what_is_no_tensor_is_left_out_and_never_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    network, state = state_as_written()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    scheduler = OneCycleLR(optimizer, 0.1, total_steps=10)
    content = {
        "model": state,
        "optimizer": optimizer.state_dict(),
        # what older releases of torch keep in the state of this scheduler
        "lr_scheduler": {"anneal_func": scheduler._annealing_cos},
        "trainer": Path("a folder"),
    }
    path = write_archive(tmp_path / "a.zip", content)
    allowed = set(torch.serialization.get_safe_globals())
    with zipfile.ZipFile(path) as archive:
        data = io.BytesIO(archive.read("jv/checkpoint_300.pt"))
    with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
        torch.load(data, weights_only=True)  # so the stand-ins are needed
    assert len(read_alignn(path).weights) > 50
    assert set(torch.serialization.get_safe_globals()) == allowed
    for attack in (_Attack(), _Blocked()):
        write_archive(path, content | {"trainer": attack})
        with pytest.raises(ModelError, match=r"code.*, which is not run"):
            read_alignn(path)
        assert not (tmp_path / "attacked").exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model": SIZES | {"name": "cgcnn"}}, "a network 'cgcnn' is not built here"),
        ({"model": SIZES | {"output_features": 66}}, "output_features is 66"),
        ({"model": SIZES | {"classification": True}}, "classification is True"),
        ({"classification_threshold": 0.01}, "classification_threshold is 0.01"),
        ({"model": SIZES | {"link": "log"}}, "link is 'log'; only 'identity'"),
        ({"model": SIZES | {"extra_features": 6}}, "extra_features is 6"),
        ({"model": SIZES | {"atom_input_features": 1}}, "atom_input_features is 1"),
        ({"atom_features": "cfid"}, "atom_features is 'cfid'"),
        ({"standard_scalar_and_pca": True}, "standard_scalar_and_pca is True"),
        (
            {"model": SIZES | {"name": "alignn_atomwise_pure"}},
            "use_zbl is True; only False",
        ),
        ({"neighbor_strategy": "voronoi"}, "neighbor_strategy voronoi are not built"),
        ({"use_canonize": False}, "only k-nearest with use_canonize"),
        ({"neighbor_strategy": "pure_torch"}, "pure_torch with max_neighbors 12"),
        ({"model": SIZES | {"hidden_features": "many"}}, "no archive of the ALIGNN code"),
        ({"model": "alignn"}, "holds no settings of a model"),
    ],
)
def test_what_is_not_computed_here_is_refused(tmp_path, changes, words):
    path = write_archive(tmp_path / "a.zip", **changes)
    with pytest.raises(ModelError, match=words) as caught:
        read_alignn(path)
    assert re.match(re.escape(str(path)), str(caught.value))


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("missing", "no such file"),
        ("html", "a web page in place of the archive of the ALIGNN code"),
        ("cut", "no readable zip archive"),
        ("empty", "it holds nothing; expected config.json and checkpoint"),
        ("checkpoint", "no archive of the ALIGNN code"),
        ("json", "no readable zip archive"),
        ("deflate", r"no readable zip archive \(Error -3 while decompressing"),
        ("encrypted", r"no readable zip archive \(File .* is encrypted"),
    ],
)
def test_what_is_no_archive_is_refused(tmp_path, fault, words):
    path = write_archive(tmp_path / "a.zip")
    if fault == "missing":
        path.unlink()
    elif fault == "html":
        path.write_text("<html>404</html>")
    elif fault == "cut":
        path.write_bytes(path.read_bytes()[:5000])
    else:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            if fault != "empty":
                archive.writestr("checkpoint_1.pt", b"damaged")
                text = "{" if fault == "json" else json.dumps(SETTINGS)
                archive.writestr("config.json", text)
        content = bytearray(path.read_bytes())
        if fault == "deflate":
            content[30 + len("checkpoint_1.pt")] = 0xFF  # no such type of block
        elif fault == "encrypted":
            content[content.index(b"PK\x03\x04") + 6] |= 1
            content[content.index(b"PK\x01\x02") + 8] |= 1
        path.write_bytes(content)
    with pytest.raises(ModelError, match=words):
        read_alignn(path)


@pytest.mark.parametrize(
    ("ids", "n_rows"),
    [
        (["a", "b"], {}),
        ({"id_train": [["a"], 1], "id_val": 5}, {"train": 2, "val": 0, "test": 0}),
    ],
)
def test_odd_lists_of_rows_do_not_matter(tmp_path, ids, n_rows):
    path = write_archive(tmp_path / "a.zip", ids=ids)
    assert read_alignn(path).n_rows == n_rows


def test_weights_of_another_size_do_not_pass_for_a_network(tmp_path):
    from crystalgnn_core.learning.conversion import convert

    path = write_archive(tmp_path / "a.zip", model=SIZES | {"gcn_layers": 3})
    with pytest.raises(ModelError, match="weights do not fit the network"):
        convert(path)


def test_own_archives_need_a_target_and_a_scheme(tmp_path, monkeypatch):
    from crystalgnn_core.learning.cards import read_card
    from crystalgnn_core.learning.conversion import convert

    monkeypatch.setenv("CRYSTALGNN_CACHE", str(tmp_path / "cache"))
    path = write_archive(tmp_path / "mine.zip", target="target", dataset="user_data")
    with pytest.raises(ModelError, match="does not say what it predicts"):
        convert(path)
    with pytest.raises(ModelError, match=r"--target band_gap --scheme TEXT"):
        convert(path, target="band_gap")
    card = read_card(convert(path, target="band_gap", scheme="ours"))
    assert card.label_schemes == {"band_gap": "ours"}
    again = read_card(convert(path, target="band_gap", scheme="ours too"))
    assert again.label_schemes == {"band_gap": "ours too"}


def test_moduli_in_gpa_come_out_as_they_are(tmp_path, monkeypatch):
    from crystalgnn_core.learning.checkpoints import load_bundle
    from crystalgnn_core.learning.conversion import convert

    monkeypatch.setenv("CRYSTALGNN_CACHE", str(tmp_path / "cache"))
    path = write_archive(tmp_path / "a.zip", target="bulk_modulus_kv")
    card = load_bundle(convert(path))[1]
    assert card.scaler.linear == ("bulk_modulus",)
    assert card.scaler.unscale(np.array([[150.0]])).tolist() == [[150.0]]
    assert card.scaler.scale(np.array([[150.0]])).tolist() == [[150.0]]
    assert card.remarks == ("not checked against a real archive",)
    assert card.label_schemes == {"bulk_modulus": "JARVIS OptB88vdW"}
