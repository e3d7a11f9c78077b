"""The table of formats: which names belong to which, and what every reader keeps to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pymatgen.core.structure import Structure
from pymatgen.io.xcrysden import XSF

from crystalgnn_core.errors import CrystalGNNError
from crystalgnn_core.screening.inputs import read_inputs
from crystalgnn_core.sources import formats
from crystalgnn_core.sources.files.source import FilesSource
from crystalgnn_core.sources.formats import (
    FORMATS,
    STRUCTURE_PATTERNS,
    Format,
    formats_of,
    known_patterns,
)
from crystalgnn_core.sources.formats.structures import unique_ids
from tests.core.sources.plans import parts_of
from tests.paths import ROOT

SALT = Structure(
    2.8 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0.2]]),
    ["Na", "Cl"],
    [[0.0, 0.0, 0.0], [0.5, 0.25, 0.5]],
)
XSF_FORMAT = Format("XSF", ("*.xsf",), "text", "tests.plugins.xsf:structures_of_xsf")


def test_folders_are_searched_for_the_names_they_always_were():
    always = (
        *("*.cif", "POSCAR*", "CONTCAR*", "*.vasp", "*.poscar", "*.json", "*.json.gz"),
        *("*.extxyz", "*.xyz"),
    )
    assert {"*.mcif", "*.jsonl"} < set(STRUCTURE_PATTERNS)
    assert tuple(name for name in STRUCTURE_PATTERNS if name in always) == always
    alone = {"*.db", "vasprun*.xml", "vasprun*.xml.gz", "*.parquet", "*.csv"}
    assert set(known_patterns()) >= {*STRUCTURE_PATTERNS, *alone}
    assert not alone & set(STRUCTURE_PATTERNS)


CIF_TEXT = SALT.to(fmt="cif").encode()
POSCAR_TEXT = SALT.to(fmt="poscar").encode()
XYZ_TEXT = b'1\nLattice="3 0 0 0 3 0 0 0 3" Properties=species:S:1:pos:R:3\nCu 0 0 0\n'
ROWS_AND_JSON = ["JSON of ComputedStructureEntry", "JSON"]


@pytest.mark.parametrize(
    "name", ["x", "x.cif", "POSCAR", "x.json", "x.xyz", "x.dat", "x.cif.gz", "x.db"]
)
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (CIF_TEXT, ["CIF"]),
        (b"# from a database\n\n" + CIF_TEXT, ["CIF"]),
        (b"LOOP_\n_atom_site_label\nNa\n", ["CIF"]),
        (b"Dear colleague,\n\n" + CIF_TEXT, ["CIF"]),
        (POSCAR_TEXT, ["POSCAR"]),
        (b"data_1\n" + POSCAR_TEXT.partition(b"\n")[2], ["POSCAR"]),
        (b"[Na]\n" + POSCAR_TEXT.partition(b"\n")[2], ["POSCAR"]),
        (XYZ_TEXT, ["extended XYZ"]),
        (b"1\nno lattice\nCu 0 0 0\n", ["extended XYZ"]),
        (b' {"lattice": {}}', ROWS_AND_JSON),
        (b"[]", ROWS_AND_JSON),
        (b'{"a": 1}\n{"a": 2}\n', ROWS_AND_JSON),
        (b'<?xml version="1.0"?>\n<modeling>', ["VASP run"]),
        (b"SQLite format 3\x00", ["an ASE database"]),
        (b"PAR1", ["Parquet"]),
        (b'id,cif\n1,"data_x\n_cell_length_a 3"\n', ["CSV"]),
        (b"\x89PNG\r\n\x1a\n", []),
    ],
)
def test_the_content_decides_whatever_the_name_is(name, content, expected):
    assert [kind.name for kind in formats_of(name, content)] == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("salt.CIF", ["CIF"]),
        ("salt.cif.bz2", ["CIF"]),
        ("salt.mcif.txt", ["CIF"]),
        ("POSCAR.mp-149", ["POSCAR"]),
        ("XDATCAR", []),
        ("readme", []),
        ("a.ndjson", ROWS_AND_JSON),
        ("vasprun_relax.xml.gz", ["VASP run"]),
        ("t.Csv", ["CSV"]),
        ("t.csv.gz", ["CSV"]),
    ],
)
def test_the_name_decides_where_the_content_shows_nothing(name, expected):
    assert [kind.name for kind in formats_of(name, b"hm\n")] == expected


def test_cells_of_a_table_may_look_like_anything():
    for content in (b"{,cif\n", b'cif,x\n"data_1\n', b"", CIF_TEXT):
        [kind] = formats_of("t.csv", content)
        assert kind.name == "CSV"
    assert [kind.name for kind in formats_of("t.csv", b"PAR1")] == ["Parquet"]
    assert formats_of("t.csv", b"<html>not found</html>") == []


@pytest.mark.parametrize("kind", [*FORMATS, XSF_FORMAT], ids=lambda kind: kind.name)
class TestEveryFormat:
    @pytest.mark.parametrize("content", [b"", b"\xff\x00 junk\n\n7 {[ data_", b"3\n\n1\n"])
    def test_junk_is_refused_and_never_a_crystal(
        self, kind, content, tmp_path, monkeypatch
    ):
        monkeypatch.setattr(formats, "FORMATS", (*FORMATS, XSF_FORMAT))
        for pattern in kind.patterns:
            path = tmp_path / pattern.replace("*", "a")
            path.write_bytes(content)
            assert crystals_in(path) == []


def crystals_in(path):
    try:
        return [record.crystal for record in read_inputs(path) if record.error is None]
    except CrystalGNNError:
        return []


@pytest.fixture
def with_xsf(monkeypatch, tmp_path):
    """A table with one more row, and a folder with such a file."""
    monkeypatch.setattr(formats, "FORMATS", (*FORMATS, XSF_FORMAT))
    (tmp_path / "salt.xsf").write_text(XSF(SALT).to_str())
    return tmp_path


def test_a_format_with_a_row_in_the_table_is_read_everywhere(with_xsf):
    source = FilesSource(name="mine", path=str(with_xsf), pattern=("*.xsf",))
    [part] = parts_of(source)
    alone = FilesSource(name="mine", path=str(with_xsf / "salt.xsf"))
    [only] = parts_of(alone)
    for record in (
        *source.read(part),
        *alone.read(only),
        *read_inputs(with_xsf / "salt.xsf"),
    ):
        assert record.material_id == "salt"
        assert record.error is None
        assert record.crystal is not None
        assert record.crystal.atomic_numbers.tolist() == [11, 17]
        assert np.allclose(record.crystal.lattice, SALT.lattice.matrix)
        assert np.allclose(record.crystal.frac_coords, SALT.frac_coords)
    assert unique_ids(["a.xsf", "a.cif", "b.xsf"]) == ["a.xsf", "a.cif", "b"]
    assert "*.xsf" in known_patterns()


def test_a_damaged_file_of_an_added_format_is_a_record_with_its_reason(with_xsf):
    text = (with_xsf / "salt.xsf").read_text()
    (with_xsf / "salt.xsf").write_text(text[: len(text) // 2])
    [record] = read_inputs(with_xsf / "salt.xsf")
    assert record.error is not None
    reason, message = record.error
    assert reason == "unreadable_structure"
    assert "salt.xsf: not a readable XSF" in message


def test_the_page_about_formats_shows_the_reader_that_is_tested():
    page = (ROOT / "docs" / "contributing" / "file-format.md").read_text(encoding="utf-8")
    reader = Path(ROOT / "tests" / "plugins" / "xsf.py").read_text(encoding="utf-8")
    assert f"```python\n{reader}```" in page
    assert str(Path(__file__).relative_to(ROOT)) in page
