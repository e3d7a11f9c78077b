from __future__ import annotations

import gzip
import json
from typing import Any

import numpy as np
import pytest
from monty.json import MontyEncoder
from pymatgen.core.structure import Structure
from pymatgen.entries.computed_entries import ComputedStructureEntry

from crystalgnn_core.sources.formats import archives
from crystalgnn_core.sources.formats.json_rows import open_json_rows
from crystalgnn_core.sources.formats.structure_input import read_structures

SALT = Structure(
    2.8 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]),
    ["Na", "Cl"],
    np.array([[0.0] * 3, [0.5] * 3]),
)


def entry(number=0, **settings):
    values: dict[str, Any] = {
        "correction": -0.614,
        "parameters": {"run_type": "GGA", "hubbards": {}},
        "data": {"band_gap": 5.0, "e_hull": 0.0},
        "entry_id": f"mp-{number}",
    }
    return ComputedStructureEntry(SALT, -6.8 - number, **(values | settings))


def put(path, value):
    text = json.dumps(value, cls=MontyEncoder)
    packed = gzip.compress(text.encode()) if path.name.endswith(".gz") else text.encode()
    path.write_bytes(packed)
    return path


def rows_of(path):
    rows = open_json_rows(path)
    assert rows is not None
    return rows


@pytest.mark.parametrize("name", ["e.json", "e.json.gz"])
def test_a_list_of_entries_has_structures_energies_and_data(tmp_path, name):
    path = put(tmp_path / name, [entry(0), entry(1, entry_id=None)])
    inputs = list(rows_of(path).inputs())
    assert [given.material_id for given in inputs] == ["mp-0", "e-2"]
    values = inputs[1].values
    assert (values["uncorrected_energy"], values["correction"]) == (-7.8, -0.614)
    assert values["corrected_energy"] == pytest.approx(entry(1).energy)
    assert (values["run_type"], values["band_gap"]) == ("GGA", 5.0)
    records = read_structures(inputs)
    assert records[0].crystal is not None
    assert records[0].crystal.atomic_numbers.tolist() == [11, 17]


def test_an_energy_that_is_no_number_is_for_the_labels_to_name(tmp_path):
    given = {**entry(0).as_dict(), "energy": 10**400}
    values = next(rows_of(put(tmp_path / "e.json", [given])).inputs()).values
    assert (values["uncorrected_energy"], values["corrected_energy"]) == (10**400, None)


def test_an_object_of_entries_takes_its_keys_for_ids(tmp_path):
    path = put(tmp_path / "e.json", {"mine": entry(0), "yours": entry(1)})
    assert [given.material_id for given in rows_of(path).inputs()] == ["mine", "yours"]
    rows = rows_of(path)
    [part] = rows.slices(9)
    assert [given.material_id for given in rows.rows(part, "entry_id")] == ["mp-0", "mp-1"]


def test_a_single_entry_is_one_row(tmp_path):
    path = put(tmp_path / "e.json", entry(3))
    assert [given.material_id for given in rows_of(path).inputs()] == ["mp-3"]
    path = put(tmp_path / "e.json", entry(3, entry_id=None))
    assert [given.material_id for given in rows_of(path).inputs()] == ["e"]


@pytest.mark.parametrize("name", ["e.json", "e.json.gz"])
@pytest.mark.parametrize("make", [list, lambda found: {e.entry_id: e for e in found}])
def test_ranges_of_entries_add_up(tmp_path, name, make):
    path = put(tmp_path / name, make([entry(number) for number in range(10)]))
    rows = rows_of(path)
    for size in (1, 4, 10):
        parts = rows.slices(size)
        found = [[given.material_id for given in rows.rows(part)] for part in parts]
        assert [len(ids) for ids in found] == [part["n_rows"] for part in parts]
        joined = [name for names in found for name in names]
        assert joined == [f"mp-{number}" for number in range(10)]


def test_an_archive_is_cut_into_few_ranges(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "_MAX_SLICES", 3)
    path = put(tmp_path / "e.json.gz", [entry(number) for number in range(10)])
    rows = rows_of(path)
    parts = rows.slices(1)
    assert [part["n_rows"] for part in parts] == [4, 4, 2]
    found = [given.material_id for part in parts for given in rows.rows(part)]
    assert found == [f"mp-{number}" for number in range(10)]


def test_bad_members_are_errors_and_a_cut_file_ends_with_one(tmp_path):
    bad = {"energy": 1.0, "structure": {"lattice": 3}}
    path = put(tmp_path / "e.json", [entry(0), bad, {"x": 1}, 3, entry(1)])
    records = read_structures(list(rows_of(path).inputs()))
    assert [record.error is None for record in records] == [True, False, False, False, True]
    assert all(r.error is None or r.error[0] == "unreadable_structure" for r in records)
    path.write_text(path.read_text()[:-40])
    records = read_structures(list(rows_of(path).inputs()))
    assert [record.error is None for record in records][3:] == [False, False]
    assert len(records) == 5


OTHERS = {
    "structure": SALT.as_dict(),
    "structures": [SALT.as_dict()],
    "texts": [SALT.to(fmt="cif")],
    "nothing": [],
    "number": 3,
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_json_is_none_of_these(tmp_path, name):
    assert open_json_rows(put(tmp_path / "o.json", OTHERS[name])) is None


def test_what_is_no_json_is_none_of_these(tmp_path):
    for content in (b"", b"\x1f\x8b", b"[", b'{"a', bytes(range(256))):
        for name in ("x.json", "x.json.gz"):
            (tmp_path / name).write_bytes(content)
            assert open_json_rows(tmp_path / name) is None
