"""Images of special positions, atoms listed twice, and shares just off one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crystalgnn_core.sources.formats.cif.reader import crystal_from_cif
from tests.core.sources.formats.cif.peers import cif_text, counts_of, listed

HEXAGONAL = (3.0834, 3.0834, 3.5213, 90, 90, 120)
P6MMM = listed("P 6/m m m")
SHARES = ("label", "type_symbol", "fract_x", "fract_y", "fract_z", "occupancy")


@pytest.mark.parametrize("digits", [2, 3, 4, 6])
def test_images_of_a_rounded_third_are_one_atom_at_the_third(digits):
    x, y = f"{1 / 3:.{digits}f}", f"{2 / 3:.{digits}f}"
    text = cif_text(
        "Mg1 Mg 0 0 0",
        f"B1 B {x} {y} .5",
        cell=HEXAGONAL,
        operations=P6MMM,
        formula="B2 Mg",
    )
    crystal = crystal_from_cif(text)
    assert counts_of(crystal) == {12: 1, 5: 2}
    thirds = crystal.frac_coords[crystal.atomic_numbers == 5]
    expected = [[1 / 3, 2 / 3, 0.5], [2 / 3, 1 / 3, 0.5]]
    # with four digits pymatgen reads 1/3 itself, with six it takes what is written
    assert np.allclose(
        sorted(thirds.tolist()), expected, atol=1e-12 if digits < 5 else 1e-6
    )


@settings(max_examples=40, deadline=None)
@given(st.floats(0.05, 0.2), st.integers(3, 4))
def test_a_position_on_a_mirror_in_few_digits_lies_on_it(x, digits):
    # x, 2x, z; half a unit of the last digit moves the place off the plane
    text = cif_text(
        f"O1 O {x:.{digits}f} {2 * x:.{digits}f} .1",
        cell=(9.1, 9.1, 8, 90, 90, 120),
        operations=P6MMM,
    )
    places = crystal_from_cif(text).frac_coords
    assert len(places) == 12
    x_read, y_read, _ = places[0]
    assert y_read == pytest.approx(2 * x_read, abs=1e-4)
    assert x_read == pytest.approx(x, abs=10.0**-digits)


def test_two_atoms_of_one_element_are_not_merged_beyond_rounding(refused):
    cell = (9.0, 9.0, 9.0, 90, 90, 90)
    near = cif_text("O1 O 0 0 0", "O2 O 0 0 .01", cell=cell)  # 0.09 angstrom
    assert counts_of(crystal_from_cif(near)) == {8: 2}  # refused by the check of distances
    equal = cif_text("O1 O 0 0 0", "O2 O 0 0 .001", cell=cell)
    reason, message = refused(crystal_from_cif, equal)
    assert reason == "overlapping_atoms"
    assert "sites O1 and O2 are one place" in message
    stated = cif_text("O1 O 0 0 0", "O2 O 0 0 .001", cell=cell, formula="O2")
    assert refused(crystal_from_cif, stated)[0] == "unreadable_structure"


def test_a_site_that_is_an_image_of_some_of_another_is_refused(refused):
    text = cif_text(
        "O1 O .1 .2 .3", "O2 O .9 .2 .3", "O3 O .1 .2 .3", operations=["x,y,z", "-x,-y,-z"]
    )
    assert refused(crystal_from_cif, text)[0] == "overlapping_atoms"


@pytest.mark.parametrize(
    ("rows", "answer"),
    [
        (("Na1 Na 0 0 0 .9995",), 1),
        (("Na1 Na 0 0 0 1.0(1)",), 1),
        (("Na1 Na 0 0 0 ?",), 1),
        (("Fe1 Fe2+ 0 0 0 .5", "Fe2 Fe3+ 0 0 0 .5"), 1),
        (("Na1 Na 0 0 0 1", "K1 K .5 .5 .5 0"), 1),
        (("Na1 Na 0 0 0 .998",), "disordered_site"),
        (("Na1 Na 0 0 0 1.01",), "disordered_site"),
        (("Na1 Na 0 0 0 .5", "K1 K 0 0 0 .5"), "disordered_site"),
        (("Na1 Na 0 0 0 1", "K1 K 0 0 0 1"), "overlapping_atoms"),
        (("Na1 Na 0 0 0 1", "K1 K .5 .5 .5 ?"), "unreadable_structure"),
    ],
)
def test_shares_within_a_thousandth_of_one_are_full(rows, answer, refused):
    text = cif_text(*rows, columns=SHARES)
    if isinstance(answer, int):
        assert len(crystal_from_cif(text).atomic_numbers) == answer
    else:
        assert refused(crystal_from_cif, text)[0] == answer


def test_too_many_images_are_refused_before_they_are_made(refused):
    sites = [f"C{i} C .1{i} .2{i} .3{i}" for i in range(1100)]
    text = cif_text(*sites, operations=listed("F m -3 m"))
    assert "211200 images, expected at most" in refused(crystal_from_cif, text)[1]


def test_a_cell_of_no_thickness_is_refused(refused):
    text = cif_text(cell=(5, 5, 0.06, 90, 90, 90))
    assert refused(crystal_from_cif, text)[0] == "degenerate_cell"


def test_cartesian_sites_of_an_oblique_cell_are_refused(refused):
    columns = ("label", "type_symbol", "Cartn_x", "Cartn_y", "Cartn_z")
    text = cif_text(cell=(5, 5, 6, 90, 90, 120), columns=columns)
    assert "not rectangular" in refused(crystal_from_cif, text)[1]


def test_alternatives_are_refused(refused):
    columns = ("label", "type_symbol", "fract_x", "fract_y", "fract_z", "disorder_group")
    text = cif_text("C1 C 0 0 0 1", "C2 C 0 .5 0 2", columns=columns)
    assert refused(crystal_from_cif, text)[0] == "disordered_site"
