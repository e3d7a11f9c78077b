from __future__ import annotations

import sqlite3
from contextlib import closing

import ase.db
import numpy as np
import pytest
from ase import Atoms

from crystalgnn_core.errors import SourceError
from crystalgnn_core.sources.formats.pieces import read_pieces
from crystalgnn_core.sources.formats.row_files import open_row_file

SALT = Atoms("NaCl", cell=[4, 4, 8], scaled_positions=[[0] * 3, [0.5] * 3], pbc=True)


@pytest.fixture(params=["db", "json"])
def path(request, tmp_path):
    path = tmp_path / f"mine.{request.param}"
    with ase.db.connect(path) as database:
        for number in range(7):
            data = {"e_form": -0.1 * number, "dos": np.zeros(2)}
            database.write(SALT, key=f"m{number}", gap=0.5 * number, data=data)
        database.write(Atoms("H2O", positions=np.eye(3)), key="water", gap=9.0)
        del database[3]
    return path


def open_rows(path):
    rows = open_row_file(path)
    assert rows is not None
    assert rows.kind == "ASE database"
    return rows


def test_rows_have_structures_values_and_ids(path):
    pieces = list(open_rows(path).pieces())
    ids = [f"mine-{number}" for number in (1, 2, 4, 5, 6, 7, 8)]
    assert [piece.material_id for piece in pieces] == ids
    assert pieces[2].values["gap"] == 1.5
    assert pieces[2].values["e_form"] == pytest.approx(-0.3)
    records = read_pieces(pieces)
    assert [record.error is None for record in records] == [True] * 6 + [False]
    assert records[0].crystal is not None
    assert records[0].crystal.atomic_numbers.tolist() == [11, 17]
    assert np.allclose(records[0].crystal.lattice, np.diag([4, 4, 8]))
    assert records[6].error is not None
    assert "periodic" in records[6].error[1]


def test_a_key_can_be_the_identifier_and_ranges_add_up(path):
    rows = open_rows(path)
    for size in (1, 3, 100):
        parts = rows.slices(size)
        found = [[piece.material_id for piece in rows.rows(part, "key")] for part in parts]
        assert [len(ids) for ids in found] == [part["n_rows"] for part in parts]
        joined = [name for names in found for name in names]
        assert joined == [
            "m0",
            "m1",
            "m3",
            "m4",
            "m5",
            "m6",
            "water",
        ]


def test_a_damaged_row_is_one_error(tmp_path):
    path = tmp_path / "mine.db"
    with ase.db.connect(path) as database:
        for _ in range(3):
            database.write(SALT)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE systems SET positions = x'0102' WHERE id = 2")
        connection.commit()
    records = read_pieces(list(open_rows(path).pieces()))
    assert [record.error is None for record in records] == [True, False, True]
    assert [record.material_id for record in records] == ["mine-1", "mine-2", "mine-3"]


def test_other_databases_are_refused_and_left_alone(tmp_path):
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE mine (x)")
    before = path.read_bytes()
    rows = open_row_file(path)
    assert rows is not None
    with pytest.raises(SourceError, match="not a readable ASE database"):
        rows.slices(10)
    assert path.read_bytes() == before
    path.write_bytes(b"no database at all, but long enough for a header " * 9)
    with pytest.raises(SourceError, match="not a readable ASE database"):
        rows.slices(10)
