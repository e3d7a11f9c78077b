"""Predictions from whatever a user holds, and by shard."""

import numpy as np
import pyarrow as pa
import pytest
import torch
from ase import Atoms
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure
from scipy.spatial.transform import Rotation

from crystalgnn_core import predict
from crystalgnn_core.errors import InputError, ModelError
from crystalgnn_core.graphs.build import build_dataset
from crystalgnn_core.graphs.config import GraphConfig
from crystalgnn_core.graphs.shards import build_graph_shard, plan_graph_shards
from crystalgnn_core.learning.cards import DataSummary, ModelCard, read_card
from crystalgnn_core.learning.checkpoints import load_bundle, write_bundle
from crystalgnn_core.learning.scaling import TargetScaler
from crystalgnn_core.models.cgcnn.config import CGCNNConfig
from crystalgnn_core.records.crystal import Crystal, structure_from_crystal
from crystalgnn_core.screening.prediction import (
    plan_prediction_shards,
    predict_shard,
    prediction_folder,
)
from crystalgnn_core.storage.shards import KEY, ShardSet
from tests.core.random_crystals import with_lonely_atom

TARGETS = ("formation_energy_per_atom", "bulk_modulus")
SILENT = settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def make_card(config):
    units = {"formation_energy_per_atom": "eV/atom", "bulk_modulus": "GPa"}
    schemes = dict.fromkeys(TARGETS, "test")
    data = DataSummary(
        sources=("test",),
        record_version=0,
        data_digest="0",
        split_digest="0",
        label_schemes=schemes,
        licenses=(),
        n_rows={},
        n_labels={},
        n_unlabelled=0,
        refused={},
        leaks={},
    )
    return ModelCard(
        model_id="tiny",
        created="2020-01-01T00:00:00+00:00",
        model=config,
        graph=GraphConfig(),
        scaler=TargetScaler(targets=TARGETS, mean=(-1.0, 1.5), std=(0.5, 0.2)),
        units=units,
        label_schemes=schemes,
        elements=tuple(number for number in range(1, 95) if number != 80),
        data=data,
        training={},
    )


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """A small network with random weights, normalised on twelve crystals."""
    torch.manual_seed(0)
    config = CGCNNConfig(atom_width=16, hidden_width=16, n_convolutions=2)
    network = config.build(len(TARGETS))
    dataset, _ = build_dataset([crystal(seed) for seed in range(12)], GraphConfig())
    with torch.no_grad():
        for _ in range(20):
            network(dataset.batch(np.arange(12)))
    folder = tmp_path_factory.mktemp("model")
    write_bundle(folder, network, make_card(config))
    return folder


def crystal(seed):
    """Make a cell of up to six atoms that are well apart."""
    generator = np.random.default_rng(seed)
    size = int(generator.integers(1, 7))
    lattice = np.eye(3) * 6 + generator.normal(size=(3, 3)) * 0.4
    corners = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)]) / 2
    coords = corners[:size] + generator.uniform(-0.1, 0.1, (size, 3))
    numbers = generator.integers(11, 80, size).astype(np.int16)
    return Crystal(numbers, lattice, coords)


def structure(seed):
    return structure_from_crystal(crystal(seed))


def values(frame):
    return frame[list(TARGETS)].to_numpy()


def close(expected):
    """Single precision: 1e-5 of the value for a modulus of some ten GPa."""
    return pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_ids_come_once_and_in_order_for_any_batch_size(model):
    given_ = {f"id-{seed}": structure(seed) for seed in reversed(range(20))}
    frames = [predict(given_, model, batch_size=size) for size in (1, 7, 256)]
    for frame in frames:
        assert frame["material_id"].tolist() == list(given_)
        assert (frame["status"] == "ok").all()
        assert values(frame) == close(values(frames[0]))
    assert np.isfinite(values(frames[0])).all()


def test_columns_are_ids_targets_and_reasons(model):
    frame = predict(structure(1), model)
    ends = ("material_id", "formula"), ("status", "message")
    assert frame.columns.tolist() == [*ends[0], *TARGETS, *ends[1]]
    assert frame["formula"][0] == structure(1).composition.reduced_formula


