"""`crystalgnn predict`: every input once, in order, with its values or its reason."""

import gzip
import io
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from crystalgnn_core.records.crystal import structure_from_crystal
from deployments.cli import main
from tests.core.random_crystals import with_lonely_atom
from tests.paths import WEIGHTS

SALT = Structure.from_spacegroup(
    "Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]
)
COPPER = Structure(Lattice.cubic(3.61 / 2**0.5), ["Cu"], [[0, 0, 0]])
SKEW = np.array([[1, 0, 0], [3, 1, 0], [-2, 3, 1]])  # the same crystal in a long thin cell
INPUTS: dict[str, tuple[Structure | None, str]] = {
    "a-good": (SALT, "ok"),
    "b-unreadable": (None, "unreadable_structure"),
    "c-disordered": (
        Structure(Lattice.cubic(3), [{"Cu": 0.5, "Au": 0.5}], [[0, 0, 0]]),
        "disordered_site",
    ),
    "d-overlap": (
        Structure(Lattice.cubic(4), ["Cu", "Cu"], [[0.0, 0, 0], [0.02, 0, 0]]),
        "overlapping_atoms",
    ),
    "e-isolated": (structure_from_crystal(with_lonely_atom(29)), "isolated_atom"),
    "f-one-atom": (COPPER, "ok"),
    "g-skewed": (SALT.make_supercell(SKEW.tolist(), in_place=False), "ok"),
    "h-unseen": (Structure(Lattice.cubic(4), ["Pu"], [[0, 0, 0]]), "unseen_element"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("candidates")
    for name, (structure, _) in INPUTS.items():
        text = "data_broken\nloop_\n" if structure is None else structure.to(fmt="cif")
        (path / f"{name}.cif").write_text(text)
    return path


@pytest.fixture
def predict(monkeypatch, capsys, trained_store, tmp_path):
    def call(*arguments: object) -> str:
        options = ("--store", trained_store.path)
        command = ["crystalgnn", "predict", *map(str, (*arguments, *options))]
        monkeypatch.setattr(sys, "argv", command)
        monkeypatch.chdir(tmp_path)
        with pytest.raises(SystemExit) as end:
            main()
        assert not end.value.code
        return capsys.readouterr().out

    return call


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_table_holds_every_input_once_and_in_order(predict, folder, tmp_path, suffix):
    out = predict(folder, "--output", f"table.{suffix}")
    path = tmp_path / f"table.{suffix}"
    table = pd.read_csv(path) if suffix == "csv" else pd.read_parquet(path)
    assert table["material_id"].tolist() == list(INPUTS)
    assert table["status"].tolist() == [reason for _, reason in INPUTS.values()]
    is_ok = table["status"] == "ok"
    targets = ["formation_energy_per_atom", "band_gap"]
    assert table.loc[is_ok, targets].notna().all(axis=None)
    assert table.loc[~is_ok, targets].isna().all(axis=None)
    assert table.loc[~is_ok, "message"].str.len().gt(10).all()
    assert f"{len(INPUTS)} in = 3 predicted + 5 rejected" in out
    assert f"table    table.{suffix}" in out


def test_skewed_cell_of_the_same_crystal_has_the_same_values(predict, folder, tmp_path):
    predict(folder, "--output", "table.parquet")
    table = pd.read_parquet(tmp_path / "table.parquet").set_index("material_id")
    for name in ("formation_energy_per_atom", "band_gap"):
        # float32 network; CIF files keep 8 decimals of the coordinates
        assert table.loc["g-skewed", name] == pytest.approx(
            table.loc["a-good", name], abs=1e-4
        )


def test_terminal_table_shows_values_and_reasons(predict, folder):
    out = "".join(predict(folder).split())
    for name, (_, reason) in INPUTS.items():
        assert name in out
        assert reason in out
    assert "8in=3predicted+5rejected" in out
    assert "eV/atom" in out


def test_files_and_folders_keep_the_order_in_which_they_are_given(
    predict, folder, tmp_path
):
    files = [folder / "f-one-atom.cif", folder / "a-good.cif"]
    predict(*files, folder, "--output", "table.csv")
    ids = pd.read_csv(tmp_path / "table.csv")["material_id"].tolist()
    assert ids == ["f-one-atom", "a-good", *INPUTS]


def lines_of(out):
    return [" ".join(line.split()) for line in out.splitlines()]


def value_in(line):
    return float(line.split("energy_per_atom ")[1].split()[0])


def test_one_structure_gives_a_line_a_target_and_its_novelty(predict, folder, tmp_path):
    out = lines_of(predict(folder / "a-good.cif"))
    assert len(out) == 3
    assert out[2].startswith("a-good (NaCl) novelty ")
    scheme = out[0].rpartition("[")[2]
    assert out[0].startswith("a-good (NaCl) formation_energy_per_atom ")
    assert out[0].endswith(f" eV/atom [{scheme}")
    assert out[1].startswith("a-good (NaCl) band_gap ")
    assert out[1].endswith(f" eV [{scheme}")
    predict(folder / "a-good.cif", "--output", "table.parquet")
    [value] = pd.read_parquet(tmp_path / "table.parquet")["formation_energy_per_atom"]
    assert value_in(out[0]) == pytest.approx(value, abs=6e-5)  # four decimals


def test_one_structure_without_a_prediction_says_why(predict, folder):
    [line] = lines_of(predict(folder / "h-unseen.cif"))
    assert line.startswith("h-unseen (Pu) unseen_element: Pu did not occur in the training")


def test_a_folder_with_one_structure_gives_a_table(predict, folder, tmp_path):
    (tmp_path / "one").mkdir()
    text = (folder / "a-good.cif").read_text()
    (tmp_path / "one" / "salt.cif").write_text(text)
    assert "1 in = 1 predicted + 0 rejected" in predict("one")


@pytest.fixture
def typed(monkeypatch):
    def call(text: str) -> None:
        stream = io.TextIOWrapper(io.BytesIO(text.encode()))
        monkeypatch.setattr(sys, "stdin", stream)

    return call


@pytest.mark.parametrize("form", ["cif", "poscar", "json"])
def test_standard_input_is_told_apart_by_its_content(predict, folder, typed, form):
    [expected, *_] = lines_of(predict(folder / "a-good.cif"))
    typed("\ufeff\n" + SALT.to(fmt=form) if form == "cif" else SALT.to(fmt=form))
    line, *_ = lines_of(predict("-"))
    assert line.startswith("stdin (NaCl) formation_energy_per_atom ")
    assert value_in(line) == pytest.approx(value_in(expected), abs=2e-4)


def test_several_structures_on_standard_input_give_a_table(predict, folder, typed):
    typed(json.dumps([SALT.as_dict(), {"atoms": {}}, COPPER.as_dict()]))
    predict(folder / "f-one-atom.cif", "-", "--output", "table.csv")
    table = pd.read_csv("table.csv")
    ids = ["f-one-atom", "stdin-1", "stdin-2", "stdin-3"]
    assert table["material_id"].tolist() == ids
    assert table["status"].tolist() == ["ok", "ok", "unreadable_structure", "ok"]


def test_standard_input_that_cannot_be_used_is_a_user_error(
    run, trained_store, typed, monkeypatch
):
    options = ("--store", trained_store.path)
    typed(" \n")
    outcome = run("predict", "-", *options)
    assert outcome.code == 2
    assert "nothing on standard input; expected a CIF" in outcome.err
    outcome = run("predict", "-", "-", *options)
    assert outcome.code == 2
    assert "- is given twice" in outcome.err


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_every_row_of_a_table_of_structures_is_kept(predict, tmp_path, suffix):
    texts = ["" if s is None else s.to(fmt="cif") for s, _ in INPUTS.values()]
    frame = pd.DataFrame({"id": list(INPUTS), "cif": texts})
    path = tmp_path / f"inputs.{suffix}"
    (frame.to_csv if suffix == "csv" else frame.to_parquet)(path, index=False)
    predict(path, "--output", "table.csv")
    table = pd.read_csv(tmp_path / "table.csv")
    assert table["material_id"].tolist() == list(INPUTS)
    assert table["status"].tolist() == [reason for _, reason in INPUTS.values()]


def test_a_table_needs_structures_but_no_ids(run, trained_store, tmp_path):
    frame = pd.DataFrame({"structure": [json.dumps(SALT.as_dict()), None], "x": [1, 2]})
    frame.to_parquet(tmp_path / "inputs.parquet")
    options = ("--store", trained_store.path)
    outcome = run("predict", "inputs.parquet", "--output", "table.csv", *options)
    assert outcome.code == 0
    table = pd.read_csv("table.csv")
    assert table["material_id"].astype(str).tolist() == ["1", "2"]
    assert table["status"].tolist() == ["ok", "unreadable_structure"]
    assert table["message"][1].startswith("2: inputs.parquet row 2: column structure")
    frame[["x"]].to_parquet(tmp_path / "other.parquet")
    outcome = run("predict", "other.parquet", *options)
    assert outcome.code == 2
    assert "other.parquet has no column cif or structure" in outcome.err
    frame.iloc[:0].to_parquet(tmp_path / "empty.parquet")
    outcome = run("predict", "empty.parquet", *options)
    assert "the table holds no rows" in outcome.err


def test_files_of_a_folder_that_are_left_out_are_counted(run, trained_store, tmp_path):
    folder = tmp_path / "mixed"
    folder.mkdir()
    (folder / "salt.cif.gz").write_bytes(gzip.compress(SALT.to(fmt="cif").encode()))
    for name in ("a.csv", "b.csv", "c.png", "README.md"):
        (folder / name).write_bytes(b"\x89PNG" if name == "c.png" else b"x\n")
    outcome = run("predict", folder, "--store", trained_store.path)
    assert outcome.code == 0
    assert "4 in = 1 predicted + 3 rejected" in outcome.out
    assert "3 files left out: *.csv 2, *.png 1" in outcome.out
    assert "salt" in outcome.out


def test_a_published_model_is_used_by_name(run, folder, tmp_path, monkeypatch):
    name = "cgcnn-mp2018-formation-energy"
    source = WEIGHTS / "cgcnn" / "formation-energy-per-atom.pth.tar"
    if not source.is_file():
        pytest.skip("published weights are not at hand")
    monkeypatch.setenv("CRYSTALGNN_CACHE", str(tmp_path / "cache"))
    downloads = tmp_path / "cache" / "downloads" / "cgcnn"
    downloads.mkdir(parents=True)
    shutil.copy(source, downloads)
    listed = run("models", "pretrained").out
    assert name in listed
    assert "cgcnn         Xie & Grossman, Phys. Rev. Lett. 120, 145301 (2018); ht" in listed
    assert listed.count("yes") == 9  # eight checked, one at hand
    bundle = run("models", "pretrained", name).out.strip()
    assert (Path(bundle) / "card.json").is_file()
    outcome = run("predict", folder / "a-good.cif", "--model", name)
    assert outcome.code == 0
    line, note = lines_of(outcome.out)
    assert line.startswith("a-good (NaCl) formation_energy_per_atom -")
    assert line.endswith("eV/atom [MP legacy]")
    assert note == "note published error 0.039 eV/atom (test rows, paper)"
