"""Forms in which people keep structures in JSON: each gives its rows, ids and values."""

from __future__ import annotations

import gzip
import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from monty.json import MontyEncoder
from pymatgen.core.structure import Structure
from pymatgen.entries.computed_entries import ComputedStructureEntry

from crystalgnn_core.screening.inputs import StructureText, read_inputs
from crystalgnn_core.sources.formats import json_layout
from crystalgnn_core.sources.formats.columns import ID_COLUMNS
from crystalgnn_core.sources.formats.json_rows import open_json_rows
from crystalgnn_core.sources.formats.structure_input import read_structures
from crystalgnn_core.sources.formats.structures import iter_structure_file
from tests.paths import DATA

SALT = Structure(2.82 * (1 - np.eye(3)), ["Na", "Cl"], np.array([[0.0] * 3, [0.5] * 3]))
OXIDE = Structure(2.1 * (1 - np.eye(3)), ["Mg", "O"], np.array([[0.0] * 3, [0.5] * 3]))
STRUCTURES = [SALT.as_dict(), OXIDE.as_dict()]
CIFS = [SALT.to(fmt="cif"), OXIDE.to(fmt="cif")]
IDS, GAPS = ["mp-1", "mp-2"], [5.0, 4.5]
ENTRIES = [
    ComputedStructureEntry(
        structure, -6.8, data={"gap": gap}, entry_id=f"{name}-GGA", correction=-0.5
    ).as_dict()
    for structure, gap, name in zip([SALT, OXIDE], GAPS, IDS, strict=True)
]


def jarvis(structure):
    return {
        "lattice_mat": structure.lattice.matrix.tolist(),
        "coords": structure.frac_coords.tolist(),
        "elements": [site.species_string for site in structure],
        "cartesian": False,
    }


def documents(**columns):
    """List the rows of a table of columns as documents."""
    names = columns.keys()
    rows = zip(*columns.values(), strict=True)
    return [dict(zip(names, row, strict=True)) for row in rows]


ATOMS = [jarvis(SALT), jarvis(OXIDE)]
DOCUMENTS = documents(material_id=IDS, structure=STRUCTURES, gap=GAPS)
FRAME = pd.DataFrame(DOCUMENTS)
NAMED = FRAME.drop(columns="material_id").set_index(pd.Index(IDS))
BARE = FRAME.drop(columns="material_id")
NUMBERED = ["rows-1", "rows-2"]
BY_COUNT = ["rows-0", "rows-1"]  # as pandas counts


def orient(frame, name):
    return json.loads(frame.to_json(orient=name))


