from __future__ import annotations

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crystalgnn_core.errors import SourceError
from crystalgnn_core.sources.formats.tables import open_table


def write_numbers(folder, suffix, n_rows):
    frame = pd.DataFrame({"number": [str(i) for i in range(n_rows)], "other": "x"})
    path = folder / f"numbers{suffix}"
    if suffix == ".csv":
        frame.to_csv(path, index=False)
    else:
        pq.write_table(pa.Table.from_pandas(frame), path, row_group_size=3)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 10, 99])
def test_slices_read_alone_add_up_to_the_table(tmp_path, suffix, size):
    # row groups of three: slices start and end within, at and beyond their borders
    table = open_table(write_numbers(tmp_path, suffix, 10))
    pieces = table.slices(size)
    assert [piece["row"] for piece in pieces] == list(range(0, 10, size))
    rows = [row for piece in pieces for row in table.rows(piece, ["number"])]
    assert rows == [{"number": str(i)} for i in range(10)]
    last = [int(str(row["number"])) for row in table.rows(pieces[-1], ["number"])]
    assert last == list(range(pieces[-1]["row"], 10))


def test_a_long_row_group_is_cut_into_few_slices(tmp_path):
    path = tmp_path / "long.parquet"
    pq.write_table(pa.table({"number": range(60_000)}), path, row_group_size=60_000)
    table = open_table(path)
    pieces = table.slices(100)
    assert len(pieces) == 16
    assert sum(piece["n_rows"] for piece in pieces) == 60_000
    assert [row["number"] for row in table.rows(pieces[-1], ["number"])][-1] == 59_999


def test_csv_takes_very_long_fields(tmp_path):
    path = tmp_path / "long.csv"
    path.write_text(f"id,cif\na,{'x' * 200_000}\n")
    table = open_table(path)
    [piece] = table.slices(5)
    [row] = table.rows(piece, ["cif"])
    assert len(str(row["cif"])) == 200_000


def test_csv_of_a_spreadsheet_keeps_digits_and_skips_empty_lines(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b'\xef\xbb\xbfid,cif\r\n007,"two\nlines"\r\n\r\n008,b\r\n9\r\n')
    table = open_table(path)
    assert table.columns == ["id", "cif"]
    [piece] = table.slices(5)
    rows = list(table.rows(piece, ["id", "cif"]))
    # a row of the wrong length says nothing
    assert rows == [{"id": "007", "cif": "two\nlines"}, {"id": "008", "cif": "b"}, {}]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.parquet", b"PAR1 junk", "Parquet"),
        ("b.csv", b"", "header"),
        ("c.xlsx", b"", "a table must be"),
    ],
)
def test_damaged_empty_and_other_files_are_source_errors(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=message):
        open_table(tmp_path / name)
