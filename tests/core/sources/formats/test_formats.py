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
    assert tuple(name for name in STRUCTURE_PATTERNS if name in always) == always
    alone = {"*.db", "vasprun*.xml", "vasprun*.xml.gz", "*.parquet", "*.csv"}
    assert set(known_patterns()) >= {*STRUCTURE_PATTERNS, *alone}
    assert not alone & set(STRUCTURE_PATTERNS)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("salt.CIF", ["CIF", "POSCAR"]),
        ("salt.cif.gz", ["CIF", "POSCAR"]),
        ("POSCAR.cif", ["CIF", "POSCAR"]),
        ("POSCAR.xyz", ["extended XYZ", "POSCAR"]),
        ("POSCAR.mp-149", ["POSCAR"]),
        ("readme", ["POSCAR"]),
        ("a.json.gz", ["JSON of ComputedStructureEntry", "JSON", "POSCAR"]),
        ("a.xyz.gz", ["POSCAR"]),
        ("vasprun_relax.xml.gz", ["VASP run", "POSCAR"]),
        ("run.xml", ["POSCAR"]),
        ("rows.db", ["an ASE database", "POSCAR"]),
        ("t.Csv", ["CSV", "POSCAR"]),
    ],
)
def test_a_name_has_the_formats_of_its_ending_and_at_last_poscar(name, expected):
    assert [kind.name for kind in formats_of(name)] == expected


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
