import numpy as np
import pytest
from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
from pymatgen.core.composition import Composition

from crystalgnn_core.errors import InputError
from crystalgnn_core.records.hull import energies_above_hull


def test_a_hull_drawn_by_hand():
    # tie line from AB (-1) to A (0): at A3B the hull is -0.5, at AB3 too
    compositions = [{"Li": 1, "F": 1}, {"Li": 3, "F": 1}, {"Li": 2, "F": 6}, {"Li": 4}]
    found = energies_above_hull(compositions, [-1.0, -0.2, -0.6, 0.3])
    np.testing.assert_allclose(found, [0.0, 0.3, 0.0, 0.3], atol=1e-9)


def test_subsystems_and_polymorphs_compete():
    # Li2O + MgO beat a ternary at the same composition; the second MgO is a polymorph
    compositions = [
        {"Li": 2, "O": 1},
        {"Mg": 1, "O": 1},
        {"Mg": 2, "O": 2},
        {"Li": 2, "Mg": 1, "O": 2},
    ]
    found = energies_above_hull(compositions, [-2.0, -3.0, -2.5, -2.3])
    # (3 * -2 + 2 * -3) / 5 = -2.4
    np.testing.assert_allclose(found, [0.0, 0.0, 0.5, 0.1], atol=1e-9)


def test_distances_agree_with_pymatgen_for_a_random_quaternary_system():
    generator = np.random.default_rng(5)
    elements = ["Na", "Mg", "Al", "S"]
    compositions = [
        {e: int(n) for e, n in zip(elements, row, strict=True) if n}
        for row in generator.integers(0, 4, (60, 4))
        if row.any()
    ]
    energies = generator.normal(-0.5, 0.6, len(compositions)).tolist()
    sizes = [sum(composition.values()) for composition in compositions]
    entries = [
        PDEntry(Composition(c), e * n)
        for c, e, n in zip(compositions, energies, sizes, strict=True)
    ]
    # elements at zero compete; a lower elemental entry replaces them
    diagram = PhaseDiagram([*entries, *(PDEntry(Composition(e), 0.0) for e in elements)])
    expected = np.array([diagram.get_e_above_hull(entry) for entry in entries], float)
    found = energies_above_hull(compositions, energies)
    np.testing.assert_allclose(found, expected, atol=1e-7)


def test_energies_that_are_not_finite_are_refused():
    with pytest.raises(InputError, match="finite"):
        energies_above_hull([{"Li": 1}], [float("nan")])
    with pytest.raises(InputError, match="2 compositions and 1 energies"):
        energies_above_hull([{"Li": 1}, {"F": 1}], [0.0])