BARE_ROW = {"structure": STRUCTURES[0], "gap": 5.0}
FORMS = {
    # mp-api users dump lists of SummaryDoc
    "summary documents": (DOCUMENTS, IDS),
    "one document": (DOCUMENTS[0], IDS[:1]),
    "an answer of a service": ({"data": DOCUMENTS, "meta": {"total_doc": 2}}, IDS),
    # QMOF#38, txie-93/cgcnn#44
    "QMOF": (documents(qmof_id=IDS, name=["a", "b"], structure=STRUCTURES, gap=GAPS), IDS),
    # JARVIS figshare sets such as alexandria, oqmd and megnet
    "other ids of JARVIS": (documents(id=IDS, atoms=ATOMS, gap=GAPS), IDS),
    "CIF texts": (documents(id=IDS, cif=CIFS, gap=GAPS), IDS),
    "CIF texts under structure": (documents(id=IDS, structure=CIFS, gap=GAPS), IDS),
    "another name": (documents(id=IDS, final_structure=STRUCTURES, gap=GAPS), IDS),
    "structures by id": (dict(zip(IDS, STRUCTURES, strict=True)), IDS),
    "atoms by id": (dict(zip(IDS, ATOMS, strict=True)), IDS),
    "numbers that are ids": (dict(zip(["9008460", "77"], STRUCTURES, strict=True)),
                             ["9008460", "77"]),
    "documents by id": ({name: {"structure": held, "gap": gap} for name, held, gap
                         in zip(IDS, STRUCTURES, GAPS, strict=True)}, IDS),
    "CIF texts by id": (dict(zip(IDS, CIFS, strict=True)), IDS),
    "JSON texts by id": (dict(zip(IDS, map(json.dumps, STRUCTURES), strict=True)), IDS),
    "names in capitals": (documents(ID=IDS, CIF=CIFS, gap=GAPS), IDS),
    "names in words": (documents(**{"Material-ID": IDS, "Structure": STRUCTURES,
                                    "gap": GAPS}), IDS),
    "columns in capitals": ({"ID": IDS, "CIF": CIFS, "gap": GAPS}, IDS),
    "wrapped CIF texts": ({"cifs": CIFS, "ids": IDS, "gap": GAPS}, IDS),
    "wrapped CIF texts by id": ({"structures": dict(zip(IDS, CIFS, strict=True))}, IDS),
    "a wrapped list": ({"structures": STRUCTURES}, NUMBERED),
    "a wrapped list beside others": ({"version": 2, "notes": [1, 2, 3],
                                      "structures": STRUCTURES, "gap": GAPS,
                                      "material_ids": IDS}, IDS),
    "a wrapped object": ({"structures": dict(zip(IDS, STRUCTURES, strict=True))}, IDS),
    "wrapped documents": ({"n": 2, "materials": DOCUMENTS}, IDS),
    "entries": (ENTRIES, ["mp-1-GGA", "mp-2-GGA"]),
    # Alexandria's files
    "wrapped entries": ({"entries": ENTRIES}, ["mp-1-GGA", "mp-2-GGA"]),
    "split": (orient(FRAME, "split"), IDS),
    "split with an index": (orient(NAMED, "split"), IDS),
    # matbench and matminer
    "split without ids": (orient(BARE, "split"), BY_COUNT),
    "records": (orient(FRAME, "records"), IDS),
    "columns": (orient(FRAME, "columns"), IDS),
    "columns with an index": (orient(NAMED, "columns"), IDS),
    "columns without ids": (orient(BARE, "columns"), BY_COUNT),
    "index": (orient(FRAME, "index"), IDS),
    "index with ids": (orient(NAMED, "index"), IDS),
    "lists": (FRAME.to_dict("list"), IDS),
    "lists of CIFs": ({"id": IDS, "cif": CIFS, "gap": GAPS}, IDS),
    "columns of CIFs": ({"cif": dict(zip(IDS, CIFS, strict=True)),
                         "gap": dict(zip(IDS, GAPS, strict=True))}, IDS),
    # matbench-discovery's mp-computed-structure-entries and wbm frames
    "a frame of entries": (orient(pd.DataFrame(documents(material_id=IDS, entry=ENTRIES)),
                                  "columns"), IDS),
    "a frame of entries by id": ({"computed_structure_entry":
                                  dict(zip(IDS, ENTRIES, strict=True))}, IDS),
    "records of entries": (documents(material_id=IDS, computed_structure_entry=ENTRIES),
                           IDS),
}  # fmt: skip


def put(path, text):
    content = text.encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def open_rows(path: Any) -> Any:
    rows = open_json_rows(path)
    assert rows is not None
    return rows


def records_of(inputs: Any) -> Any:
    return read_structures(inputs)


def any_inputs(structures: Any) -> Any:
    return read_inputs(structures)


def gaps_of(inputs, name="gap"):
    return [dict(given.values).get(name) for given in inputs]


def check(inputs, ids):
    check_records(records_of(inputs), ids)


def check_records(records, ids):
    assert [record.error for record in records] == [None] * len(ids)
    assert [record.material_id for record in records] == ids
    for record, structure in zip(records, [SALT, OXIDE], strict=False):
        assert record.crystal.atomic_numbers.tolist() == [s.specie.Z for s in structure]
        volume = abs(np.linalg.det(record.crystal.lattice))
        assert np.isclose(volume / len(structure), structure.volume / 2)
        assert np.allclose(np.ptp(record.crystal.frac_coords, axis=0), 0.5)


@pytest.mark.parametrize("name", FORMS)
def test_each_form_gives_its_rows_ids_and_values_in_parts_that_add_up(tmp_path, name):
    value, ids = FORMS[name]
    rows = open_rows(put(tmp_path / "rows.json", json.dumps(value)))
    inputs = list(rows.inputs())
    check(inputs, ids)
    if "gap" in json.dumps(value):
        assert gaps_of(inputs) == GAPS[: len(ids)]
    parts = [list(rows.rows(part)) for part in rows.slices(1)]
    assert [len(part) for part in parts] == [1] * len(ids)
    found = [(given.material_id, gaps_of([given])) for [given] in parts]
    assert found == [(given.material_id, gaps_of([given])) for given in inputs]


