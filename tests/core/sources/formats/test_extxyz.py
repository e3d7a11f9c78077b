from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

from crystalgnn_core.sources.formats.extxyz import XyzFile
from crystalgnn_core.sources.formats.structure_input import read_structures
from tests.core.sources.raw_records import crystal_of

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
    inputs = list(file(*frames(1.5, 2.5)).inputs())
    assert [given.material_id for given in inputs] == ["many-1", "many-2"]
    assert [given.values["gap"] for given in inputs] == [1.5, 2.5]
    assert inputs[1].where == "many.extxyz frame 2"
    records = read_structures(inputs)
    assert records[0].crystal is not None
    assert records[0].crystal.atomic_numbers.tolist() == [55, 17]
    assert np.allclose(records[0].crystal.frac_coords, np.array([[0.0] * 3, [0.5] * 3]))


def test_what_ase_writes_is_read_with_its_energy(tmp_path):
    atoms = Atoms("NaCl", cell=[5, 5, 9], scaled_positions=[[0] * 3, [0.5] * 3], pbc=True)
    atoms.calc = SinglePointCalculator(atoms, energy=-6.5, forces=np.zeros((2, 3)))
    atoms.info["material_id"] = "mp-22862"
    write(tmp_path / "one.xyz", atoms, format="extxyz")
    [given] = XyzFile(tmp_path / "one.xyz").inputs()
    assert given.material_id == "mp-22862"
    assert given.values["energy"] == -6.5
    [record] = read_structures([given])
    assert record.crystal is not None
    assert np.allclose(record.crystal.lattice, np.diag([5, 5, 9]))


def test_a_value_can_be_the_identifier(file):
    rows = file(*frames(1, 2))
    [part] = rows.slices(10)
    assert [given.material_id for given in rows.rows(part, "tag")] == ["t1", "t2"]
    assert [given.material_id for given in rows.rows(part, "none")] == ["", ""]
    [only] = file(*frames(1)).inputs()
    assert only.material_id == "many"


def test_ranges_of_frames_add_up(file):
    rows = file(*frames(*range(10)), "\n\n")
    whole = [given.values["gap"] for given in rows.inputs()]
    assert whole == list(range(10))
    for size in (1, 4, 7):
        parts = rows.slices(size)
        assert [part["row"] for part in parts] == list(range(0, 10, size))
        found = [[given.values["gap"] for given in rows.rows(part)] for part in parts]
        assert [len(gaps) for gaps in found] == [part["n_rows"] for part in parts]
        joined = [name for names in found for name in names]
        assert joined == whole


