from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crystalgnn_core.records.checks import fast
from crystalgnn_core.records.checks.fast import MIN_BOND, find_faults, find_flags
from crystalgnn_core.records.checks.overlap import find_overlap
from crystalgnn_core.records.checks.radii import radii
from crystalgnn_core.records.crystal import Crystal, lay_out

CUBIC = np.eye(3) * 3.0


def crystal(lattice, *coords, numbers=None):
    places = np.array(coords, dtype=float).reshape(-1, 3)
    given_ = np.full(len(places), 13) if numbers is None else np.array(numbers)
    return Crystal(given_.astype(np.int16), np.array(lattice, dtype=float), places)


@given(st.integers(0, 2**32 - 1), st.integers(1, 8), st.floats(0.4, 6.0))
def test_an_intact_crystal_has_no_overlap(seed, n_atoms, size):
    random = np.random.default_rng(seed)
    lattice = np.eye(3) * size + random.normal(0, 0.5, (3, 3))
    structure = crystal(lattice, *random.uniform(-2, 2, (n_atoms, 3)))
    [found] = find_faults([structure])
    reach = MIN_BOND * radii().bond[structure.atomic_numbers]
    if found is None:
        assert find_overlap(structure, 0.5, reach) is None
    assert found is not None or abs(np.linalg.det(lattice)) >= n_atoms


def test_plain_crystals_pass():
    plain = crystal(CUBIC, [0, 0, 0], [0.5, 0.5, 0.5])
    mirrored = crystal(-CUBIC, [0, 0, 0], [1.5, -0.5, 0.5])
    assert find_faults([plain, mirrored]) == [None, None]
    assert find_faults([]) == []


MANY = np.arange(1503).reshape(-1, 3) / 1503
FAULTS = {
    "number": (crystal(CUBIC, [0] * 3, [0.5] * 3, numbers=[13, 119]), "UNKNOWN_ELEMENT", 1),
    "dummy": (crystal(CUBIC, [0, 0, 0], numbers=[0]), "UNKNOWN_ELEMENT", 0),
    "NaN in the cell": (crystal(CUBIC * np.nan, [0, 0, 0]), "NOT_FINITE", 0),
    "NaN": (crystal(CUBIC, [0, 0, np.nan]), "NOT_FINITE", 0),
    "NaN before a number": (crystal(CUBIC, [np.nan, 0, 1]), "NOT_FINITE", 0),
    "infinite": (crystal(CUBIC, [0, 0, -np.inf]), "NOT_FINITE", 0),
    "long": (crystal(CUBIC * 1e4, [0, 0, 0]), "LONG", 0),
    "dilute": (crystal(np.diag([10, 20, 10.1]), [0] * 3, [0.5] * 3), "DILUTE", 0),
    "dense": (crystal(np.eye(3) * 1.2, [0, 0, 0], [0.5, 0.5, 0.5]), "DENSE", 0),
    "thin": (crystal(np.diag([0.9, 9, 9]), [0, 0, 0]), "UNDECIDED", 0),
    "far outside": (crystal(CUBIC, [1e7, 0, 0]), "UNDECIDED", 0),
    "large": (
        crystal(np.eye(3) * 50, *MANY),
        "UNDECIDED",
        0,
    ),
    "close over the border": (crystal(CUBIC, [0, 0, 0.05], [0, 0, 0.95]), "UNDECIDED", 0),
    "same place": (crystal(CUBIC, [0.5] * 3, [0.1, 0, 0], [1.1, 0, 0]), "UNDECIDED", 0),
}


@pytest.mark.parametrize("name", FAULTS)
def test_the_first_fault_is_found_with_its_atom_among_plain_crystals(name):
    structure, code, atom = FAULTS[name]
    plain = crystal(CUBIC, [0, 0, 0])
    before, found, after = find_faults([plain, structure, plain])
    assert found is not None
    assert (found.code, found.first) == (getattr(fast, code), atom)
    assert before is after is None


def test_only_atoms_below_the_smallest_distance_are_searched_for_an_overlap():
    limit = MIN_BOND * 2 * 1.21 / 4  # of aluminium
    for place, code in ((limit * 1.0001, None), (limit * 0.9999, fast.UNDECIDED)):
        [found] = find_faults([crystal(np.eye(3) * 4, [0, 0, 0], [place, 0, 0])])
        assert (found and found.code) == code


def test_flags_of_a_thin_cell_do_not_hang():
    # its atom stands far from its images, but tens of millions of them are to be looked at
    sheared = [[4.0, 0, 0], [9996.0, 4.0, 0], [9996.0, 9996.0, 4.0]]
    started = time.process_time()
    assert find_flags(lay_out([crystal(sheared, [0, 0, 0], numbers=[84])])) == [
        ("sparse_cell",)
    ]
    large = crystal(np.eye(3) * 60, *MANY)
    assert "sparse_cell" in find_flags(lay_out([large]))[0]
    assert time.process_time() - started < 30.0  # of this process