def test_every_kind_of_input_gives_the_same_values(model, tmp_path):
    given_ = structure(4)
    species = [site.specie.symbol for site in given_]
    atoms = Atoms(
        species, cell=given_.lattice.matrix, scaled_positions=given_.frac_coords, pbc=True
    )
    jarvis = {
        "jid": "JVASP-1",
        "atoms": {
            "lattice_mat": given_.lattice.matrix.tolist(),
            "coords": given_.frac_coords.tolist(),
            "elements": species,
            "cartesian": False,
            "abc": list(given_.lattice.abc),
            "angles": list(given_.lattice.angles),
            "props": [""] * len(species),
        },
    }
    path = tmp_path / "one.json"
    given_.to(filename=str(path), fmt="json")
    several = [given_, atoms, jarvis, jarvis["atoms"], given_.as_dict(), crystal(4), path]
    expected = values(predict(given_, model))
    frame = predict([*several, str(path)], model)
    assert frame["status"].tolist() == ["ok"] * 8
    assert values(frame) == close(np.repeat(expected, 8, axis=0))
    for one in (*several, {"x": path}, {"x": atoms}):
        assert values(predict(one, model)) == close(expected)


def test_mapping_names_objects_and_paths_alike(model, tmp_path):
    path = tmp_path / "ignored.json"
    structure(2).to(filename=str(path), fmt="json")
    frame = predict({"a": path, "b": structure(2), 3: str(path)}, model)
    assert frame["material_id"].tolist() == ["a", "b", "3"]
    assert frame["status"].tolist() == ["ok"] * 3