BROKEN = {
    "lists fewer": FRAME.format(gap=0).replace("Cl 2.0 2.0 2.0\n", ""),
    "counts more": FRAME.format(gap=0).replace("2\nL", "7\nL"),
    "lists more": FRAME.format(gap=0) + "Cl 1.0 1.0 1.0\n",
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
    records = read_structures(list(rows.inputs()))
    assert [record.error is None for record in records] == [True, False, True]
    assert records[1].error is not None
    reason, message = records[1].error
    assert reason == "unreadable_structure"
    assert message.startswith("many-2: many.extxyz frame 2: ")
    assert "\n" not in message


def test_a_file_that_breaks_off_ends_with_an_error(file):
    first, second = frames(1, 2)
    for kept in (2, 40, len(second) - 16):
        records = read_structures(list(file(first, second[:kept]).inputs()))
        assert [record.error is None for record in records] == [True, False]


def test_slabs_and_molecules_are_no_crystals(file):
    text = FRAME.format(gap=0).replace(" gap", ' pbc="T T F" gap')
    [record] = read_structures(list(file(text).inputs()))
    assert record.error is not None
    assert "periodic along all axes" in record.error[1]


def test_an_empty_file_has_no_frames(file):
    assert file("").slices(10) == []


@pytest.mark.parametrize("name", ["007", "1e5", "T", "12-5", '"a b"', "'a b'"])
def test_identifiers_stay_as_they_are_written(file, name):
    named = [frame.replace("tag=", f"id={name} tag=") for frame in frames(1, 2)]
    named[1] = named[1].replace("Cl 2.0", "Qq 2.0")  # a broken frame keeps its id as well
    found = [given.material_id for given in file(*named).inputs()]
    assert found == [name.strip("\"'")] * 2


def test_a_byte_order_mark_costs_no_frame(file):
    records = read_structures(list(file("\ufeff", *frames(1, 2)).inputs()))
    assert [record.error for record in records] == [None, None]


SALT = (
    '2\nLattice="5 0 0 0 5 0 0 0 6" Properties=species:S:1:pos:R:3\n'
    "Na 0 0 0\nCl 2.5 2.5 3\n"
)
NOTATIONS = {
    "small letters": SALT.replace("Lattice", "lattice").replace("Prop", "prop"),
    "capital letters": SALT.replace("Lattice", "LATTICE"),
    "braces": SALT.replace('"5 0 0 0 5 0 0 0 6"', "{5 0 0 0 5 0 0 0 6}"),
    "a list": SALT.replace('"5 0 0 0 5 0 0 0 6"', "[5,0,0,0,5,0,0,0,6]"),
    "commas": SALT.replace('"5 0 0 0 5 0 0 0 6"', '"5,0,0,0,5,0,0,0,6"'),
    "capital symbols": SALT.replace("Na", "NA").replace("Cl", "CL"),
    "atomic numbers": SALT.replace("species:S", "Z:I")
    .replace("Na", "11")
    .replace("Cl", "17"),
    "both": SALT.replace("S:1:", "S:1:Z:I:1:")
    .replace("Na", "Na 11")
    .replace("Cl", "Cl 17"),
    "no properties": SALT.replace(" Properties=species:S:1:pos:R:3", ""),
    "move mask (ASE's constraints)": SALT.replace("R:3\n", "R:3:move_mask:L:1\n")
    .replace("0 0 0\n", "0 0 0 T\n")
    .replace("2.5 3\n", "2.5 3 F\n"),
    "move mask of axes": SALT.replace("R:3\n", "R:3:move_mask:L:3\n")
    .replace("0 0 0\n", "0 0 0 T T F\n")
    .replace("2.5 3\n", "2.5 3 F F F\n"),
    "places before relaxation": SALT.replace(":pos", ":pos_unrelaxed:R:3:pos")
    .replace("Na", "Na 9 9 9")
    .replace("Cl", "Cl 8 8 8"),
    "a remark with a lattice": SALT.replace("Prop", 'note="was lattice=4 pbc=F" Prop'),
    "one energy, given twice": SALT.replace(" Prop", " energy=-1.5 energy=-1.5 Prop"),
    "full shares": SALT.replace("R:3\n", "R:3:occupancy:R:1\n")
    .replace("0 0 0\n", "0 0 0 1\n")
    .replace("2.5 3\n", "2.5 3 1.0\n"),
}


@pytest.mark.parametrize("name", NOTATIONS)
def test_other_notations_are_the_same_crystal(file, name):
    [record] = read_structures(list(file(NOTATIONS[name]).inputs()))
    crystal = crystal_of(record)
    assert crystal.atomic_numbers.tolist() == [11, 17]
    assert np.allclose(crystal.lattice, np.diag([5, 5, 6]))
    assert np.allclose(crystal.frac_coords, np.array([[0.0] * 3, [0.5] * 3]))


REFUSED = {
    "open along an axis": (
        SALT.replace(" Prop", ' pbc="T T F" Prop'),
        "periodic along all",
    ),
    "open, in capitals": (SALT.replace(" Prop", ' PBC="F F F" Prop'), "periodic along all"),
    "open, in numbers": (SALT.replace(" Prop", ' pbc="1 1 0" Prop'), "periodic along all"),
    "open, in one word": (SALT.replace(" Prop", " pbc=F Prop"), "periodic along all"),
    "no lattice": (SALT.replace("Lattice", "Cell"), "periodic along all"),
    "lengths alone": (SALT.replace("5 0 0 0 5 0 0 0 6", "5 5 6"), "3x3 matrix"),
    "lengths and angles": (
        SALT.replace("5 0 0 0 5 0 0 0 6", "5 5 6 90 90 90"),
        "3x3 matrix",
    ),
    "two lattices": (SALT.replace(" Prop", ' lattice="7 0 0 0 7 0 0 0 7" Prop'), "twice"),
    "two energies": (SALT.replace(" Prop", " energy=-1.5 energy=-2.5 Prop"), "twice"),
    "two columns of places": (
        SALT.replace("R:3\n", "R:3:pos:R:3\n").replace("0 0 0\n", "0 0 0 1 1 1\n"),
        "not a readable frame",
    ),
    "columns without end": (
        SALT.replace("R:3\n", f"R:3{'0' * 400}\n"),
        "more columns than the 4 of the first atom",
    ),
    "fractions in place of positions": (SALT.replace(":pos", ":frac"), "no column pos"),
    "element and number disagree": (
        SALT.replace("S:1:", "S:1:Z:I:1:").replace("Na", "Na 11").replace("Cl", "Cl 19"),
        "'Cl' but has the atomic number 19",
    ),
    "a label": (SALT.replace("Na", "Na1"), "named 'Na1', no element symbol"),
    "a charge": (SALT.replace("Na", "Na+"), "named 'Na+', no element symbol"),
    "shares of sites": (
        SALT.replace("R:3\n", "R:3:occupancy:R:1\n")
        .replace("0 0 0\n", "0 0 0 0.5\n")
        .replace("2.5 3\n", "2.5 3 1\n"),
        "shares below 1",
    ),
    "a count beyond all numbers": ("9" * 5000 + SALT[1:], "not a count"),
    "a count beyond memory": ("999999999" + SALT[1:], "expected 262144 at most"),
    "a count beyond the lines": ("9999" + SALT[1:], "counts 9999 atoms but lists 2"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_ase_would_read_as_another_crystal_is_refused(file, name):
    text, words = REFUSED[name]
    [record] = read_structures(list(file(text).inputs()))
    assert record.error is not None
    assert words in record.error[1]
    is_share = name == "shares of sites"
    assert record.error[0] == ("disordered_site" if is_share else "unreadable_structure")


def test_a_long_line_without_keys_is_read_in_linear_time(file):
    text = SALT.replace("Lattice", "x" * 900_000 + " Lattice")
    [record] = read_structures(list(file(text).inputs()))
    assert record.error is None
