"""What is a crystal by its distances and volume: real extremes are kept, mistakes are not.

Cells and places are from the papers named; limits and radii are in `fast` and `radii`.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from ase.data import atomic_numbers, covalent_radii
from hypothesis import given
from hypothesis import strategies as st

from crystalgnn_core.errors import RecordError
from crystalgnn_core.records.checks.fast import find_faults, find_flags
from crystalgnn_core.records.checks.radii import radii
from crystalgnn_core.records.checks.structure import checked_structures
from crystalgnn_core.records.crystal import Crystal, lay_out

FCC = [(0, 0, 0), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)]


def crystal(lattice, *sites):
    """Make a crystal of (symbol, places); a number or three are edges of a cell."""
    cell = np.array(lattice, dtype=float)
    cell = cell if cell.ndim == 2 else np.diag(np.broadcast_to(cell, 3))
    numbers = [atomic_numbers[symbol] for symbol, places in sites for _ in places]
    places = [place for _, some in sites for place in some]
    return Crystal(np.array(numbers, np.int16), cell, np.array(places, dtype=float))


def hexagonal(a, c):
    return [[a, 0, 0], [-a / 2, a * np.sqrt(3) / 2, 0], [0, 0, c]]


def shifted(places, *offset):
    return [tuple((np.array(place) + offset) % 1) for place in places]


def pair(first, second, distance, edge=5.2):
    """Two atoms at a distance in an otherwise well filled cube of lead."""
    grid = [p for p in itertools.product((0, 0.5), repeat=3) if any(p)]
    places = [(first, [(0, 0, 0)]), (second, [(distance / edge, 0, 0)])]
    return crystal(edge, *places, ("Pb", [p for p in grid if p[1] or p[2]]))


def verdict(structure):
    [found] = checked_structures([structure])
    return (found.reason, str(found)) if isinstance(found, RecordError) else None


def flags(structure):
    assert verdict(structure) is None
    return find_flags(lay_out([structure]))[0]


def rocksalt(a, metal="Na", other="Cl"):
    return crystal(a, (metal, FCC), (other, shifted(FCC, 0.5, 0, 0)))


BONDS = {  # shortest known, angstrom: NIST (diatomics) and crystal structures
    ("H", "H"): 0.741,
    ("C", "H"): 1.06,  # acetylene
    ("O", "H"): 0.95,
    ("F", "H"): 0.917,
    ("B", "H"): 1.17,
    ("N", "N"): 1.098,
    ("C", "O"): 1.128,
    ("C", "N"): 1.15,
    ("O", "O"): 1.207,
    ("B", "O"): 1.20,
    ("F", "F"): 1.412,
    ("Be", "O"): 1.33,
    ("Li", "H"): 1.595,
    ("U", "O"): 1.70,  # nitrides and oxo complexes of uranium(VI)
    ("Cr", "Cr"): 1.71,  # quintuple bond, Hsu et al., Angew. Chem. 47, 9933 (2008)
    ("Mo", "Mo"): 2.02,
    ("Os", "N"): 1.61,
    ("Cs", "F"): 1.9,  # CsF5 above 50 GPa, Miao, Nat. Chem. 5, 846 (2013)
    ("La", "O"): 1.83,  # diatomic
}


@pytest.mark.parametrize("symbols", BONDS, ids="-".join)
def test_the_shortest_real_bonds_are_kept_without_a_flag(symbols):
    first, second = symbols
    assert flags(pair(first, second, BONDS[symbols])) == ()


@pytest.mark.parametrize(
    ("first", "second", "distance"),
    [
        *((metal, "O", 0.9) for metal in ("La", "Nd", "Yb", "Ca")),
        *(("Pb", "Pb", 1.2), ("U", "H", 0.9), ("Cs", "Cl", 1.3), ("Si", "O", 0.7)),
    ],
)
def test_atoms_that_interpenetrate_are_refused_by_the_names_of_both(
    first, second, distance
):
    reason, text = verdict(pair(first, second, distance))
    assert reason == "overlapping_atoms"
    assert f"atom 0 is {distance:.3f} angstrom from atom 1, expected at least" in text
    assert f"for {first} and {second}; remove the duplicate or correct the cell" in text


def test_between_impossible_and_known_lies_a_flag():
    assert flags(pair("La", "O", 1.5)) == ("close_atoms",)
    assert flags(pair("La", "O", 1.7)) == ()


TWO_THIRDS = [(1 / 3, 2 / 3, 0.25), (2 / 3, 1 / 3, 0.75)]
CAGE = list(itertools.product((0.12, 0.88), repeat=3))
REAL = {
    "diamond": crystal(3.567, ("C", [*FCC, *shifted(FCC, 0.25, 0.25, 0.25)])),
    "caesium": crystal(6.14, ("Cs", [(0, 0, 0), (0.5, 0.5, 0.5)])),
    "helium": crystal(hexagonal(3.57, 5.83), ("He", TWO_THIRDS)),
    "xenon": crystal(6.2, ("Xe", FCC)),
    "simple cubic polonium": crystal(3.359, ("Po", [(0, 0, 0)])),
    "caesium fluoride": rocksalt(6.01, "Cs", "F"),
    "silver iodide": crystal(6.47, ("Ag", FCC), ("I", shifted(FCC, 0.25, 0.25, 0.25))),
    # LaH10 at 150 GPa, Geballe et al., Angew. Chem. 57, 688 (2018)
    "LaH10": crystal(
        5.10,
        ("La", shifted(FCC, 0.5, 0.5, 0.5)),
        ("H", [q for x, y, z in FCC for q in shifted(CAGE, x, y, z)]),
        ("H", [q for x, y, z in FCC for q in shifted([(0.25,) * 3, (0.75,) * 3], x, y, z)]),
    ),
    # iron of the inner core, 360 GPa
    "iron": crystal(hexagonal(2.15, 3.44), ("Fe", TWO_THIRDS)),
    # dry ice, Pa-3, 5.62 angstrom at 150 K
    "carbon dioxide": crystal(
        5.624,
        ("C", FCC),
        *(
            ("O", [tuple(np.add(c, s * 0.1185 * np.array(v)) % 1) for s in (1, -1)])
            for c, v in zip(
                FCC, [(1, 1, 1), (-1, -1, 1), (-1, 1, -1), (1, -1, -1)], strict=True
            )
        ),
    ),
}


@pytest.mark.parametrize("name", REAL)
def test_real_crystals_pass_without_a_flag(name):
    assert flags(REAL[name]) == ()


def test_matter_under_extreme_pressure_is_kept_with_a_flag():
    # transparent sodium at 320 GPa, Ma et al., Nature 458, 182 (2009)
    sodium = hexagonal(2.784, 3.873)
    places = [(0, 0, 0), (0, 0, 0.5), *TWO_THIRDS]
    assert flags(crystal(sodium, ("Na", places))) == ("dense_cell",)


OPEN = {
    "magnesium oxide, bohr read as angstrom": rocksalt(7.96, "Mg", "O"),
    "graphene with 30 angstrom of vacuum": crystal(
        hexagonal(2.46, 30), ("C", [(1 / 3, 2 / 3, 0.5), (2 / 3, 1 / 3, 0.5)])
    ),
    "a molecule of nitrogen in a box": crystal(10, ("N", [(0, 0, 0), (0.11, 0, 0)])),
    # the asymmetric unit of Fm-3m, read as if it were P1
    "sodium chloride cut to 2 atoms": crystal(
        5.64, ("Na", [(0, 0, 0)]), ("Cl", [(0.5, 0, 0)])
    ),
}


@pytest.mark.parametrize("name", OPEN)
def test_mostly_empty_cells_are_flagged_but_kept(name):
    assert flags(OPEN[name]) == ("sparse_cell",)


WRONG = {
    "nanometres": (rocksalt(0.564), "degenerate_cell"),
    "picometres": (rocksalt(564.0), "degenerate_cell"),
    "bohr read as angstrom": (rocksalt(10.66), "degenerate_cell"),
    "a lattice that is doubled": (rocksalt(12.0), "degenerate_cell"),
    "diamond cut to 1 atom": (crystal(3.567, ("C", [(0, 0, 0)])), "degenerate_cell"),
    "silicon cut to 1 atom": (crystal(5.43, ("Si", [(0, 0, 0)])), "degenerate_cell"),
    "caesium in the cell of diamond": (
        crystal(3.567, ("Cs", [*FCC, *shifted(FCC, 0.25, 0.25, 0.25)])),
        "degenerate_cell",
    ),
    "fractions read as angstrom": (
        crystal(5.64, ("Na", np.array(FCC) / 5.64), ("Cl", np.array(FCC[1:]) / 11.3)),
        "overlapping_atoms",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_crystal_is_refused(name):
    structure, reason = WRONG[name]
    assert verdict(structure)[0] == reason


def test_atoms_without_bonds_are_named_with_their_room():
    _, text = verdict(rocksalt(12.0))
    assert "no two atoms are within 2.0 times the sum of their covalent radii" in text
    assert "216 cubic angstrom per atom" in text


@given(st.integers(0, 2**32 - 1), st.floats(0.35, 2.2))
def test_the_verdict_is_that_of_the_crystal_not_of_its_cell(seed, scale):
    random = np.random.default_rng(seed)
    names = random.choice(sorted(REAL))
    numbers, lattice, coords = REAL[names]
    lattice = lattice * scale
    shear = np.eye(3)
    shear[1, 0], shear[2, 1] = random.integers(-1, 2, 2)
    order = random.permutation(len(numbers))
    shift = random.uniform(-2, 2, 3)
    sheared = Crystal(
        numbers[order], shear @ lattice, ((coords + shift) @ np.linalg.inv(shear))[order]
    )
    doubled = Crystal(
        np.tile(numbers, 2),
        lattice * np.array([[1], [1], [2]]),
        np.concatenate([coords, coords + np.eye(3)[2]]) * [1, 1, 0.5],
    )
    plain = Crystal(numbers, lattice, coords)
    reasons = {str((verdict(c) or [""])[0]) for c in (plain, sheared, doubled)}
    assert len(reasons) == 1


def test_the_radii_are_those_of_the_table_and_complete():
    table = radii()
    assert np.isfinite(table.bond).all()
    assert np.isfinite(table.room).all()
    for symbol in ("H", "O", "La", "U"):
        number = atomic_numbers[symbol]
        assert table.bond[number] == covalent_radii[number]
    assert table.bond[11] == pytest.approx(0.9 * 1.66)
    assert table.room[8] == 1.5
    assert table.room[17] == 1.82
    assert (table.room[1:] >= table.bond[1:]).all()


def test_large_cells_are_judged_by_the_same_limits():
    grid = np.array(list(itertools.product(range(8), repeat=3))) / 8
    numbers = np.full(512, 57, np.int16)
    numbers[1] = 8
    places = grid.copy()
    assert find_faults([Crystal(numbers, np.eye(3) * 30, places)]) is not None
    assert verdict(Crystal(numbers, np.eye(3) * 30, places)) is None
    places[1] = [0.03, 0, 0]
    reason, text = verdict(Crystal(numbers, np.eye(3) * 30, places))
    assert reason == "overlapping_atoms"
    assert "for La and O" in text


@pytest.mark.parametrize(
    ("metal", "n_metal", "other", "n_other", "expected"),
    [
        ("Na", 1, "F", 1, ()),
        ("Na", 1, "F", 2, ("impossible_charge",)),
        ("Ca", 2, "F", 5, ()),  # as far from balance as computed fluorides are
        ("Ca", 2, "F", 6, ("impossible_charge",)),
        ("Au", 1, "F", 5, ()),
        ("Xe", 1, "F", 2, ()),
        ("Os", 1, "O", 4, ()),
        ("K", 1, "O", 3, ()),  # ozonide
        ("K", 1, "O", 4, ("impossible_charge",)),
        ("O", 1, "F", 2, ()),
        ("F", 1, "F", 1, ()),
        ("Na", 3, "Cl", 1, ()),  # under pressure, Zhang et al., Science 342, 1502 (2013)
    ],
)
def test_more_anions_than_cations_can_bind_are_flagged(
    metal, n_metal, other, n_other, expected
):
    places = [(x / 3, y / 3, 0.5) for x in range(3) for y in range(3)]
    structure = crystal(
        (6.6, 6.6, 2.2),
        (metal, places[:n_metal]),
        (other, places[n_metal : n_metal + n_other]),
    )
    found = find_flags(lay_out([structure]))[0]
    assert tuple(name for name in found if name == "impossible_charge") == expected
