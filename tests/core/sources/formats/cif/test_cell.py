from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.core.lattice import Lattice

from crystalgnn_core.sources.formats.cif.cell import lattices_from_parameters

lengths = st.floats(0.5, 200).map(lambda value: round(value, 8))
angles = st.one_of(st.sampled_from([60.0, 90.0, 120.0]), st.floats(40, 130))


@given(st.tuples(lengths, lengths, lengths), st.tuples(angles, angles, angles))
def test_lattice_has_the_bits_of_pymatgen(edges, corners):
    cell = [*edges, *corners]
    lattice, _, again = lattices_from_parameters(np.array([cell, [1.0] * 6, cell]))
    assert (lattice is None) == (again is None)
    if lattice is not None and again is not None:
        assert lattice.tolist() == again.tolist()
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
    sound = (5, 5, 5, 90, 90, 90)
    first, bad, last = lattices_from_parameters(np.array([sound, cell, sound], dtype=float))
    assert bad is None
    assert first is not None
    assert last is not None
    assert np.allclose(first, 5 * np.eye(3))
    assert first.tolist() == last.tolist()


def test_many_cells_at_once_have_the_bits_of_pymatgen_too():
    random = np.random.default_rng(7)
    edges, corners = random.uniform(2, 20, (1000, 3)), random.uniform(50, 110, (1000, 3))
    cells = np.hstack([edges, corners])
    for cell, lattice in zip(cells, lattices_from_parameters(cells), strict=True):
        if lattice is not None:
            expected = Lattice.from_parameters(*cell.tolist()).matrix
            assert lattice.tolist() == expected.tolist()
