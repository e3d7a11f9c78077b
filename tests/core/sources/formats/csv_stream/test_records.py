from __future__ import annotations

import csv
import io

import pytest

from crystalgnn_core.sources.formats.tables import FAULT, open_table

CIF = 'data_salt\n_space_group_name_H-M_alt "P 1"\nNa1 Na 0 0 0 "d"\nCl1 Cl .5 .5 .5 "d"\n'
JSON = '{"lattice": [1, 2], "note": "a \\"b\\" c:\\\\d\\n"}'


def rows_in(path, text):
    path.write_bytes(text.encode())
    table = open_table(path)
    whole = [list(table.rows(part, table.columns)) for part in table.slices(1)]
    assert all(len(rows) == 1 for rows in whole)
    return [row for [row] in whole]


def of_spark(cell):  # univocity's writer with Spark's defaults, quote and escape `\`
    return '"' + cell.replace("\\", "\\\\").replace('"', '\\"') + '"'


def of_python(cell):  # pandas' to_csv(doublequote=False, escapechar="\\")
    stream = io.StringIO()
    csv.writer(stream, doublequote=False, escapechar="\\").writerow([cell])
    return stream.getvalue().removesuffix("\r\n")


def of_mysql(cell):  # SELECT ... INTO OUTFILE ... ENCLOSED BY '"'
    return of_spark(cell).replace("\n", "\\\n")


@pytest.mark.parametrize("write", [of_spark, of_python, of_mysql])
@pytest.mark.parametrize("cell", [CIF, JSON])
def test_quotes_behind_a_backslash_are_of_the_cell(tmp_path, write, cell):
    text = f"id,gap,cif\nmp-1,5,{write(cell)}\nmp-2,4,{write(cell)}\nmp-3,,x\n"
    assert rows_in(tmp_path / "t.csv", text) == [
        {"id": "mp-1", "gap": "5", "cif": cell},
        {"id": "mp-2", "gap": "4", "cif": cell},
        {"id": "mp-3", "gap": "", "cif": "x"},
    ]


def test_doubled_quotes_keep_their_backslashes(tmp_path):
    # pandas' to_csv of JSON whose texts hold quotes: `\""` is no escape of CSV
    doubled = JSON.replace('"', '""')
    [row, other] = rows_in(tmp_path / "t.csv", f'id,cif\na,"{doubled}"\nb,"c:\\"\n')
    assert row == {"id": "a", "cif": JSON}
    assert other == {"id": "b", "cif": "c:\\"}


def test_a_cell_is_never_cut_at_a_quote_that_is_not_doubled(tmp_path):
    # the line of the first site ends the row otherwise, which leaves one atom
    rows = rows_in(tmp_path / "t.csv", f'id,cif\nmp-1,"{CIF}"\n')
    assert all(FAULT in row for row in rows)
    assert "double the quotes within a cell" in str(rows[0][FAULT])


def test_blanks_behind_a_quoted_cell_do_not_count(tmp_path):
    rows = rows_in(tmp_path / "t.csv", 'id,cif\n"a" ,"two\nlines"  \n"b" ,x\n')
    assert rows == [{"id": "a", "cif": "two\nlines"}, {"id": "b", "cif": "x"}]


def test_a_backslash_before_a_quote_that_ends_a_cell_costs_no_other_row(tmp_path):
    text = 'id,place,cif\na,"C:\\d\\"x,1\nb,y,2\nc,"z",3\n'
    first, *others = rows_in(tmp_path / "t.csv", text)
    assert "text stands behind a closing quote" in str(first[FAULT])
    assert [row["id"] for row in others] == ["b", "c"]


def test_lines_that_are_lost_with_a_damaged_row_are_counted(tmp_path):
    [only] = rows_in(tmp_path / "t.csv", 'id,cif\nb,"{x}\nc,"{y}"\n')
    assert "2 lines are left out with it" in str(only[FAULT])


def test_a_quote_that_the_last_line_opens_is_a_fault(tmp_path):
    *_, last = rows_in(tmp_path / "t.csv", 'id,cif\na,x\nb,"cut of')
    assert "not closed" in str(last[FAULT])


def test_rows_may_end_with_a_return_and_lines_within_cells_with_a_feed(tmp_path):
    # Excel for Mac, `CSV (Macintosh)`: Alt+Enter within a cell is a line feed
    text = 'id,gap,cif\ra,5,"two\nlines\nin"\rb,4,"two\nlines"\rc,3,x'
    assert rows_in(tmp_path / "t.csv", text) == [
        {"id": "a", "gap": "5", "cif": "two\nlines\nin"},
        {"id": "b", "gap": "4", "cif": "two\nlines"},
        {"id": "c", "gap": "3", "cif": "x"},
    ]