@pytest.mark.parametrize("name", sorted(FORMS.keys() - {"one document"}))
def test_a_form_too_long_to_be_looked_at_whole_gives_the_same(tmp_path, monkeypatch, name):
    value, ids = FORMS[name]
    text = json.dumps(value)
    monkeypatch.setattr(json_layout, "_LONGEST", int(0.8 * len(text)))
    check(list(open_rows(put(tmp_path / "rows.json", text)).inputs()), ids)


@pytest.mark.parametrize("name", FORMS)
def test_each_form_is_read_as_text_too(name):
    value, ids = FORMS[name]
    records = list(any_inputs(StructureText(json.dumps(value), "text")))
    own = [None if given.startswith("rows-") else given for given in ids]
    numbered = [given or f"text-{number}" for number, given in enumerate(own, start=1)]
    assert [record.material_id for record in records] == numbered
    assert all(record.crystal is not None for record in records)


@pytest.mark.parametrize("key", ID_COLUMNS)
def test_the_usual_names_of_ids_are_known(tmp_path, key):
    path = put(tmp_path / "rows.json", json.dumps(documents(**{key: IDS}, atoms=ATOMS)))
    check(list(open_rows(path).inputs()), IDS)


@pytest.mark.parametrize("suffix", ["json", "jsonl", "json.gz"])
def test_lines_of_json_are_rows_and_a_broken_one_is_a_reject(tmp_path, suffix):
    lines = [json.dumps(document) for document in DOCUMENTS]
    path = put(tmp_path / f"rows.{suffix}", "\n".join([lines[0], "", lines[1], ""]))
    rows = open_rows(path)
    check(list(rows.inputs()), IDS)
    assert [part["offset"] for part in rows.slices(1)] == [0, len(lines[0]) + 2]
    put(path, "\n".join([lines[0], lines[0][:-30], lines[1]]))
    records = records_of(list(open_rows(path).inputs()))
    assert [record.crystal is None for record in records] == [False, True, False]
    assert "row 2: not valid JSON" in records[1].error[1]


def test_the_200_documents_of_the_materials_project_are_read():
    path = DATA / "mp_summary_docs.json"
    if not path.is_file():
        pytest.skip("the shared data are absent")
    inputs = list(open_rows(path).inputs())
    records = records_of(inputs)
    expected = json.loads(path.read_text())
    assert len(records) == len({record.material_id for record in records}) == 200
    for given, record, document in zip(inputs, records, expected, strict=True):
        sites = document["structure"]["sites"]
        assert len(record.crystal.atomic_numbers) == len(sites)
        [gap] = gaps_of([given], "band_gap")
        assert gap == document["band_gap"]


def refusals(tmp_path, text):
    path = put(tmp_path / "rows.json", text)
    records = list(any_inputs(path))
    assert all(record.crystal is None for record in records)
    return [(record.material_id, record.error[1]) for record in records]


def test_answers_of_optimade_name_the_source_that_reads_them(tmp_path):
    attributes = {"nsites": 2, "lattice_vectors": SALT.lattice.matrix.tolist()}
    entries = [{"id": name, "type": "structures", "attributes": attributes} for name in IDS]
    answer = {"data": entries, "meta": {"api_version": "1.1.0", "data_returned": 2}}
    for value in (answer, entries, answer | {"data": entries[0]}):
        found = refusals(tmp_path, json.dumps(value))
        assert all("read its provider with --source optimade" in why for _, why in found)
    assert [name for name, _ in refusals(tmp_path, json.dumps(answer))] == IDS
    assert len(refusals(tmp_path, json.dumps(answer | {"data": entries[0]}))) == 1


