from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.core.lattice import Lattice

from crystalgnn_core.sources.cell import lattice_from_parameters

lengths = st.floats(0.5, 200).map(lambda value: round(value, 8))
angles = st.one_of(st.sampled_from([60.0, 90.0, 120.0]), st.floats(40, 130))


@given(st.tuples(lengths, lengths, lengths), st.tuples(angles, angles, angles))
def test_lattice_has_the_bits_of_pymatgen(edges, corners):
    lattice = lattice_from_parameters([*edges, *corners])
    if lattice is not None:
        expected = Lattice.from_parameters(*edges, *corners).matrix
        assert lattice.tolist() == expected.tolist()
    else:
        assert Lattice.from_parameters(1, 1, 1, *corners).volume < 0.05


@pytest.mark.parametrize(
    "cell",
    [
        (0.01, 5, 5, 90, 90, 90),
        (-5, 5, 5, 90, 90, 90),
        (5, 5, 5, 90, 90, 180),
        (5, 5, 5, 0, 90, 90),
        (5, 5, 5, 30, 30, 90),
    ],
)
def test_no_cell_and_thin_cells_are_refused(cell):
    assert lattice_from_parameters(np.array(cell, dtype=float).tolist()) is None
