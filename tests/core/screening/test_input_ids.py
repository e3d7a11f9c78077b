"""Rows of several paths can be told apart, as those of one folder."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest
from pymatgen.core.structure import Structure

from crystalgnn_core.errors import SourceError
from crystalgnn_core.screening.inputs import read_inputs
from crystalgnn_core.sources.files.source import FilesSource
from crystalgnn_core.sources.ingest.run import read_source
from tests.core.sources.raw_records import fault_of

SALT = Structure(np.eye(3) * 3.3, ["Na", "Cl"], [[0.0] * 3, [0.5] * 3])
POSCAR, CIF = SALT.to(fmt="poscar"), SALT.to(fmt="cif")


@pytest.fixture
def runs(tmp_path, monkeypatch):
    for run in ("run1", "run2"):
        (tmp_path / run).mkdir()
        (tmp_path / run / "CONTCAR").write_text(POSCAR)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ids(*paths):
    return [record.material_id for record in read_inputs(list(paths))]


def test_equal_names_of_several_paths_are_distinct_ids(runs):
    """Case L01: `predict runs/*/CONTCAR` gave every row the id CONTCAR."""
    assert ids("run1/CONTCAR", "run2/CONTCAR") == ["run1/CONTCAR", "run2/CONTCAR"]
    both = [runs / "run1" / "CONTCAR", "run2/CONTCAR"]
    assert ids(*both) == ["run1/CONTCAR", "run2/CONTCAR"]
    assert ids("run1/../run1/CONTCAR", "./run2/CONTCAR") == ["run1/CONTCAR", "run2/CONTCAR"]


def test_names_that_differ_stay_short(runs):
    (runs / "run2" / "other.cif").write_text(CIF)
    (runs / "run1" / "salt.cif").write_text(CIF)
    (runs / "run1" / "salt.vasp").write_text(POSCAR)
    assert ids("run1/CONTCAR", "run2/other.cif") == ["CONTCAR", "other"]
    assert ids("run1/salt.cif", "run1/salt.vasp", "run2/other.cif") == [
        "run1/salt.cif",
        "run1/salt.vasp",
        "other",
    ]


def test_frames_tables_and_folders_are_told_apart_too(runs):
    for run in ("run1", "run2"):
        (runs / run / "many.cif").write_text(CIF + "\n" + CIF)
        pd.DataFrame({"cif": [CIF]}).to_csv(runs / run / "t.csv")
    shutil.copytree(runs / "run1", runs / "run3")
    assert ids("run1/many.cif", "run2/many.cif") == [
        *("run1/many-1", "run1/many-2", "run2/many-1", "run2/many-2")
    ]
    assert ids("run1/t.csv", "run2/t.csv") == ["run1/t/1", "run2/t/1"]
    found = ids("run1", "run3")
    assert len(set(found)) == len(found) == 8
    assert "run1/CONTCAR" in found


def test_a_refusal_is_told_by_its_new_id(runs):
    (runs / "run2" / "CONTCAR").write_text("")
    good, bad = read_inputs(["run1/CONTCAR", "run2/CONTCAR"])
    assert (good.material_id, good.error) == ("run1/CONTCAR", None)
    assert fault_of(bad)[1].startswith("run2/CONTCAR: CONTCAR: ")


def test_folders_in_folders_keep_their_way(runs):
    for top in ("a", "b"):
        shutil.copytree(runs / "run1", runs / top / "deep")
    assert ids("a", "b") == ["a/deep/CONTCAR", "b/deep/CONTCAR"]
    assert ids("a", "a/deep/CONTCAR") == ["deep/CONTCAR", "CONTCAR"]
    assert ids("run1", "run1/CONTCAR") == ["CONTCAR", "CONTCAR"]


def test_one_path_given_twice_and_names_of_the_user_stay(runs):
    assert ids("run1/CONTCAR", "run1/CONTCAR") == ["CONTCAR", "CONTCAR"]
    named = read_inputs({"a": "run1/CONTCAR", "b": "run2/CONTCAR", "CONTCAR": SALT})
    assert [record.material_id for record in named] == ["a", "b", "CONTCAR"]


def test_a_path_among_others_that_cannot_be_read_is_a_reject(tmp_path):
    SALT.to(str(tmp_path / "good.cif"))
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "folder").mkdir()
    names = ("good.cif", "empty.csv", "folder")
    good, empty, folder = read_inputs([tmp_path / name for name in names])
    assert good.crystal is not None
    assert empty.error is not None
    assert "empty" in empty.error[1]
    assert folder.error is not None
    assert "no structure files" in folder.error[1]
    with pytest.raises(SourceError, match="no structure files"):
        list(read_inputs(tmp_path / "folder"))


def test_structures_of_one_file_never_take_the_id_of_another_file(tmp_path):
    (tmp_path / "a.cif").write_text(CIF + SALT.to(fmt="cif"))
    (tmp_path / "a-1.cif").write_text(CIF)
    (tmp_path / "b.cif").write_text(CIF)
    (tmp_path / "b-1.cif").write_text(CIF)  # beside one structure, so no id is at stake
    found = [record.material_id for record in read_inputs(tmp_path)]
    assert found == ["a-1", "a.cif-1", "a.cif-2", "b-1", "b"]
    config = FilesSource(name="x", path=str(tmp_path))
    assert [record.material_id for record in read_source(config)] == found
    several = ids(tmp_path / "a.cif", tmp_path / "a-1.cif")
    assert several == ["a.cif-1", "a-2", "a-1"]
