"""Entries of blocks, also of those that break the rules, in bounded time."""

from __future__ import annotations

import time

import pytest

from crystalgnn_core.errors import RecordError
from crystalgnn_core.sources.formats.cif.items import MAX_BYTES, read_items
from crystalgnn_core.sources.formats.cif.reader import cif_blocks, crystal_from_cif, is_cif
from tests.core.sources.formats.cif.peers import SALT, cif_text


def test_names_are_found_in_any_letter_case_with_dots_or_underscores():
    items = read_items(
        "data_x\n_Cell.Length_A 5(1)\n_Exptl_crystal_ ?\nloop_\n_A.b\n1\n'2 3'\n"
    )
    assert items.value("_cell_length_a") == "5(1)"
    assert items.value("_exptl_crystal") is None
    assert items.column("_a_b") == ["1", "2 3"]


LOOSE = {
    "unquoted name": ("_publ_name A. B. Smith\n_a 1\n", {"_a": "1"}),
    "quote in a word": ("_x it's\n_a 1\n", {"_x": "it's", "_a": "1"}),
    "quote that nothing closes": ("_x 'abc def\n_a 1\n", {"_x": "'abc", "_a": "1"}),
    "foreign signs": ("_x '5 \u00c5'\n_a 1\n_y \u03b1\n", {"_a": "1", "_x": "5 ?"}),
    "dashes": ("_a \u22121\n", {"_a": "-1"}),
    "loop without rows": ("loop_\n_u\n_v\n_a 1\n_b 2\n", {"_a": "1", "_b": "2"}),
    "text field": ("_t\n;\ndata_ 'x\n_a 2\n;\n_y a b\n_a 1\n", {"_a": "1"}),
}


@pytest.mark.parametrize("name", LOOSE)
def test_blocks_that_break_the_rules_give_what_is_clear(name):
    text, expected = LOOSE[name]
    assert read_items(f"data_x\n{text}").values(expected) == expected


def test_a_loop_that_is_cut_off_is_refused():
    items = read_items("data_x\n_n A. B.\nloop_\n_a\n_b\n1 2 3\n")
    with pytest.raises(RecordError, match="2 columns holds 3 values"):
        items.column("_a")


def test_blocks_are_cut_outside_of_text_fields():
    text = cif_text()
    field = "_x\n;\ndata_inside\n_cell_length_a 3\n;\n"
    assert len(cif_blocks(f"{field}{text}{field}{text}data_y\n{field}")) == 2
    assert len(cif_blocks(f"{text};\n{text}")) == 2  # no field, as nothing ends it


LONG = {
    "blank lines": "\n" * 2_000_000 + cif_text(symbol="P 1"),
    "spaces": " " * 2_000_000 + "\n" + cif_text(symbol="P 1"),
    "rows of sites": cif_text() + "Na1 Na 0 0 0\n" * 100_000,
    "equal rows": cif_text(*SALT, *["Na1 Na 0 0 0"] * 30_000),
    "quotes": cif_text() + "\n_x a b\n" + ("'a " * 600 + "\n") * 500,
    "quotes before a hash": cif_text() + "#" + "'" * 1_000_000 + "\n#",
    "operations": cif_text(operations=["x,y,z"] * 100_000),
    "terms of an operation": cif_text(operations=["x" + "+x" * 200_000 + ",y,z"]),
    "brackets": cif_text(symbol="P(" * 500_000, formula="(" * 500_000),
    "nothing but a comment": "# data_" + "x" * 100_000,
    "digits": cif_text("Na1 Na " + "1" * 500_000 + " 0 0"),
    "blocks": "data_x\n_cell_length_a 3\n" * 50_000,
    "measured data": cif_text() + "x" * (MAX_BYTES + 1),
}


@pytest.mark.parametrize("name", LONG)
def test_long_texts_take_bounded_time(name):
    start = time.process_time()
    is_cif(LONG[name])
    try:
        crystal_from_cif(LONG[name])
    except RecordError as error:
        message = str(error)
    else:
        message = ""
    assert len(message) < 1_000
    assert time.process_time() - start < 5.0
