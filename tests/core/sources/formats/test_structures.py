from __future__ import annotations

import numpy as np
import pytest
from pymatgen.core.structure import Structure

from crystalgnn_core.errors import SourceError
from crystalgnn_core.screening.inputs import read_inputs
from crystalgnn_core.sources.formats.structures import (
    iter_structure_file,
    structure_files,
    unique_ids,
)

SALT = Structure.from_spacegroup(
    "Fm-3m", np.eye(3) * 5.64, ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]
)
CIF = SALT.to(fmt="cif")


def test_files_are_found_in_any_letter_case_but_hidden_ones_are_not(tmp_path):
    for name in ("b.CIF", "a/POSCAR", "a/poscar.1", ".hidden/c.cif", "notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    found = [path.relative_to(tmp_path).as_posix() for path in structure_files(tmp_path)]
    assert found == ["a/POSCAR", "a/poscar.1", "b.CIF"]
    [only] = structure_files(tmp_path, ["b.*"])
    assert only.name == "b.CIF"


def test_folder_without_structures_is_an_error(tmp_path):
    with pytest.raises(SourceError, match="no structure files"):
        structure_files(tmp_path)


def test_a_folder_of_parts_of_a_table_names_them(tmp_path):
    """A data set of Parquet as Spark and dask write it."""
    folder = tmp_path / "ds.parquet"
    folder.mkdir()
    (folder / "_SUCCESS").touch()
    (folder / "part-0000.parquet").write_bytes(b"PAR1")
    with pytest.raises(
        SourceError, match=r"part-0000\.parquet is a table: give its own pa"
    ):
        structure_files(folder)
    (folder / "part-0001.parquet").write_bytes(b"PAR1")
    with pytest.raises(SourceError, match="one file with all parts"):
        list(read_inputs(folder))


def test_ids_lose_known_suffixes_unless_two_would_become_one():
    names = ["salt.cif", "salt.json", "run1/x.cif", "run2/x.cif", "POSCAR.mp-149"]
    expected = ["salt.cif", "salt.json", "run1/x", "run2/x", "POSCAR.mp-149"]
    assert unique_ids(names) == expected


FAULTS = {
    "truncated.cif": CIF[:-30].encode(),
    "junk.cif": bytes(range(256)) * 10,
    "empty.cif": b"",
    "POSCAR_counts": SALT.to(fmt="poscar").replace("\n4 4\n", "\n4 5\n").encode(),
    "POSCAR_empty": b"",
    "number.json": b"3",
    "other.json": b'{"energy": 1}',
    "cut.json": b'{"lattice": [',
    "none.json": b"[]",
    "mixed.json": b'[{"energy": 1}, 3]',
}


@pytest.mark.parametrize("name", FAULTS)
def test_unreadable_file_is_an_error_record_that_names_it(tmp_path, name):
    (tmp_path / name).write_bytes(FAULTS[name])
    records = list(iter_structure_file(tmp_path / name))
    assert len(records) == (2 if name == "mixed.json" else 1)
    for record in records:
        assert record.error is not None
        reason, message = record.error
        assert reason == "unreadable_structure"
        assert message.startswith(f"{record.material_id}: {name}")
        assert "\n" not in message


def test_disordered_file_is_an_error_record(tmp_path):
    mixed = Structure(np.eye(3) * 4, [{"Na": 0.5, "K": 0.5}], [[0, 0, 0]])
    mixed.to(str(tmp_path / "mixed.cif"))
    [record] = list(iter_structure_file(tmp_path / "mixed.cif"))
    assert record.error is not None
    assert record.error[0] == "disordered_site"


def test_file_of_several_blocks_gives_a_record_a_block(tmp_path):
    path = tmp_path / "many.cif"
    path.write_text(f"data_global\n_journal_year 1999\n{CIF}{CIF[:-30]}\n{CIF}")
    records = list(iter_structure_file(path))
    assert [record.material_id for record in records] == ["many-1", "many-2", "many-3"]
    assert [record.error is None for record in records] == [True, False, True]
    assert next(iter_structure_file(path, "x")).material_id == "x-1"
