from __future__ import annotations

import math

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
    [("007", "007"), (" a ", "a"), (7, "7"), (7.0, "7"), (math.nan, ""), (None, "")],
)
def test_id_is_read_as_the_user_wrote_it(value, expected):
    assert read_id(value) == expected


@pytest.mark.parametrize(
    ("value", "is_ragged", "message"),
    [
        (None, False, "column cif is empty"),
        (" ", False, "column cif is empty"),
        (3.5, False, "column cif is empty"),
        ("data_x", True, "as many fields"),
    ],
)
def test_cell_without_structure_is_refused(refused, value, is_ragged, message):
    def read(cell):
        content = structure_content(cell, "cif", is_ragged=is_ragged)
        assert callable(content)
        return content()

    reason, found = refused(read, value)
    assert reason == "unreadable_structure"
    assert message in found
