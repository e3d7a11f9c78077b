"""POSCAR as people and programs write it: the crystal that was meant, or a refusal.

Expected values are those of the rock salt cell that all texts describe, or of the VASP
manual's page on the file; numbers of other packages are named where they are compared.
"""

from __future__ import annotations

import io

import ase.io
import numpy as np
import pytest
from ase import Atoms

from crystalgnn_core.errors import RecordError
from crystalgnn_core.sources.formats.poscar import crystal_from_poscar, structures_of_poscar

SALT = """NaCl
1.0
0 2.82 2.82
2.82 0 2.82
2.82 2.82 0
Na Cl
1 1
Direct
0 0 0
0.5 0.5 0.5
"""
VOLUME = 2 * 2.82**3


def with_lines(**lines):
    """Return the salt with other lines, by number: `_2` is the scale."""
    texts = SALT.splitlines()
    for number, text in lines.items():
        texts[int(number[1:]) - 1] = text
    return "\n".join(texts) + "\n"


SAME = {
    "comment behind the scale (hand-made, case P14)": with_lines(
        _2="1.0   ! lattice constant"
    ),
    "comment behind the scale with a number": with_lines(_2="1.0 # 5.64 before"),
    "comment behind the counts": with_lines(_7="1 1   ! 2 atoms"),
    "comment without a mark behind the counts": with_lines(_7="1 1 atoms"),
    "capital symbols (Materials Studio, case P16)": with_lines(_6="NA CL"),
    "small symbols": with_lines(_6="na cl"),
    "names of POTCAR": with_lines(_6="Na_pv Cl"),
    "VASP 6 hashes (pymatgen and pyiron_atomistics#1232)": with_lines(
        _6="Na_pv/f474ac0d  Cl/79d9987ad87"
    ),
    "glued negative numbers (pymatgen#4323, case P31)": with_lines(
        _10="-0.50000000-0.50000000-0.50000000"
    ),
    "glued numbers of the lattice": with_lines(
        _3="0.000-2.820-2.820", _4="-2.820 0.000-2.820", _5="-2.820-2.820 0.000"
    ),
    "Fortran exponents": with_lines(_3="0.0D+00 2.82d0 0.282D+01"),
    "tabs": SALT.replace(" ", "\t"),
    "blank lines in the head": SALT.replace("Na Cl", "\n\nNa Cl\n").replace(
        "Direct", "\n  \nDirect"
    ),
    "a million blank lines": SALT.replace("Direct\n", "Direct\n" + "  \n" * 10**6),
    "blank comment": SALT.replace("NaCl", "", 1),
    "blank line before the comment": "\n" + SALT,
    "negative scale is the volume": with_lines(
        _2=f"{-VOLUME}", _3="0 1 1", _4="1 0 1", _5="1 1 0"
    ),
    "selective dynamics": SALT.replace("Direct", "Selective dynamics\nDirect")
    .replace("0 0 0\n", "0 0 0 T T F\n")
    .replace("0.5\n", "0.5 F F F\n"),
    "selective dynamics with symbols": SALT.replace("Direct", "sel\nd")
    .replace("0 0 0\n", "0 0 0 T T T Na\n")
    .replace("0.5\n", "0.5 .FALSE. .FALSE. .FALSE. Cl\n"),
    "symbols beside the coordinates": SALT.replace("0 0 0\n", "0 0 0 Na1\n"),
    "an index beside the coordinates": SALT.replace("0 0 0\n", "0 0 0 1\n"),
    "Cartesian": with_lines(_8="Cartesian", _10="2.82 2.82 2.82"),
    "Kartesisch": with_lines(_8="kartesisch", _10="2.82 2.82 2.82"),
    "Cartesian with a scale": with_lines(
        _2="2.82", _3="0 1 1", _4="1 0 1", _5="1 1 0", _8="C", _10="1 1 1"
    ),
    "Cartesian with a volume (VASP scales them too)": with_lines(
        _2=f"{-VOLUME}", _3="0 1 1", _4="1 0 1", _5="1 1 0", _8="C", _10="1 1 1"
    ),
    "VASP 4 with symbols as the comment": SALT.replace("Na Cl\n", "").replace(
        "NaCl", "Na Cl"
    ),
    "VASP 4 with a formula as the comment": SALT.replace("Na Cl\n", ""),
    "VASP 4 with symbols beside the coordinates (pymatgen)": SALT.replace("NaCl", "salt", 1)
    .replace("Na Cl\n", "")
    .replace("0 0 0\n", "0 0 0 Na\n")
    .replace("0.5\n", "0.5 Cl\n"),
    "velocities": SALT + "\n 0.1 0.2 0.3\n 0.1 0.2 0.3\n",
    "velocities of VASP 6 with a lattice": SALT
    + "Lattice velocities and vectors\n  1\n"
    + "  0.0 0.1 0.2\n" * 3
    + "  0.0 2.82 2.82\n  2.82 0.0 2.82\n  2.82 2.82 0.0\nDirect\n"
    + " 0.1 0.2 0.3\n" * 2,
    "predictor and corrector": SALT
    + "\n 0.1 0.2 0.3\n 0.1 0.2 0.3\n\n 1\n 0.5E+00\n 0.0 0.0 0.0 0.0\n"
    + " 0.1 0.2 0.3\n" * 6,
    "a charge density behind it": SALT + "\n 24 24 24\n 0.1 0.2 0.3 0.4 0.5\n",
    "one frame of an XDATCAR": with_lines(_8="Direct configuration=     1"),
}


