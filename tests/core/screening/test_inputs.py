from __future__ import annotations

import gzip
import json

import ase.db
import numpy as np
import pandas as pd
import pytest
from ase import Atoms
from ase.io import write
from pymatgen.core.structure import Structure
from pymatgen.entries.computed_entries import ComputedStructureEntry

from crystalgnn_core.errors import InputError
from crystalgnn_core.screening.inputs import read_inputs
from tests.core.sources.vasprun_texts import vasprun_text

SALT = Structure(
    2.8 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]),
    ["Na", "Cl"],
    np.array([[0.0] * 3, [0.5] * 3]),
)
ATOMS = Atoms("NaCl", cell=SALT.lattice.matrix, scaled_positions=SALT.frac_coords, pbc=True)


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "frames.extxyz", [ATOMS, ATOMS], format="extxyz")
    write(tmp_path / "one.xyz", ATOMS, format="extxyz")
    with ase.db.connect(tmp_path / "rows.db") as database:
        database.write(ATOMS)
    entry = ComputedStructureEntry(SALT, -6.8, entry_id="mp-1")
    (tmp_path / "entry.json").write_text(json.dumps(entry.as_dict()))
    packed = gzip.compress(SALT.to_json().encode())
    (tmp_path / "bare.json.gz").write_bytes(packed)
    (tmp_path / "vasprun.xml").write_text(vasprun_text(SALT, -6.8, n_electronic=60))
    return tmp_path


IDS = {
    "frames.extxyz": ["frames-1", "frames-2"],
    "one.xyz": ["one"],
    "rows.db": ["rows"],
    "entry.json": ["mp-1"],
    "bare.json.gz": ["bare"],
    "vasprun.xml": ["vasprun"],
}


@pytest.mark.parametrize("name", IDS)
def test_structures_of_every_kind_of_file_are_inputs(folder, name):
    records = list(read_inputs(folder / name))
    assert [record.material_id for record in records] == IDS[name]
    for record in records:
        assert record.error is None
        assert record.crystal is not None
        assert record.crystal.atomic_numbers.tolist() == [11, 17]
        assert np.allclose(record.crystal.lattice, SALT.lattice.matrix)


def test_a_name_stands_for_the_rows_of_a_file(folder):
    records = read_inputs({"mine": folder / "frames.extxyz", "other": folder / "one.xyz"})
    assert [record.material_id for record in records] == ["mine-1", "mine-2", "other"]


def test_a_folder_is_searched_for_structures_but_not_for_databases_or_runs(folder):
    records = list(read_inputs(folder))
    ids = [record.material_id for record in records if record.error is None]
    assert ids == ["bare", "mp-1", "frames-1", "frames-2", "one"]
    refused = {record.material_id: record.error[0] for record in records if record.error}
    assert refused == dict.fromkeys(["rows.db", "vasprun.xml"], "unsupported_file")


def test_damaged_files_are_errors_of_their_own(tmp_path):
    (tmp_path / "cut.json.gz").write_bytes(gzip.compress(SALT.to_json().encode())[:-50])
    (tmp_path / "vasprun_cut.xml").write_text(vasprun_text(SALT, -6.8)[:3000])
    (tmp_path / "bad.xyz").write_text("3\n\nNa 0 0 0\n")
    for name in ("cut.json.gz", "vasprun_cut.xml", "bad.xyz"):
        [record] = read_inputs(tmp_path / name)
        assert record.error is not None
        assert record.error[0] == "unreadable_structure"


def ids_and_errors(structures):
    records = list(read_inputs(structures))
    return [record.material_id for record in records], [
        None if record.error is None else record.error[0] for record in records
    ]


def test_the_index_of_a_series_holds_the_ids(folder):
    given = {"b": SALT, "a": folder / "one.xyz", 7: ATOMS}
    assert ids_and_errors(pd.Series(given)) == (["b", "a", "7"], [None] * 3)
    filtered = pd.Series([SALT, ATOMS, SALT])[[False, True, True]]
    assert ids_and_errors(filtered)[0] == ["1", "2"]
    # a mere count of the rows names nothing, as in a list
    assert ids_and_errors(pd.Series([str(folder / "one.xyz"), SALT]))[0] == ["one", "1"]


