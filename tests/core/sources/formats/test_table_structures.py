"""Tables as spreadsheets and databases write them: right values, or rejects."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pymatgen.core.structure import Structure

from crystalgnn_core.errors import ConfigError, InputError
from crystalgnn_core.screening.inputs import read_inputs
from crystalgnn_core.sources.files.source import FilesSource
from crystalgnn_core.sources.formats.columns import TableColumns, TargetColumn
from crystalgnn_core.sources.formats.table_structures import read_table
from crystalgnn_core.sources.ingest.run import read_source

SALT = Structure(2.82 * (1 - np.eye(3)), ["Na", "Cl"], np.array([[0.0] * 3, [0.5] * 3]))
OXIDE = Structure(2.1 * (1 - np.eye(3)), ["Mg", "O"], np.array([[0.0] * 3, [0.5] * 3]))
CIFS = [SALT.to(fmt="cif"), OXIDE.to(fmt="cif")]
ENERGY = "formation_energy_per_atom"
TARGETS = {ENERGY: TargetColumn(column="e_form", label_scheme="ours")}
GOOD = [("a", [11, 17], -2.1), ("b", [12, 8], -3.0)]


def source(path, **settings):
    return FilesSource(name="mine", path=str(path), targets=TARGETS, **settings)


def records_in(structures: Any) -> Any:
    return list(read_inputs(structures))


def found(path, **settings):
    """Return id, elements and label of each row, or id and the reason of its reject."""
    return [
        (record.material_id, *(record.error or ()))
        if record.crystal is None
        else (
            record.material_id,
            record.crystal.atomic_numbers.tolist(),
            record.labels.get(ENERGY),
        )
        for record in read_source(source(path, **settings))
    ]


def csv_of(path, sep=",", **columns):
    columns = {"material_id": ["a", "b"], "cif": CIFS, "e_form": [-2.1, -3.0]} | columns
    pd.DataFrame(columns).to_csv(path, index=False, sep=sep)
    return path


def parquet_of(path, **columns):
    columns = {"material_id": ["a", "b"], "cif": CIFS, "e_form": [-2.1, -3.0]} | columns
    pq.write_table(pa.table(columns), path)
    return path


def test_a_table_for_spreadsheets_with_a_byte_order_mark_and_quotes(tmp_path):
    # pandas to_csv(quoting=QUOTE_ALL, encoding="utf-8-sig"); R's write.csv for Excel
    frame = pd.DataFrame({"material_id": ["a", "b"], "cif": CIFS, "e_form": [-2.1, -3.0]})
    frame.to_csv(tmp_path / "t.csv", index=False, quoting=1, encoding="utf-8-sig")
    assert found(tmp_path / "t.csv") == GOOD


@pytest.mark.parametrize("sep", [";", "\t"])
@pytest.mark.parametrize("name", ["Material_ID", " material id ", "ID", "jid"])
def test_other_delimiters_and_spellings_of_usual_names(tmp_path, sep, name):
    path = csv_of(tmp_path / "t.csv", sep)
    text = path.read_text().replace("material_id", name, 1).replace("cif", " CIF", 1)
    path.write_text(text)
    assert found(path) == GOOD
    assert [record.material_id for record in read_table(path)] == ["a", "b"]


def test_a_name_that_stands_twice_is_refused_where_it_is_asked_for(tmp_path):
    # merged spreadsheets
    path = csv_of(tmp_path / "t.csv", other=[-1.0, -1.0], note=["x", "y"])
    text = path.read_text()
    path.write_text(text.replace("other", "e_form"))
    with pytest.raises(ConfigError, match="has 2 columns e_form and e_form; rename or"):
        found(path)
    path.write_text(text.replace("other", "note"))
    assert found(path) == GOOD
    for name in ("cif", "material_id"):
        path.write_text(text.replace("other", name))
        with pytest.raises(ConfigError, match=f"has 2 columns {name} and {name}"):
            list(read_table(path))
    frame = pd.DataFrame([["a", CIFS[0], "c"]], columns=["id", "cif", "cif"])
    with pytest.raises(InputError, match="several columns cif"):
        list(read_inputs(frame))


def test_binary_cells_are_text(tmp_path):
    # Spark and DuckDB
    cells = {
        "cif": [text.encode() for text in CIFS],
        "material_id": [b"a", b"b"],
        "e_form": [b"-2.1", b"-3.0"],
    }
    assert found(parquet_of(tmp_path / "t.parquet", **cells)) == GOOD
    broken = parquet_of(tmp_path / "t.parquet", cif=[b"data_\xff\xfe", CIFS[1].encode()])
    (_, reason, why), good = found(broken)
    assert reason == "unreadable_structure"
    assert "column cif holds bytes that are no UTF-8 text" in why
    assert good == GOOD[1]


def test_a_cif_may_stand_on_one_line(tmp_path):
    """As scripts leave it that put blanks in place of line ends."""
    text = (
        "data_x _cell_length_a 4 _cell_length_b 4 _cell_length_c 4 _cell_angle_alpha 90 "
        "_cell_angle_beta 90 _cell_angle_gamma 90 loop_ _atom_site_type_symbol "
        "_atom_site_fract_x _atom_site_fract_y _atom_site_fract_z Cs 0 0 0 Cl .5 .5 .5"
    )
    assert found(csv_of(tmp_path / "t.csv", cif=[text, CIFS[1]])) == [
        ("a", [55, 17], -2.1),
        GOOD[1],
    ]


def test_line_ends_written_as_two_characters_are_line_ends(tmp_path):
    for end in ("\\n", "\\r\\n"):
        cells = [text.replace("\n", end) for text in CIFS]
        assert found(csv_of(tmp_path / "t.csv", cif=cells)) == GOOD
    junk = csv_of(tmp_path / "t.csv", cif=["nothing\\nat all", CIFS[1]])
    assert [row[1] for row in found(junk)] == ["unreadable_structure", [12, 8]]


@pytest.mark.parametrize(
    "labels",
    [
        pa.array([Decimal("-2.10"), Decimal("-3.00")]),
        pa.array(np.array([-2.1, -3.0], dtype=np.float32)),
        pa.array(["-2.1", " -3 "]).dictionary_encode(),
        pa.array(["-2.1", "-3"], pa.large_string()),
        pa.array(["\N{MINUS SIGN}2.1", "-3"], pa.string_view()),
    ],
    ids=lambda array: str(array.type)[:12],
)
def test_numbers_of_any_type_are_labels(tmp_path, labels):
    rows = found(parquet_of(tmp_path / "t.parquet", e_form=labels))
    assert [row[0] for row in rows] == ["a", "b"]
    assert [row[2] for row in rows] == pytest.approx([-2.1, -3.0])


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("-2,1", "write decimals with a point"),
        ("1,234", "write decimals with a point"),
        ("1.234,5", "write decimals with a point"),
        ("1_000", "give a number"),
        ("5 %", "give a number"),
        ("true", "give a number"),
        ("#DIV/0!", "give a number"),
        ("1.5 eV", "give a number"),
    ],
)
def test_labels_that_may_be_two_things_are_refused_by_name(tmp_path, text, advice):
    path = csv_of(tmp_path / "t.csv", ";", e_form=[text, "-3.0"])
    (name, reason, why), good = found(path)
    assert (name, reason, good) == ("a", "invalid_label", GOOD[1])
    assert repr(text) in why
    assert advice in why


@pytest.mark.parametrize(
    "word", ["na", "None", "-", "nan", "NULL", "#N/A", "n.a.", "", " ", "--", "?", "-nan"]
)
def test_words_for_a_missing_label_are_no_label(tmp_path, word):
    assert found(csv_of(tmp_path / "t.csv", e_form=[word, "-3.0"]))[0] == (
        *GOOD[0][:2],
        None,
    )


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (["007", "1.0"], ["007", "1.0"]),
        ([1.0, 2.0], ["1", "2"]),
        ([Decimal(7), Decimal("8.00")], ["7", "8"]),
        ([1.0, None], ["1", ""]),
        (["nan", "None"], ["", ""]),
    ],
)
def test_ids_are_those_that_were_written(tmp_path, ids, expected):
    path = parquet_of(tmp_path / "t.parquet", material_id=ids)
    records = list(read_table(path))
    assert [record.material_id for record in records] == expected
    reasons = [record.error and record.error[0] for record in records]
    assert reasons == [None if name else "missing_id" for name in expected]


def test_an_id_in_another_encoding_is_refused(tmp_path):
    path = csv_of(tmp_path / "t.csv", material_id=["M\xfcller", "b"])
    path.write_bytes(path.read_text().encode("latin-1"))
    bad, good = records_in(path)
    assert "the id is no UTF-8 text; save the table in UTF-8" in bad.error[1]
    assert good.material_id == "b"


@pytest.mark.parametrize("column", ["structure", "atoms", "entry"])
def test_structures_may_be_nested_columns(tmp_path, column):
    structures = []
    for structure in (SALT, OXIDE):
        held = structure.as_dict()
        del held["properties"]  # Parquet has no empty objects
        for site in held["sites"]:
            site["properties"] = {"magmom": 0.0}
        structures.append(held)
    if column == "atoms":
        structures = [
            {
                "lattice_mat": structure.lattice.matrix.tolist(),
                "coords": structure.frac_coords.tolist(),
                "elements": [site.species_string for site in structure],
            }
            for structure in (SALT, OXIDE)
        ]
    if column == "entry":
        structures = [{"structure": held, "energy": -6.8} for held in structures]
    table = pa.table(
        {"material_id": ["a", "b"], column: structures, "e_form": [-2.1, -3.0]}
    )
    pq.write_table(table, tmp_path / "t.parquet")
    assert found(tmp_path / "t.parquet") == GOOD
    null = pa.table({"material_id": ["a", "b"], column: [structures[0], None]})
    pq.write_table(null, tmp_path / "t.parquet")
    assert [record.crystal is None for record in read_table(tmp_path / "t.parquet")] == [
        False,
        True,
    ]


def test_two_structures_under_one_key_of_a_cell_are_refused(tmp_path):
    text = json.dumps(SALT.as_dict())
    lattice = json.dumps(OXIDE.lattice.as_dict())
    twice = text.replace('"lattice"', f'"lattice": {lattice}, "lattice"')
    path = csv_of(tmp_path / "t.csv", cif=[twice, json.dumps(OXIDE.as_dict())])
    (_, _, why), good = found(path)
    assert "lattice is given twice" in why
    assert good == GOOD[1]
    repeated = str(SALT.as_dict())  # what pandas' to_csv makes of dictionaries
    (_, _, why), _ = found(csv_of(tmp_path / "t.csv", cif=[repeated, CIFS[1]]))
    assert "a Python dictionary, expected JSON; write it with json.dumps" in why


def test_nothing_of_a_damaged_table_is_lost_in_silence(tmp_path):
    path = tmp_path / "t.csv"
    lines = ["id,cif,e_form", 'a,"data_x', '_cell_length_a 1",1', "b,x", ",,", "c,y,1,1"]
    path.write_text("\n".join(lines))
    rows = found(path, columns=TableColumns(material_id="id"))
    assert [row[1] for row in rows] == ["unreadable_structure"] * 4
    assert "t.csv row 2: the row has 2 cells, the first line 3" in rows[1][2]
    assert "t.csv row 4: the row has 4 cells, the first line 3" in rows[3][2]


def test_missing_cells_of_a_frame_in_memory_are_rejects():
    frame = pd.DataFrame({"id": ["a", "b", "c"], "cif": [CIFS[0].encode(), pd.NA, None]})
    good, *bad = records_in(frame)
    assert good.crystal.atomic_numbers.tolist() == [11, 17]
    assert all("column cif is empty" in record.error[1] for record in bad)