@pytest.mark.parametrize("name", SAME)
def test_dialects_of_one_crystal_are_that_crystal(name):
    crystal = crystal_from_poscar(SAME[name])
    assert crystal.atomic_numbers.tolist() == [11, 17]
    assert abs(np.linalg.det(crystal.lattice)) == pytest.approx(VOLUME)
    assert np.allclose(crystal.frac_coords % 1.0, [[0.0] * 3, [0.5] * 3])


REFUSED = {
    "two scale factors": (with_lines(_2="1.0 2.0"), "2 numbers, expected one scale"),
    "four scale factors": (with_lines(_2="1 1 1 1"), "4 numbers"),
    "no scale": (with_lines(_2="scale"), "0 numbers"),
    "scale of zero": (with_lines(_2="0.0"), "not zero"),
    "three scales, one negative": (with_lines(_2="1 -1 1"), "three above zero"),
    "decimal commas": (with_lines(_10="0,5 0,5 0,5"), "lists 1 coordinates; the next"),
    "a lattice vector of four numbers": (with_lines(_3="0 2 2 2"), "hold 4, 3, 3 numbers"),
    "an overflown number": (with_lines(_10="0.5 0.5 ********"), "the next line is"),
    "infinity": (with_lines(_10="0.5 0.5 inf"), "lists 1 coordinates"),
    "a name that is no element": (with_lines(_6="Na Qq"), "'Qq', which is no element"),
    "a symbol that is missing": (with_lines(_6="NaCl"), "'NaCl', which is no element"),
    "fewer symbols than counts": (with_lines(_6="Na"), "names 1 elements"),
    "no counts": (with_lines(_7="a b", _9="x", _10="y"), "no line of atom counts"),
    "a negative count": (with_lines(_7="1 -1"), "counts of the POSCAR are 1 -1, expected"),
    "counts beyond the lines": (with_lines(_7="1 9999"), "counts 10000 atoms in 10 lines"),
    "counts beyond memory": (with_lines(_7="1 99999999999"), "expected 262144 at most"),
    "a line of a million numbers": (
        with_lines(_10="0" + "-0.5" * 10**6),
        "expected three coordinates",
    ),
    "counts beyond all numbers": (with_lines(_7="1 " + "9" * 5000), "names 2 elements"),
    "no mode": (SALT.replace("Direct\n", ""), "expected Direct or Cartesian"),
    "a symbol that contradicts the head": (
        SALT.replace("0 0 0\n", "0 0 0 Cl\n"),
        "is named Cl, but by the order of the head it is Na",
    ),
    "VASP 4 without symbols (GB_code#12)": (
        SALT.replace("Na Cl\n", "").replace("NaCl", "# POSCAR written by GB_code"),
        "names no elements",
    ),
    "VASP 4 with words beside the symbols": (
        SALT.replace("Na Cl\n", "").replace("NaCl", "In Na cell"),
        "names no elements",
    ),
    "VASP 4 with a formula of other ratios": (
        SALT.replace("Na Cl\n", "").replace("NaCl", "NaCl3"),
        "names no elements",
    ),
    "one coordinate more": (SALT + "0.1 0.1 0.1\n", "but lists 3 coordinates"),
    "one coordinate more behind a blank line": (
        SALT + "\n0.1 0.1 0.1\n",
        "but lists 3 coordinates",
    ),
    "two structures in one file": (SALT + SALT, "a second structure begins in line 11"),
    "two structures with a blank line": (SALT + "\n" + SALT, "a second structure"),
    "cut in the head": ("\n".join(SALT.splitlines()[:4]), "cut off"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_may_be_another_crystal_is_refused(name, refused):
    text, words = REFUSED[name]
    reason, message = refused(crystal_from_poscar, text)
    assert reason in {"unreadable_structure", "unknown_element", "no_atoms"}
    assert words in message
    assert "\n" not in message
    assert len(message) < 250


def test_three_scales_are_of_x_y_and_z_as_ase_and_the_manual_have_it():
    """Each multiplies a Cartesian component, not a vector; positions are scaled alike."""
    text = with_lines(_2="1.0 1.5 2.0", _8="Cartesian", _10="2.82 2.82 2.82")
    crystal = crystal_from_poscar(text)
    atoms = ase.io.read(io.StringIO(text), format="vasp")
    assert isinstance(atoms, Atoms)
    assert np.allclose(crystal.lattice, atoms.cell.array)
    assert np.allclose(crystal.frac_coords, atoms.get_scaled_positions(wrap=False))
    assert np.allclose(crystal.lattice[0], [0.0, 1.5 * 2.82, 2.0 * 2.82])
    cubic = "a\n1.0 1.0 2.0\n5.64 0 0\n0 5.64 0\n0 0 2.82\nNa Cl\n4 4\nDirect\n"
    sites = "0 0 0\n.5 .5 0\n.5 0 .5\n0 .5 .5\n.5 .5 .5\n0 0 .5\n0 .5 0\n.5 0 0\n"
    crystal = crystal_from_poscar(cubic + sites)  # case P05, from the manual
    assert np.allclose(crystal.lattice, np.eye(3) * 5.64)
    assert crystal.atomic_numbers.tolist() == [11] * 4 + [17] * 4


def test_symbols_and_counts_may_take_several_lines():
    """VASP writes 20 kinds a line (the example is in pymatgen's reader)."""
    n_kinds = 25
    kinds = ["Fe", "Cr"] * 13
    symbols = f"{' '.join(kinds[:20])}\n{' '.join(kinds[20:n_kinds])}"
    counts = f"{'1 ' * 20}\n{'2 ' * 5}"
    sites = "\n".join(f"0 0 {number / 30}" for number in range(30))
    text = with_lines(_6=symbols, _7=counts, _9=sites, _10="")
    numbers = [26 if kind == "Fe" else 24 for kind in kinds]
    expected = numbers[:20] + [number for number in numbers[20:n_kinds] for _ in (1, 2)]
    assert crystal_from_poscar(text).atomic_numbers.tolist() == expected


FRAMES = SALT.replace("Direct\n", "Direct configuration=     1\n")
MORE = "Direct configuration=     {}\n0 0 0\n.5{} .5 .5\n"


def read(text):
    """Return the first coordinate of the second atom of every frame, or its message."""
    return [second_of(content) for _, content in structures_of_poscar(text)]


def second_of(content):
    assert callable(content)
    try:
        return content().frac_coords[1, 0]
    except RecordError as error:
        return str(error)


def test_every_frame_of_an_xdatcar_is_a_row():
    text = FRAMES + MORE.format(2, 1) + MORE.format(3, 3)  # case P19
    assert read(text) == [0.5, 0.51, 0.53]
    blank = text.replace("Direct", "\nDirect")
    assert read(blank) == [0.5, 0.51, 0.53]


def test_frames_of_older_versions_are_fractions():
    text = FRAMES + MORE.format(2, 1)
    old = text.replace("Direct configuration", " Konfig")
    assert read(old) == read(text) == [0.5, 0.51]


def test_frames_of_a_cell_that_changes_have_their_own_head():
    larger = FRAMES.replace("1.0\n", "2.0\n", 1)
    frames = [content for _, content in structures_of_poscar(FRAMES + larger)]
    cells = [frame().lattice[0, 1] for frame in frames if callable(frame)]
    assert np.allclose(cells, [2.82, 5.64])


def test_a_damaged_frame_costs_no_other():
    second = MORE.format(2, 1)
    for broken in (
        second.replace("0 0 0\n", ""),
        second.replace("0 0 0", "0 x 0"),
        second + ".1 .1 .1\n",
    ):
        first, middle, last = read(FRAMES + broken + MORE.format(3, 3))
        assert (first, last) == (0.5, 0.53)
        assert "POSCAR" in str(middle)
    *_, last = read(FRAMES + second.rpartition(".51")[0])
    assert "lists 1 coordinates" in last
