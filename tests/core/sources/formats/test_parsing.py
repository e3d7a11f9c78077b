"""The one boundary around readers: what fails costs its row, with a reason, and no more."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from pymatgen.core.structure import Structure

from crystalgnn_core.errors import RecordError, SourceError, TransientError
from crystalgnn_core.screening.inputs import read_inputs
from crystalgnn_core.sources.formats import structure_input
from crystalgnn_core.sources.formats.cif.reader import crystals_from_cifs
from crystalgnn_core.sources.formats.parsing import parsing, read_row
from crystalgnn_core.sources.formats.structure_input import StructureInput, read_structures
from tests.core.sources.raw_records import fault_of

SALT = Structure(np.eye(3) * 3.3, ["Na", "Cl"], [[0.0] * 3, [0.5] * 3])
CIF = SALT.to(fmt="cif")


class PanicException(BaseException):
    """As libraries in Rust raise it through pyo3."""


def failing(error):
    def read():
        raise error

    return read


FAILURES = [
    AssertionError(),
    SyntaxError("odd"),
    RecursionError("deep"),
    MemoryError("5 TiB"),
    OSError("ASE's own"),
    KeyError("x"),
    StopIteration(),
    EOFError("cut"),
    UserWarning("bad"),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
    PanicException("called `Option::unwrap()`"),
]


@pytest.mark.parametrize("error", FAILURES, ids=lambda error: type(error).__name__)
def test_whatever_a_reader_raises_is_the_reject_of_its_row(error, caplog):
    rows = [
        StructureInput("good", "t.csv row 1", CIF),
        StructureInput("bad", "t.csv row 2", failing(error)),
        StructureInput("also-good", "t.csv row 3", CIF),
    ]
    with caplog.at_level(logging.DEBUG, logger="crystalgnn_core"):
        good, bad, last = read_structures(rows)
    assert good.error is None is last.error
    assert bad.error is not None
    assert bad.error[0] == "unreadable_structure"
    assert bad.error[1].startswith("bad: t.csv row 2: not a readable structure")
    assert type(error).__name__ in bad.error[1]
    assert "Traceback" in caplog.text


@pytest.mark.parametrize("error", FAILURES, ids=lambda error: type(error).__name__)
def test_a_test_can_let_errors_through(error):
    row = StructureInput("bad", "here", failing(error))
    with pytest.raises(type(error) if not isinstance(error, StopIteration) else Exception):
        read_structures([row], strict=True)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)])
def test_what_stops_the_process_stops_it(error):
    with pytest.raises(type(error)):
        read_row(failing(error))


@pytest.mark.parametrize("error", [SourceError("changed"), TransientError("no network")])
def test_errors_of_a_whole_source_pass(error):
    with pytest.raises(type(error)):
        read_row(failing(error))


def test_a_refusal_keeps_its_reason_also_where_errors_are_let_through():
    refusal = RecordError("disordered_site", "site 1 is mixed")
    assert read_row(failing(refusal), strict=True) is refusal


def test_one_text_that_breaks_the_reader_of_many_is_one_reject(monkeypatch):
    read = crystals_from_cifs

    def brittle(texts):
        if any("boom" in text for text in texts):
            raise IndexError("vector::_M_range_check")
        return read(texts)

    monkeypatch.setattr(structure_input, "crystals_from_cifs", brittle)
    texts = [CIF, "data_boom\n", CIF, CIF]
    rows = [StructureInput(f"m{at}", "t.csv", text) for at, text in enumerate(texts)]
    records = read_structures(rows)
    assert [record.error is None for record in records] == [True, False, True, True]
    assert "not a readable CIF (IndexError" in fault_of(records[1])[1]
    assert [record.material_id for record in records] == ["m0", "m1", "m2", "m3"]


def test_control_characters_of_an_error_are_not_printed():
    with pytest.raises(RecordError) as caught, parsing("a readable text"):
        raise ValueError("could not convert string to float: '\x00\x1b[31m\x01'")
    assert str(caught.value).isprintable()


def test_an_ase_row_without_numbers_is_one_reject(tmp_path):
    """Case A01: an assertion of ASE ended predict and ingest."""
    row = '{{"cell": {cell}, "pbc": [true, true, true], "positions": [[0, 0, 0]]{more}}}'
    cell = [[3.0, 0, 0], [0, 3.0, 0], [0, 0, 3.0]]
    good = row.format(cell=cell, more=', "numbers": [29], "unique_id": "a"')
    bad = row.format(cell=cell, more=', "unique_id": "b"')
    text = f'{{"1": {good}, "2": {bad}, "3": {good}, "ids": [1, 2, 3], "nextid": 4}}'
    (tmp_path / "ase.json").write_text(text)
    records = list(read_inputs(tmp_path / "ase.json"))
    assert [record.error is None for record in records] == [True, False, True]
    assert (
        "ase.json row 2: not a readable row of an ASE database" in fault_of(records[1])[1]
    )
