from __future__ import annotations

import gzip

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crystalgnn_core.errors import SourceError
from crystalgnn_core.sources.formats.columns import text_of
from crystalgnn_core.sources.formats.tables import FAULT, open_table


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
    parts = table.slices(size)
    assert [part["row"] for part in parts] == list(range(0, 10, size))
    rows = [row for part in parts for row in table.rows(part, ["number"])]
    assert rows == [{"number": str(i)} for i in range(10)]
    last = [int(str(row["number"])) for row in table.rows(parts[-1], ["number"])]
    assert last == list(range(parts[-1]["row"], 10))


def test_a_long_row_group_is_cut_into_few_slices(tmp_path):
    path = tmp_path / "long.parquet"
    pq.write_table(pa.table({"number": range(60_000)}), path, row_group_size=60_000)
    table = open_table(path)
    parts = table.slices(100)
    assert len(parts) == 16
    assert sum(part["n_rows"] for part in parts) == 60_000
    assert [row["number"] for row in table.rows(parts[-1], ["number"])][-1] == 59_999


def test_csv_takes_very_long_fields(tmp_path):
    path = tmp_path / "long.csv"
    path.write_text(f"id,cif\na,{'x' * 200_000}\n")
    table = open_table(path)
    [part] = table.slices(5)
    [row] = table.rows(part, ["cif"])
    assert len(str(row["cif"])) == 200_000


def test_csv_of_a_spreadsheet_keeps_digits_and_skips_empty_lines(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b'\xef\xbb\xbfid,cif\r\n007,"two\nlines"\r\n\r\n008,b\r\n9\r\n')
    table = open_table(path)
    assert table.columns == ["id", "cif"]
    [part] = table.slices(5)
    rows = list(table.rows(part, ["id", "cif"]))
    short = {FAULT: "the row has 1 cells, the first line 2"}
    assert rows == [{"id": "007", "cif": "two\nlines"}, {"id": "008", "cif": "b"}, short]


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


def rows_in(path, text, columns=("id", "cif")):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    table = open_table(path)
    whole = [list(table.rows(part, list(columns))) for part in table.slices(1)]
    assert all(len(rows) == 1 for rows in whole)
    return [row for [row] in whole]


@pytest.mark.parametrize(
    "text",
    [
        # pandas' to_csv(quoting=QUOTE_ALL, encoding="utf-8-sig"), R's write.csv for Excel
        b'\xef\xbb\xbf"id","cif"\r\n"a","1;5"\r\n"b","x\ty"\r\n',
        "id;cif\na;1;5\n".replace("1;5", '"1;5"') + "b;x\ty\n",
        'id\tcif\na\t1;5\nb\t"x\ty"\n',
        'sep=;\r\nid;cif\r\na;"1;5"\r\nb;x\ty\r\n',  # of Excel
        " id , cif \na,1;5\nb,x\ty\n",
        '\n\n"id",cif\n\na,1;5\n\nb,x\ty',
    ],
)
def test_dialects_of_csv_are_told_by_the_first_line(tmp_path, text):
    expected = [{"id": "a", "cif": "1;5"}, {"id": "b", "cif": "x\ty"}]
    assert rows_in(tmp_path / "t.csv", text) == expected


def test_rows_of_another_length_are_never_shifted(tmp_path):
    text = "id,gap,cif\na,1,x\nb,x\nc,1,x,\nd,1,x\n"
    first, short, long, last = rows_in(tmp_path / "t.csv", text)
    assert first == {"id": "a", "cif": "x"}
    assert short == {FAULT: "the row has 2 cells, the first line 3"}
    assert long == {FAULT: "the row has 4 cells, the first line 3"}
    assert last == {"id": "d", "cif": "x"}


def test_a_damaged_row_is_one_row(tmp_path):
    path = tmp_path / "t.csv"
    rows = rows_in(path, 'id,cif\na,x\nb,y\rz\nc,"two\nlines"\nd,"open\ne,x\n')
    assert [row.get("id") for row in rows] == ["a", None, "c", None]
    assert "not a row of CSV" in str(rows[1][FAULT])
    assert "a quote is opened in this row and not closed" in str(rows[3][FAULT])
    with pytest.raises(SourceError, match="the header is damaged"):
        rows_in(path, 'id,"cif\na,x\n')


@pytest.mark.parametrize(
    "content",
    [
        "id,cif\na,x\n".encode("utf-16"),
        "id,cif\na,x\n".encode("utf-16-le"),
        "id\tcif\r\na\tx\r\n".encode("utf-16"),  # `Unicode text` of Excel
        b"id,cif\ra,x\r",
        gzip.compress(b"id,cif\na,x\n", mtime=0),
    ],
)
def test_other_encodings_and_line_ends_are_read(tmp_path, content):
    [row] = rows_in(tmp_path / "t.csv", content)
    assert row == {"id": "a", "cif": "x"}


@pytest.mark.parametrize(
    "kind",
    [
        *(pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())),
        *(pa.binary(), pa.large_binary(), pa.binary_view()),
    ],
    ids=str,
)
def test_parquet_texts_of_any_type_are_read(tmp_path, kind):
    values = ["data_a", None, "data_b"]
    array = pa.array(values).cast(kind)
    pq.write_table(pa.table({"cif": array}), tmp_path / "t.parquet")
    table = open_table(tmp_path / "t.parquet")
    [part] = table.slices(9)
    cells = [text_of(row["cif"]) for row in table.rows(part, ["cif"])]
    assert cells == values


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()], ids=str)
def test_parquet_texts_that_are_no_utf8_are_bytes(tmp_path, kind):
    is_large = pa.types.is_large_string(kind)
    held = pa.large_binary() if is_large else pa.binary()
    broken = pa.array([b"caf\xe9", b"data_b", None], held).view(kind)
    nested = pa.StructArray.from_arrays([broken], names=["x"])
    pq.write_table(pa.table({"cif": broken, "held": nested}), tmp_path / "t.parquet")
    table = open_table(tmp_path / "t.parquet")
    [part] = table.slices(9)
    rows = list(table.rows(part, ["cif", "held"]))
    assert [row["cif"] for row in rows] == [b"caf\xe9", "data_b", None]
    assert [row["held"] for row in rows] == [b"\xff", {"x": "data_b"}, {"x": None}]
