import json
import sqlite3
from contextlib import closing

import pytest
from sqlite_source import SqliteSource

from crystalgnn_core.contracts.sources import SourceContract


def write_example(path):
    """Write five rows, of which the last cannot be read."""
    rows = [
        (f"s-{n}", "[11, 17]", json.dumps([[a, 0, 0], [0, a, 0], [0, 0, a]]), gap)
        for n, (a, gap) in enumerate([(3.2, 5.0), (3.3, 4.9), (3.4, None), (3.5, 4.7)])
    ]
    rows.append(("s-4", "[11, 17]", "not a lattice", 4.6))
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE crystals (id, numbers, lattice, positions, gap)")
        insert = "INSERT INTO crystals VALUES (?, ?, ?, '[[0, 0, 0], [0.5, 0.5, 0.5]]', ?)"
        database.executemany(insert, rows)


class TestSqlite(SourceContract):
    n_rows, n_unreadable = 5, 1

    @pytest.fixture(autouse=True)
    def _source(self, tmp_path):
        path = tmp_path / "crystals.db"
        write_example(path)
        self.source = SqliteSource(
            name="mine", path=str(path), label_scheme="PBE", part_size=2
        )
