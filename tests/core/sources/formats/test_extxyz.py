from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

from crystalgnn_core.sources.formats.extxyz import XyzFile
from crystalgnn_core.sources.formats.pieces import read_pieces

FRAME = (
    '2\nLattice="4.0 0 0 0 4.0 0 0 0 4.0" Properties=species:S:1:pos:R:3 '
    "gap={gap} tag=t{gap}\n"
    "Cs 0 0 0\nCl 2.0 2.0 2.0\n"
)


def frames(*gaps):
    return [FRAME.format(gap=gap) for gap in gaps]


@pytest.fixture
def file(tmp_path):
    def write_file(*texts):
        path = tmp_path / "many.extxyz"
        path.write_bytes("".join(texts).encode())
        return XyzFile(path)

    return write_file


def test_frames_have_structures_values_and_numbers(file):
    pieces = list(file(*frames(1.5, 2.5)).pieces())
    assert [piece.material_id for piece in pieces] == ["many-1", "many-2"]
    assert [piece.values["gap"] for piece in pieces] == [1.5, 2.5]
    assert pieces[1].where == "many.extxyz frame 2"
    records = read_pieces(pieces)
    assert records[0].crystal is not None
    assert records[0].crystal.atomic_numbers.tolist() == [55, 17]
    assert np.allclose(records[0].crystal.frac_coords, np.array([[0.0] * 3, [0.5] * 3]))


def test_what_ase_writes_is_read_with_its_energy(tmp_path):
    atoms = Atoms("NaCl", cell=[5, 5, 9], scaled_positions=[[0] * 3, [0.5] * 3], pbc=True)
    atoms.calc = SinglePointCalculator(atoms, energy=-6.5, forces=np.zeros((2, 3)))
    atoms.info["material_id"] = "mp-22862"
    write(tmp_path / "one.xyz", atoms, format="extxyz")
    [piece] = XyzFile(tmp_path / "one.xyz").pieces()
    assert piece.material_id == "mp-22862"
    assert piece.values["energy"] == -6.5
    [record] = read_pieces([piece])
    assert record.crystal is not None
    assert np.allclose(record.crystal.lattice, np.diag([5, 5, 9]))


def test_a_value_can_be_the_identifier(file):
    rows = file(*frames(1, 2))
    [part] = rows.slices(10)
    assert [piece.material_id for piece in rows.rows(part, "tag")] == ["t1", "t2"]
    assert [piece.material_id for piece in rows.rows(part, "none")] == ["", ""]
    [only] = file(*frames(1)).pieces()
    assert only.material_id == "many"


def test_ranges_of_frames_add_up(file):
    rows = file(*frames(*range(10)), "\n\n")
    whole = [piece.values["gap"] for piece in rows.pieces()]
    assert whole == list(range(10))
    for size in (1, 4, 7):
        parts = rows.slices(size)
        assert [part["row"] for part in parts] == list(range(0, 10, size))
        found = [[piece.values["gap"] for piece in rows.rows(part)] for part in parts]
        assert [len(gaps) for gaps in found] == [part["n_rows"] for part in parts]
        joined = [name for names in found for name in names]
        assert joined == whole


BROKEN = {
    "lists fewer": FRAME.format(gap=0).replace("Cl 2.0 2.0 2.0\n", ""),
    "counts more": FRAME.format(gap=0).replace("2\nL", "7\nL"),
    "no count": FRAME.format(gap=0).replace("2\nL", "two\nL"),
    "no numbers": FRAME.format(gap=0).replace("Cl 2.0 2.0", "Cl 2.0 x"),
    "no element": FRAME.format(gap=0).replace("Cl", "Qq"),
    "no lattice": FRAME.format(gap=0).replace("Lattice", "Cell"),
    "short lattice": FRAME.format(gap=0).replace("4.0 0 0 0", "4.0 0 0"),
    "junk": "\x00\x01 some junk\n",
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_frame_is_one_error_among_others(file, name):
    first, second = frames(1, 2)
    rows = file(first, BROKEN[name], second)
    records = read_pieces(list(rows.pieces()))
    assert [record.error is None for record in records] == [True, False, True]
    assert records[1].error is not None
    reason, message = records[1].error
    assert reason == "unreadable_structure"
    assert message.startswith("many-2: many.extxyz frame 2: ")
    assert "\n" not in message


def test_a_file_that_breaks_off_ends_with_an_error(file):
    first, second = frames(1, 2)
    for kept in (2, 40, len(second) - 16):
        records = read_pieces(list(file(first, second[:kept]).pieces()))
        assert [record.error is None for record in records] == [True, False]


def test_slabs_and_molecules_are_no_crystals(file):
    text = FRAME.format(gap=0).replace(" gap", ' pbc="T T F" gap')
    [record] = read_pieces(list(file(text).pieces()))
    assert record.error is not None
    assert "periodic along all axes" in record.error[1]


def test_an_empty_file_has_no_frames(file):
    assert file("").slices(10) == []


@pytest.mark.parametrize("name", ["007", "1e5", "T", "12-5", '"a b"', "'a b'"])
def test_identifiers_stay_as_they_are_written(file, name):
    named = [frame.replace("tag=", f"id={name} tag=") for frame in frames(1, 2)]
    named[1] = named[1].replace("Cl 2.0", "Qq 2.0")  # a broken frame keeps its id as well
    found = [piece.material_id for piece in file(*named).pieces()]
    assert found == [name.strip("\"'")] * 2


def test_a_byte_order_mark_costs_no_frame(file):
    records = read_pieces(list(file("\ufeff", *frames(1, 2)).pieces()))
    assert [record.error for record in records] == [None, None]