NAMED_SALT = STRUCTURES[0] | {"properties": {"material_id": "mp-1"}}
ONE_ROW = {
    # pymatgen keeps them in the structure
    "properties of a structure": (NAMED_SALT, "mp-1"),
    "properties of a structure in a list": ([NAMED_SALT], "mp-1"),
    "a document of maps": (
        {"relaxed": STRUCTURES[0], "thermo": {"e": 1.0}, "tags": ["a"]},
        "rows",
    ),
    # atomate's tasks
    "a task": ({"task_id": "mp-1", "output": {"structure": STRUCTURES[0]}}, "mp-1"),
    "a relaxation": (
        {"final": STRUCTURES[0], "n": 1, "steps": [{"structure": STRUCTURES[1]}]},
        "rows",
    ),
    "a list of tasks": ([{"task_id": "mp-1", "output": DOCUMENTS[0], "n": 1}], "mp-1"),
}


@pytest.mark.parametrize("name", ONE_ROW)
def test_a_structure_under_a_name_of_its_own_is_the_row(tmp_path, name):
    value, material_id = ONE_ROW[name]
    path = put(tmp_path / "rows.json", json.dumps(value))
    check_records(list(iter_structure_file(path)), [material_id])


SALT_DOCUMENT = json.dumps(DOCUMENTS[0])
PRETTY = [json.dumps(document, indent=2) for document in DOCUMENTS]
MANY_FRAMES = {f"mp-{n}": {f"mp-{n}-0": {"structure": STRUCTURES[0]}} for n in range(90)}
REFUSED_ONCE = {
    # mongoexport --pretty, and jq . of a file of lines
    "documents one after another": ("\n".join(PRETTY), "several JSON documents"),
    "documents on one line": (SALT_DOCUMENT * 2, "several JSON documents"),
    "lines that end with a comma": (f"{SALT_DOCUMENT},\n" * 2, "several JSON documents"),
    "a first line that is cut": (
        f"{SALT_DOCUMENT[:-9]}\n{SALT_DOCUMENT}\n{SALT_DOCUMENT}",
        "not valid JSON",
    ),
    "a task of two structures": (
        json.dumps({"task_id": "a", "output": DOCUMENTS[0], "input": DOCUMENTS[1]}),
        "output, input hold structures; choose one",
    ),
    # Vasprun.as_dict of pymatgen
    "a run": (
        json.dumps(
            {"vasp_version": "6", "elements": ["Na"], "output": {"crystal": STRUCTURES[0],
             "e": 1}, "input": {"crystal": STRUCTURES[1], "n": 1}}
        ),
        "output, input hold structures; choose one",
    ),
    "an example in front of rows": (
        json.dumps({"version": 1, "example": STRUCTURES[0], "data": DOCUMENTS}),
        "data holds rows, and structures stand beside it",
    ),
    "an example in a document in front of rows": (
        json.dumps({"meta": {"structure": STRUCTURES[0]}, "data": DOCUMENTS}),
        "data holds rows, and structures stand beside it",
    ),
    # MPtrj: frames by their ids, in an object by the ids of materials
    "frames by id": (json.dumps(MANY_FRAMES), "mp-19 and 70 more hold structures each"),
    "splits": (json.dumps({"train": DOCUMENTS, "test": DOCUMENTS}), "give each a file"),
}  # fmt: skip


def test_what_all_rows_have_in_common_and_failed_rows_cost_no_other(tmp_path):
    rows = {name: {"structure": held} for name, held in zip(IDS, STRUCTURES, strict=True)}
    beside = put(tmp_path / "rows.json", json.dumps({"version": "1.0", **rows}))
    records = records_of(list(open_rows(beside).inputs()))
    assert [record.material_id for record in records] == ["version", *IDS]
    assert [record.crystal is None for record in records] == [True, False, False]
    many = {f"m-{n}": "failed" if n % 3 == 0 else DOCUMENTS[0] for n in range(60)}
    records = records_of(list(open_rows(put(beside, json.dumps(many))).inputs()))
    assert [record.crystal is None for record in records] == [n % 3 == 0 for n in range(60)]


def test_steps_beside_the_last_structure_are_no_rows(tmp_path):
    content = {"relaxed": STRUCTURES[0], "energy": -1.0, "trajectory": STRUCTURES}
    [record] = any_inputs(put(tmp_path / "rows.json", json.dumps(content)))
    assert record.crystal is not None


@pytest.mark.parametrize("name", REFUSED_ONCE)
def test_what_may_be_read_in_two_ways_is_refused_once(tmp_path, name):
    text, expected = REFUSED_ONCE[name]
    [(_, why)] = refusals(tmp_path, text)
    assert expected in why
    assert len(why) < 500
    [record] = any_inputs(StructureText(text, "rows"))
    assert expected in record.error[1]


