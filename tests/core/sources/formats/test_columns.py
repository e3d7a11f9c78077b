from __future__ import annotations

import math
from decimal import Decimal

import pytest

from crystalgnn_core.errors import ConfigError
from crystalgnn_core.sources.formats.columns import (
    TableColumns,
    TargetColumn,
    find_columns,
    read_id,
    structure_content,
)
from crystalgnn_core.sources.formats.tables import open_table

GAP = {"band_gap": TargetColumn(column="gap", label_scheme="PBE")}


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("material_id,id,cif,key,fold,gap\n")
    return open_table(path)


def test_usual_names_are_found_in_their_order(table):
    found = find_columns(table, TableColumns(), GAP, with_structures=True)
    assert found == {"material_id": "material_id", "structure": "cif", "band_gap": "gap"}


def test_names_of_the_user_come_first_and_a_label_table_needs_no_structures(table):
    given = TableColumns(material_id="key", split="fold")
    found = find_columns(table, given, {}, with_structures=False)
    assert found == {"material_id": "key", "split": "fold"}


@pytest.mark.parametrize(
    ("given", "target"),
    [
        (TableColumns(structure="poscar"), "gap"),
        (TableColumns(split="part"), "gap"),
        (TableColumns(), "bandgap"),
    ],
)
def test_missing_column_is_an_error_that_lists_those_there_are(table, given, target):
    targets = {"band_gap": TargetColumn(column=target, label_scheme="PBE")}
    with pytest.raises(ConfigError, match="its columns are material_id, id, cif, key"):
        find_columns(table, given, targets, with_structures=True)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *(("007", "007"), (" a ", "a"), (7, "7"), (7.0, "7"), (1e6, "1000000")),
        *((Decimal("7"), "7"), (Decimal("7.0"), "7"), (b"mp-1", "mp-1"), ("1.0", "1.0")),
        *((math.nan, ""), (None, ""), ("nan", ""), ("None", ""), ("<NA>", "")),
        *((Decimal("NaN"), ""), ({"a": 1}, ""), (math.inf, "")),
    ],
)
def test_id_is_read_as_the_user_wrote_it(value, expected):
    assert read_id(value) == expected


@pytest.mark.parametrize(
    ("value", "fault", "message"),
    [
        (None, None, "column cif is empty"),
        (" ", None, "column cif is empty"),
        (3.5, None, "column cif is empty"),
        (b"data_\xff", None, "column cif holds bytes that are no UTF-8 text (byte 6)"),
        ("{'lattice': 1}", None, "a Python dictionary, expected JSON"),
        ("data_x", "the row has 3 cells", "the row has 3 cells"),
    ],
)
def test_cell_without_structure_is_refused(refused, value, fault, message):
    def read(cell):
        content = structure_content(cell, "cif", fault=fault)
        assert callable(content)
        return content()

    reason, found = refused(read, value)
    assert reason == "unreadable_structure"
    assert message in found
