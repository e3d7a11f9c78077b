from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crystalgnn_core.records.checks.fast import are_clearly_sound
from crystalgnn_core.records.checks.overlap import find_overlap
from crystalgnn_core.records.crystal import Crystal

LIMITS: dict[str, float] = {
    "distance": 0.5,
    "volume_per_atom": 1.0,
    "max_volume_per_atom": 1000.0,
    "entry": 1e4,
}
CUBIC = np.eye(3) * 3.0


def crystal(lattice, *coords, numbers=None):
    places = np.array(coords, dtype=float).reshape(-1, 3)
    given_ = np.full(len(places), 6) if numbers is None else np.array(numbers)
    return Crystal(given_.astype(np.int16), np.array(lattice, dtype=float), places)


@given(st.integers(0, 2**32 - 1), st.integers(1, 8), st.floats(0.4, 6.0))
def test_a_sound_crystal_has_no_overlap(seed, n_atoms, size):
    random = np.random.default_rng(seed)
    lattice = np.eye(3) * size + random.normal(0, 0.5, (3, 3))
    structure = crystal(lattice, *random.uniform(-2, 2, (n_atoms, 3)))
    if are_clearly_sound([structure], **LIMITS)[0]:
        assert find_overlap(structure, 0.5) is None
        assert abs(np.linalg.det(lattice)) >= n_atoms


def test_plain_crystals_pass():
    plain = crystal(CUBIC, [0, 0, 0], [0.5, 0.5, 0.5])
    mirrored = crystal(-CUBIC, [0, 0, 0], [1.5, -0.5, 0.5])
    assert are_clearly_sound([plain, mirrored], **LIMITS) == [True, True]


FAULTS = {
    "no atoms": crystal(CUBIC),
    "shape": Crystal(np.ones(2, np.int16), CUBIC, np.zeros((1, 3))),
    "lattice shape": Crystal(np.ones(1, np.int16), CUBIC[:2], np.zeros((1, 3))),
    "number": crystal(CUBIC, [0, 0, 0], numbers=[119]),
    "dummy": crystal(CUBIC, [0, 0, 0], numbers=[0]),
    "NaN in the cell": crystal(CUBIC * np.nan, [0, 0, 0]),
    "NaN": crystal(CUBIC, [0, 0, np.nan]),
    "infinite": crystal(CUBIC, [0, 0, np.inf]),
    "long": crystal(CUBIC * 1e4, [0, 0, 0]),
    "dilute": crystal(np.diag([10, 20, 10.1]), [0, 0, 0], [0.5, 0.5, 0.5]),
    "dense": crystal(np.eye(3) * 1.2, [0, 0, 0], [0.5, 0.5, 0.5]),
    "flat": crystal(np.diag([0.9, 9, 9]), [0, 0, 0]),
    "close over the border": crystal(CUBIC, [0, 0, 0.05], [0, 0, 0.95]),
    "same place": crystal(CUBIC, [0.1, 0, 0], [1.1, 0, 0]),
    "at the limit": crystal(np.eye(3) * 4, [0, 0, 0], [0.125, 0, 0]),
}


@pytest.mark.parametrize("name", FAULTS)
def test_whatever_is_at_fault_or_at_the_limit_is_checked_further(name):
    plain = crystal(CUBIC, [0, 0, 0])
    assert are_clearly_sound([plain, FAULTS[name], plain], **LIMITS) == [True, False, True]


def test_no_structure_is_not_sound():
    assert are_clearly_sound([None], **LIMITS) == [False]
    assert are_clearly_sound([], **LIMITS) == []
