"""`crystalgnn predict`: every input once, in order, with its values or its reason."""

import sys

import numpy as np
import pandas as pd
import pytest
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from deployments.cli import main

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
    "e-isolated": (Structure(Lattice.cubic(60), ["Cu"], [[0, 0, 0]]), "isolated_atom"),
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