def test_folder_is_read_in_order_of_names(model, tmp_path):
    for name in ("b/POSCAR.mp-1", "b/POSCAR.mp-2", "a.vasp", "a.cif", "c.poscar"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        fmt = "cif" if name.endswith("cif") else "poscar"
        path.write_text(structure(2).to(fmt=fmt))
    frame = predict(tmp_path, model)
    assert frame["material_id"].tolist() == [
        "a.cif",
        "a.vasp",
        "b/POSCAR.mp-1",
        "b/POSCAR.mp-2",
        "c",
    ]
    assert (frame["status"] == "ok").all()


def test_an_unusual_geometry_is_named_beside_its_prediction(model):
    frame = predict([structure(1), structure(2)], model)  # 3 and 6 atoms in 216 A^3
    assert frame["status"].tolist() == ["ok", "ok"]
    assert frame["message"][0].startswith("sparse_cell: the cell has more than 2.75 times")
    assert frame["message"][1] == ""


def test_unusable_rows_keep_their_place_with_a_reason(model, tmp_path):
    broken = tmp_path / "broken.cif"
    broken.write_text("data_x\n_cell_length_a oops\n")
    mixed = Structure(Lattice.cubic(4), [{"Fe": 0.5, "Ni": 0.5}], [[0, 0, 0]])
    overlap = Structure(Lattice.cubic(4), ["Fe", "Fe"], [[0.0, 0, 0], [0, 0, 0.01]])
    mercury = Structure(Lattice.cubic(3), ["Hg"], [[0, 0, 0]])
    lonely = with_lonely_atom(2)
    inputs = [structure(1), mixed, overlap, mercury, structure(2), lonely, broken]
    frame = predict(inputs, model, batch_size=1)
    assert frame["status"].tolist() == [
        "ok",
        "disordered_site",
        "overlapping_atoms",
        "unseen_element",
        "ok",
        "isolated_atom",
        "unreadable_structure",
    ]
    is_ok = (frame["status"] == "ok").to_numpy()
    assert np.isfinite(values(frame)).all(axis=1).tolist() == is_ok.tolist()
    assert (frame["message"][~is_ok] != "").all()
    assert frame["message"][3].startswith("Hg did not occur")
    alone = predict([structure(1), structure(2)], model)
    assert values(frame[is_ok]) == close(values(alone))


def test_value_that_is_not_finite_is_refused(model, tmp_path):
    network, card = load_bundle(model)
    with torch.no_grad():
        network.get_parameter("fc_out.bias")[1] = torch.nan
    write_bundle(tmp_path, network, card)
    frame = predict([structure(1)], tmp_path)
    assert frame["status"].tolist() == ["invalid_prediction"]
    assert np.isnan(values(frame)).all()


def test_nothing_in_gives_an_empty_table(model):
    frame = predict([], model)
    assert len(frame) == 0
    assert frame.columns.tolist() == predict([structure(0)], model).columns.tolist()
    assert predict([structure(0)][:0], model).dtypes["bulk_modulus"] == np.float64


def test_only_unusable_rows_give_a_table_without_values(model):
    frame = predict([with_lonely_atom(2)], model)
    assert frame["status"].tolist() == ["isolated_atom"]
    assert np.isnan(values(frame)).all()


def test_input_that_cannot_be_used_at_all_is_refused(model, tmp_path):
    with pytest.raises(InputError, match="no structure files"):
        predict(tmp_path, model)
    with pytest.raises(InputError, match="no such file"):
        predict(tmp_path / "nothing.cif", model)
    with pytest.raises(InputError, match="a text goes into StructureText"):
        predict("data_x\n_cell_length_a 3\n", model)
    with pytest.raises(ModelError, match="no model 'nothing'"):
        predict(structure(0), "nothing", store=tmp_path)


def test_inputs_are_left_untouched(model):
    given_ = structure(3)
    before = given_.copy()
    predict([given_], model)
    assert given_ == before


@SILENT
@given(seed=st.integers(0, 10**6))
def test_prediction_is_unchanged_by_the_choice_of_description(model, seed):
    generator = np.random.default_rng(seed)
    original = crystal(seed)
    given_ = structure_from_crystal(original)
    matrix = np.eye(3)
    for _ in range(3):
        row, other = generator.choice(3, 2, replace=False)
        matrix[row] += generator.choice([-1, 1]) * matrix[other]
    order = generator.permutation(len(given_))
    shift = generator.uniform(-2, 2, 3)
    scaling = [1, 1, 1]
    scaling[generator.integers(3)] = 2
    turn = Rotation.random(rng=generator).as_matrix()
    same = {
        "original": original,
        "rotated": original._replace(lattice=original.lattice @ turn),
        "translated": original._replace(frac_coords=original.frac_coords + shift),
        "reordered": Structure.from_sites([given_[i] for i in order]),
        "other cell": original._replace(
            lattice=matrix @ original.lattice,
            frac_coords=original.frac_coords @ np.linalg.inv(matrix),
        ),
        "niggli": given_.get_reduced_structure("niggli"),
        "supercell": given_.make_supercell(scaling, in_place=False),
    }
    frame = predict(same, model)
    # whether a sparse crystal is refused depends on the crystal alone, too
    assert frame["status"].nunique() == 1
    if frame["status"].iloc[0] != "ok":
        return
    assert values(frame) == close(np.repeat(values(frame)[:1], len(same), axis=0))


def test_shards_hold_the_values_of_direct_prediction(model, tmp_path):
    crystals = {f"c{seed}": crystal(seed) for seed in range(9)}
    crystals["hg"] = Crystal(np.array([80], np.int16), np.eye(3) * 3, np.zeros((1, 3)))
    crystals["far"] = Crystal(np.array([2], np.int16), np.eye(3) * 30, np.zeros((1, 3)))
    rows = pa.table(
        {
            "source": ["s"] * len(crystals),
            "material_id": list(crystals),
            KEY: list(crystals),
            "atomic_numbers": [c.atomic_numbers.tolist() for c in crystals.values()],
            "lattice": [c.lattice.ravel().tolist() for c in crystals.values()],
            "frac_coords": [c.frac_coords.ravel().tolist() for c in crystals.values()],
        }
    )
    jobs, _ = plan_graph_shards(tmp_path, GraphConfig(), iter([rows]), shard_size=4)
    for job in jobs:
        build_graph_shard(job, GraphConfig())
    wanted = ["c8", "hg", "c1", "far", *crystals]
    jobs, n_known = plan_prediction_shards(tmp_path, model, wanted, shard_size=3)
    assert n_known == 0
    states = [
        predict_shard(job, tmp_path, model, batch_size=2, device="cpu") for job in jobs
    ]
    assert sum(state.entry.n_rows for state in states) == 9
    shards = ShardSet(prediction_folder(tmp_path, read_card(model)))
    assert {key: r.reason for key, r in shards.refusals().items()} == {
        "hg": "unseen_element"
    }
    names = [name for name in crystals if name.startswith("c")]
    table = shards.read(names)
    direct = predict([crystals[name] for name in names], model)
    for target in TARGETS:
        assert table[target].to_pylist() == close(direct[target].tolist())
    assert plan_prediction_shards(tmp_path, model, wanted, shard_size=3) == ([], 10)
    again = predict_shard(jobs[0], tmp_path, model, batch_size=2, device="cpu")
    assert not again.was_built