def test_a_table_in_memory_is_read_as_one_in_a_file():
    cif = SALT.to(fmt="cif")
    frame = pd.DataFrame({"gap": 1.0, "cif": [cif, SALT.to_json(), "data_x", None]})
    errors = [None, None, "unreadable_structure", "unreadable_structure"]
    assert ids_and_errors(frame) == (["1", "2", "3", "4"], errors)
    frame.index = list("wxyz")
    assert ids_and_errors(frame) == (list("wxyz"), errors)
    frame["id"] = [10, 11, 12, 13]
    assert ids_and_errors(frame)[0] == ["10", "11", "12", "13"]
    objects = pd.DataFrame({"structure": [SALT, ATOMS]}, index=["s", "t"])
    assert ids_and_errors(objects) == (["s", "t"], [None, None])


def test_a_name_of_a_file_may_hold_line_breaks(folder):
    odd = (folder / "one.xyz").rename(folder / "a\nb.xyz")
    for inputs, ids in ((odd, ["a\nb"]), ([odd, folder / "entry.json"], ["a\nb", "mp-1"])):
        records = list(read_inputs(inputs))
        assert [record.material_id for record in records] == ids
        assert [record.error for record in records] == [None] * len(ids)


@pytest.mark.parametrize("text", ["data_x\n_cell_length_a 4\n", "data_x " * 100])
def test_a_text_in_place_of_a_path_is_refused_with_what_takes_one(text):
    with pytest.raises(InputError, match=r"data_x.*no such file.*StructureText"):
        list(read_inputs(text))


@pytest.mark.parametrize("name", [".xyz", ".cif", ".cif.gz"])
def test_a_file_of_a_suffix_alone_has_its_name_as_id(folder, name):
    own = name.removesuffix(".gz")
    contents = ((folder / "one.xyz").read_bytes(), None), (b"", "unreadable_structure")
    for content, reason in contents:
        packed = gzip.compress(content) if name.endswith(".gz") else content
        (folder / name).write_bytes(packed)
        [record] = read_inputs(folder / name)
        assert record.material_id == own
        assert (record.error and record.error[0]) == reason


@pytest.mark.parametrize("named", ["ID", "Material_ID", "Material ID", "mp-id"])
def test_letter_case_of_columns_in_memory_does_not_count(named):
    """As in a file."""
    frame = pd.DataFrame({named: ["a", "b"], "CIF": SALT.to(fmt="cif")})
    records = list(read_inputs(frame))
    assert [(one.material_id, one.error) for one in records] == [("a", None), ("b", None)]
    frame[f"{named} "] = ["c", "d"]
    with pytest.raises(InputError, match="several columns"):
        list(read_inputs(frame))


def test_ids_in_an_index_that_became_a_column_stay(tmp_path):
    frame = pd.DataFrame({"cif": SALT.to(fmt="cif")}, index=["a", "b"])
    frame.to_csv(tmp_path / "t.csv")
    for found in (pd.read_csv(tmp_path / "t.csv"), frame.reset_index()):
        assert [record.material_id for record in read_inputs(found)] == ["a", "b"]
    twice = pd.read_csv(tmp_path / "t.csv").assign(index=["c", "d"])
    twice.to_csv(tmp_path / "twice.csv", index=False)
    for both in (twice, tmp_path / "twice.csv"):
        assert [record.material_id for record in read_inputs(both)] == ["a", "b"]
    counted = frame.reset_index(drop=True).reset_index()
    assert [record.material_id for record in read_inputs(counted)] == ["1", "2"]


def test_a_table_without_structures_is_no_list_of_files():
    with pytest.raises(InputError, match=r"no column cif or structure.*gap, path"):
        list(read_inputs(pd.DataFrame({"gap": [1.0], "path": ["x.cif"]})))


def test_a_missing_path_names_the_nearest_one(folder):
    with pytest.raises(InputError, match=r"did you mean one\.xyz\?"):
        list(read_inputs(folder / "one.xy"))
