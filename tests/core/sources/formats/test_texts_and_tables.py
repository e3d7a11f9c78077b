"""Texts are told apart by content; every row of a table becomes one record."""

import json

import pandas as pd
import pytest
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from crystalgnn_core.errors import ConfigError, SourceError
from crystalgnn_core.screening.inputs import StructureText, read_inputs
from crystalgnn_core.sources.files.source import FilesSource
from crystalgnn_core.sources.formats.columns import TargetColumn
from crystalgnn_core.sources.formats.structures import read_structure_text
from crystalgnn_core.sources.formats.table_structures import read_table
from crystalgnn_core.sources.ingest.run import read_source

COPPER = Structure(Lattice.cubic(2.55), ["Cu"], [[0, 0, 0]])
SALT = Structure(Lattice.cubic(3.3), ["Na", "Cl"], [[0.0] * 3, [0.5] * 3])
TWO_BLOCKS = COPPER.to(fmt="cif") + "\n" + SALT.to(fmt="cif")


@pytest.mark.parametrize(
    ("text", "ids", "sizes"),
    [
        (SALT.to(fmt="cif"), ["x"], [2]),
        ("# a comment\n\n" + SALT.to(fmt="cif").lower(), ["x"], [2]),
        (TWO_BLOCKS, ["x-1", "x-2"], [1, 2]),
        (SALT.to(fmt="poscar"), ["x"], [2]),
        ("data of my run\n" + SALT.to(fmt="poscar").partition("\n")[2], ["x"], [2]),
        (json.dumps(SALT.as_dict()), ["x"], [2]),
        (json.dumps([SALT.as_dict(), COPPER.as_dict()]), ["x-1", "x-2"], [2, 1]),
        ("\n " + json.dumps({"jid": "JVASP-1", "atoms": {}}), ["JVASP-1"], [None]),
        ("no structure at all", ["x"], [None]),
        ('{"cut": ', ["x"], [None]),
    ],
)
def test_texts_are_told_apart_by_content(text, ids, sizes):
    records = read_structure_text(text, "x")
    assert [record.material_id for record in records] == ids
    found = [None if r.crystal is None else len(r.crystal.atomic_numbers) for r in records]
    assert found == sizes
    assert all(record.error for record in records if record.crystal is None)


def test_texts_stand_among_other_inputs():
    text = StructureText(TWO_BLOCKS, "typed")
    ids = [record.material_id for record in read_inputs([COPPER, text])]
    assert ids == ["0", "typed-1", "typed-2"]
    ids = [record.material_id for record in read_inputs({"a": text, "b": COPPER})]
    assert ids == ["a-1", "a-2", "b"]
    assert [record.material_id for record in read_inputs(text)] == ["typed-1", "typed-2"]


def test_tables_stand_among_other_inputs(tmp_path):
    path = tmp_path / "t.csv"
    pd.DataFrame({"id": ["p", "q"], "cif": [SALT.to(fmt="cif")] * 2}).to_csv(path)
    assert [record.material_id for record in read_inputs(path)] == ["p", "q"]
    ids = [record.material_id for record in read_inputs({"t": path, "b": COPPER})]
    assert ids == ["t/p", "t/q", "b"]


@pytest.mark.parametrize("column", ["material_id", "candidate_id", "id", None])
def test_every_row_of_a_table_is_one_record(tmp_path, column):
    texts = [SALT.to(fmt="cif"), None, json.dumps(COPPER.as_dict()), "junk"] * 150
    frame = pd.DataFrame({"structure": texts})
    if column is not None:
        frame[column] = [f"m{index}" for index in range(len(texts))]
        frame.loc[2, column] = ""
    path = tmp_path / "t.parquet"
    frame.to_parquet(path)
    records = list(read_table(path))
    rows = range(len(texts))
    names = [str(i + 1) for i in rows] if column is None else frame[column].tolist()
    assert [record.material_id for record in records] == names
    is_read = [record.crystal is not None for record in records]
    expected = [index % 4 in {0, 2} for index in rows]
    expected[2] = column is None  # a row without its id is refused
    assert is_read == expected
    assert records[1].error is not None
    assert "t.parquet row 2: column structure is empty" in records[1].error[1]


