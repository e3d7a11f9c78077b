"""Crystals for property tests."""

import math

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from pymatgen.core.lattice import Lattice

from crystalgnn_core.records.crystal import Crystal

ANGLE = st.floats(25, 155)


@st.composite
def crystals(draw, sizes=(1, 2, 3, 5, 8, 13, 30, 60)):
    """Draw triclinic cells, also very flat ones, coordinates unwrapped."""
    n_atoms = draw(st.sampled_from(sizes))
    angles = draw(st.tuples(ANGLE, ANGLE, ANGLE))
    cosines = np.cos(np.radians(angles))
    volume = 1 - (cosines**2).sum() + 2 * cosines.prod()  # squared, of unit vectors
    assume(volume > 0.003)
    stretch = np.array(draw(st.tuples(*[st.floats(0.7, 1.5)] * 3)))
    edges = stretch * np.cbrt(15 * n_atoms / (stretch.prod() * math.sqrt(volume)))
    lattice = np.array(Lattice.from_parameters(*edges, *angles).matrix)
    seed = draw(st.integers(0, 10**6))
    coords = np.random.default_rng(seed).uniform(-2, 3, (n_atoms, 3))
    return Crystal(np.full(n_atoms, 6, np.int16), lattice, coords)