def test_rows_in_front_without_a_structure_lose_no_row_behind_them(tmp_path):
    for empty in ({"structure": None, "gap": 1.0}, {"gap": 1.0}):
        by_id = {f"x{n}": empty for n in range(20)} | {"mp-1": BARE_ROW}
        rows = [row | {"id": name} for name, row in by_id.items()]
        columns = {
            key: [row.get(key) for row in rows] for key in ("id", "structure", "gap")
        }
        for value in (by_id, rows, columns):
            path = put(tmp_path / "r.json", json.dumps(value))
            records = records_of(list(open_rows(path).inputs()))
            assert [record.material_id for record in records] == list(by_id)
            assert [r.material_id for r in records if r.error is None] == ["mp-1"]


def test_broken_members_are_rejects_among_rows_by_their_ids(tmp_path):
    by_id = {"version": 2, **{f"x{n}": DOCUMENTS[0] for n in range(8)}, "y": [1]}
    path = put(tmp_path / "r.json", json.dumps(by_id))
    records = records_of(list(open_rows(path).inputs()))
    assert [record.material_id for record in records] == list(by_id)
    assert [r.material_id for r in records if r.error is not None] == ["version", "y"]


def test_ids_that_are_no_match_for_the_structures_are_refused(tmp_path):
    value = {"material_id": ["a", "b", "c"], "structures": STRUCTURES, "notes": [1]}
    path = put(tmp_path / "rows.json", json.dumps(value))
    for _, why in refusals(tmp_path, json.dumps(value)):
        assert "material_id has 3 values, but there are 2 structures" in why
    del value["material_id"]
    put(path, json.dumps(value))
    records = records_of(list(open_rows(path).inputs()))
    assert [record.error for record in records] == [None, None]


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        ("na", "column cif holds 'na', expected CIF text or JSON"),
        ("salt.cif", "give the text of that file"),
        (SALT_DOCUMENT.join(['"', '"']), "decode it once more"),
    ],
)
def test_a_text_that_is_no_structure_is_named(tmp_path, held, expected):
    """JARVIS writes `na` where it has none; others write the names of files."""
    text = json.dumps([{"id": "a", "cif": held}, {"id": "b", "cif": CIFS[0]}])
    refused, kept = records_of(list(open_rows(put(tmp_path / "rows.json", text)).inputs()))
    assert kept.error is None
    assert expected in refused.error[1]


def test_a_key_given_twice_is_refused(tmp_path):
    salt, oxide = map(json.dumps, STRUCTURES)
    one = f'{{"id": "a", "structure": {salt}, "structure": {oxide}}}'
    twice = {
        f"[{one}]": "structure is given twice",
        one: "structure is given twice",
        salt.replace('"sites"', '"sites": [], "sites"'): "sites is given twice",
        f'[{{"id": "a", "structure": {salt}, "gap": 1, "gap": 2}}]': "gap is given twice",
        f'{{"id": ["a"], "structure": [{salt}], "structure": [{oxide}]}}': "structure is",
        f'{{"columns": ["structure", "gap", "gap"], "data": [[{salt}, 1, 2]]}}': "gap is",
    }
    for text, expected in twice.items():
        [(_, why)] = refusals(tmp_path, text)
        assert expected in why
    same = f'[{{"id": "a", "structure": {salt}, "gap": 1, "gap": 1}}]'
    check(list(open_rows(put(tmp_path / "rows.json", same)).inputs()), ["a"])


def test_an_id_given_twice_as_a_key_is_two_rows(tmp_path):
    text = f'{{"a": {json.dumps(STRUCTURES[0])}, "a": {json.dumps(STRUCTURES[1])}}}'
    check(list(open_rows(put(tmp_path / "rows.json", text)).inputs()), ["a", "a"])


def test_several_structures_in_a_document_are_a_choice_of_the_user(tmp_path):
    document = {"id": "a", "first": STRUCTURES[0], "last": STRUCTURES[1]}
    [(name, why)] = refusals(tmp_path, json.dumps([document]))
    assert name == "a"
    assert "first, last hold structures; choose one with columns.structure" in why
    rows = open_rows(tmp_path / "rows.json")
    rows.structure_key = "first"
    check(list(rows.inputs()), ["a"])
    splits = {"train": STRUCTURES, "test": STRUCTURES}
    [(_, why)] = refusals(tmp_path, json.dumps(splits))
    assert "train, test hold structures each" in why