@pytest.mark.parametrize(
    ("index", "ids"),
    [
        (["mp-1", "mp-2", "mp-3"], ["mp-1", "mp-2", "mp-3"]),
        ([7, 2, 9], ["7", "2", "9"]),  # rows of a longer table
        ([0, 1, 2], ["1", "2", "3"]),
        ([1, 2, 3], ["1", "2", "3"]),  # of R
        ([0, 1, 0], ["1", "2", "3"]),  # two tables, one behind the other
    ],
)
@pytest.mark.parametrize(
    "suffix", ["csv", "twice.csv", "thrice.csv", "reset.csv", "parquet", "reset.parquet"]
)
def test_the_index_of_a_table_in_a_file_holds_the_ids(tmp_path, suffix, index, ids):
    """As that of a table in memory; pandas writes it as '', or reads it as `Unnamed: 0`."""
    texts = [SALT.to(fmt="cif"), COPPER.to(fmt="cif"), "junk"]
    frame = pd.DataFrame({"cif": texts}, index=pd.Index(index))
    path = tmp_path / f"t.{suffix}"
    if suffix.endswith("parquet"):
        named = frame.rename_axis("name")
        (frame.reset_index() if suffix.startswith("reset") else named).to_parquet(path)
    else:
        frame.to_csv(path)
        if suffix in {"twice.csv", "thrice.csv"}:
            pd.read_csv(path).to_csv(path, index=suffix == "thrice.csv")
        elif suffix == "reset.csv":
            frame.reset_index().to_csv(path, index=False)
    records = list(read_table(path))
    assert [record.material_id for record in records] == ids
    assert [record.crystal is None for record in records] == [False, False, True]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("name", ["t.tsv", "t.txt", "t.dat"])
@pytest.mark.parametrize("columns", [["id", "gap", "cif"], ["cif", "gap", "id"]])
def test_tables_of_other_names_are_known_by_their_header(
    tmp_path, delimiter, name, columns
):
    cells = {"id": ["007", "b"], "gap": [5.0, 4.0], "cif": [SALT.to(fmt="cif")] * 2}
    path = tmp_path / name
    pd.DataFrame(cells)[columns].to_csv(path, index=False, sep=delimiter)
    assert [record.material_id for record in read_inputs(path)] == ["007", "b"]
    target = TargetColumn(column="gap", label_scheme="ours")
    config = FilesSource(name="x", path=str(path), targets={"band_gap": target})
    labels = [record.labels["band_gap"] for record in read_source(config)]
    assert labels == [5.0, 4.0]


def test_a_label_table_may_be_of_tabs(tmp_path):
    (tmp_path / "a.cif").write_text(SALT.to(fmt="cif"))
    table = tmp_path.parent / f"{tmp_path.name}.tsv"
    table.write_text("material_id\tgap\na\t5\n")
    target = TargetColumn(column="gap", label_scheme="ours")
    config = FilesSource(
        name="x", path=str(tmp_path), labels=str(table), targets={"band_gap": target}
    )
    assert [record.labels["band_gap"] for record in read_source(config)] == [5.0]


def test_a_nul_in_a_table_is_named_with_its_line(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"id,cif\na,x\nb,\0\n")
    with pytest.raises(SourceError, match=r"t\.csv: line 3 holds a NUL"):
        list(read_table(tmp_path / "t.csv"))


def test_an_index_of_structures_holds_no_ids(tmp_path):
    texts = [SALT.to(fmt="cif"), COPPER.to(fmt="cif")]
    pd.DataFrame({"cif": texts, "gap": 1.0}).set_index("cif").to_parquet(tmp_path / "t.pq")
    assert [record.material_id for record in read_table(tmp_path / "t.pq")] == ["1", "2"]


def test_a_row_of_the_wrong_length_keeps_its_place(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("id,cif\na,b,c\n")
    [record] = read_table(path)
    assert record.error is not None
    assert "row 1: the row has 3 cells, the first line 2" in record.error[1]


def test_tables_without_structures_are_refused(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("id,energy\na,1\n")
    with pytest.raises(
        ConfigError, match="no column cif or structure or atoms; its columns"
    ):
        list(read_table(path))
    path.write_text("id|energy\na|1\n")
    with pytest.raises(ConfigError, match=r"only column is id\|energy: part cells"):
        list(read_table(path))
    path.write_text("x" * 10**5 + "".join(f",c{n}" for n in range(10**4)))
    with pytest.raises(ConfigError, match="and 9981 more") as caught:
        list(read_table(path))
    assert len(str(caught.value)) < 500
    path.write_text("id,cif\n")
    with pytest.raises(SourceError, match="holds no rows"):
        list(read_table(path))