def test_values_of_numpy_mongo_and_not_a_number_are_read(tmp_path):
    lattice = {"@module": "numpy", "@class": "array", "dtype": "float64"}
    structure = STRUCTURES[0] | {
        "lattice": {"matrix": lattice | {"data": SALT.lattice.matrix.tolist()}}
    }
    document = {
        "_id": {"$oid": "65a"},
        "material_id": {"@module": "bson.objectid", "@class": "ObjectId", "oid": "x1"},
        "structure": structure,
        "gap": {"$numberDouble": "1.5"},
        "hull": float("nan"),
        "last_updated": {"@module": "datetime", "@class": "datetime", "string": "2024"},
    }
    text = json.dumps([document])
    assert "NaN" in text
    [given] = open_rows(put(tmp_path / "rows.json", text)).inputs()
    check([given], ["x1"])
    assert gaps_of([given]) == [1.5]
    arrays = {"structure": STRUCTURES[0], "gap": np.float64(2.5), "id": np.array(["a"])}
    text = json.dumps([arrays], cls=MontyEncoder)
    [given] = open_rows(put(tmp_path / "rows.json", text)).inputs()
    assert gaps_of([given]) == [2.5]
    text = json.dumps([document]).replace("float64", "complex128")
    [(_, why)] = refusals(tmp_path, text)
    assert "an array of complex numbers" in why


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"id": "x", "structure": None}, "structure is 'None'"),
        ({"id": "x", "structure": 3}, "structure is '3'"),
        ({"id": "x", "gap": 1.0}, "keys id, gap describe no structure"),
        ("NaCl", "column JSON holds 'NaCl', expected CIF text or JSON"),
        (None, "JSON NoneType is no structure"),
        ([STRUCTURES[0], 1.0], "JSON list is no structure"),
    ],
)
def test_rows_without_a_structure_are_rejects_with_their_ids(tmp_path, row, expected):
    path = put(tmp_path / "rows.json", json.dumps([DOCUMENTS[0], row, DOCUMENTS[1]]))
    first, bad, last = records_of(list(open_rows(path).inputs()))
    check_ids = [first.material_id, last.material_id]
    assert check_ids == IDS
    assert bad.crystal is None
    assert bad.material_id == ("x" if isinstance(row, dict) else "rows-2")
    assert expected in bad.error[1]


def test_rows_of_a_frame_that_are_short_are_rejects(tmp_path):
    frame = orient(FRAME, "split")
    frame["data"][0].pop()
    path = put(tmp_path / "rows.json", json.dumps(frame))
    short, whole = records_of(list(open_rows(path).inputs()))
    assert "the row has not the 3 values of columns" in short.error[1]
    assert whole.material_id == "mp-2"


def test_a_missing_structure_is_the_row_of_its_id(tmp_path):
    by_id = {"mp-1": SALT.as_dict(), "mp-2": None}
    frame = {"structure": {"a": SALT.as_dict(), "b": None}, "gap": {"a": 1.0, "b": 2.0}}
    for number, (content, names) in enumerate(
        [(by_id, ["mp-1", "mp-2"]), (frame, ["a", "b"])]
    ):
        path = tmp_path / f"{number}.json"
        path.write_text(json.dumps(content))
        kept, refused = list(iter_structure_file(path))
        assert [kept.material_id, refused.material_id] == names
        assert kept.crystal is not None
        assert refused.error is not None


@pytest.mark.parametrize(
    "text",
    [
        '{"x": {"$numberInt": null}}',
        '{"x": {"$numberDouble": [1]}}',
        '[{"structure": {"lattice": 1, "sites": []}, "x": {"$numberInt": null}}]',
        '{"$oid": "a"}',
        '{"structure": {"a": {}}, "x": {"@module": "numpy", "@class": "array", "data": 1}}',
    ],
)
def test_wrapped_values_of_a_wrong_kind_are_rejects(tmp_path, text):
    path = tmp_path / "x.json"
    path.write_text(text)
    records = list(iter_structure_file(path))
    assert records
    assert all(record.error is not None for record in records)
