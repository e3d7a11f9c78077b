"""What makes the fast CIF reader leave a text that looks plain to the strict one."""

from __future__ import annotations

import pytest

from crystalgnn_core.sources.formats.cif.gemmi import crystals_with_gemmi
from tests.core.sources.formats.cif.peers import cif_text, listed

TAGS = ("label", "type_symbol", "fract_x", "fract_y", "fract_z")
PAIR = ["x,y,z", "-x,-y,-z"]
FAST = {
    "named group": cif_text(symbol="P -1", number=2, hall="-P 1", operations=PAIR),
    "group of other origin": cif_text(symbol="F m -3 m", operations=listed("F m -3 m")),
    "formula, Z and density": cif_text(
        operations=["x,y,z"], symbol="P 1", formula="Na Cl", z=1, density=0.541
    ),
    "formula of the cell": cif_text(
        symbol="F m -3 m", operations=listed("F m -3 m"), formula="Na4 Cl4", z=4
    ),
    "flags": cif_text(
        "C1 C 0 0 0 d .", columns=(*TAGS, "calc_flag", "disorder_group"), operations=PAIR
    ),
}
DECLINED = {
    "operations of another number": cif_text(number=14, operations=PAIR),
    "operations of another symbol": cif_text(
        operations=PAIR, **{"space_group_name_H-M_alt": "P 2"}
    ),
    "operations of another Hall symbol": cif_text(hall="P 2y", operations=PAIR),
    "unknown symbol": cif_text(symbol="X 5", operations=PAIR),
    "P 1 with operations": cif_text(symbol="P 1", operations=PAIR),
    "no group of operations": cif_text(operations=["x,y,z", "-y,x,z"]),
    "operations that the cell has not": cif_text(
        operations=["x,y,z", "y,x,-z"], cell=(5, 6, 7, 90, 90, 90)
    ),
    "another Z": cif_text(operations=PAIR, formula="Na Cl", z=4),
    "another density": cif_text(operations=PAIR, density=2.164),
    "unknown Z and another density": cif_text(
        operations=PAIR, formula="Na Cl", z="?", density=2.164
    ),
    "formula of the cell and another density": cif_text(
        symbol="F m -3 m",
        operations=listed("F m -3 m"),
        formula="Na4 Cl4",
        z=4,
        density=4.33,
    ),
    "modulated": cif_text(operations=PAIR, cell_modulation_dimension=1),
    "wave vector": cif_text(operations=PAIR, cell_wave_vector_x=0.3),
    "superspace group": cif_text(operations=PAIR, space_group_ssg_name="P"),
    "dotted name of the group": cif_text(
        operations=PAIR, **{"space_group.name_H-M_alt": "P 2"}
    ),
    "dummy": cif_text("C1 C 0 0 0 dum", columns=(*TAGS, "calc_flag"), operations=PAIR),
    "Dummy": cif_text("C1 C 0 0 0 Dum", columns=(*TAGS, "calc_flag"), operations=PAIR),
    "alternatives": cif_text(
        "C1 C 0 0 0 1", columns=(*TAGS, "disorder_group"), operations=PAIR
    ),
    "column in capitals": cif_text(
        "C1 C 0 0 0 .5", columns=(*TAGS, "Occupancy"), operations=PAIR
    ),
    "label of water": cif_text("OW1 O 0 0 0", operations=PAIR),
    "many sites": cif_text(
        *(f"C{i} C 0 0 {i / 6000:.6f}" for i in range(6000)),
        operations=["x,y,z"],
        cell=(9, 9, 6000, 90, 90, 90),
    ),
}


@pytest.mark.parametrize("name", FAST)
def test_what_agrees_is_read_fast(name):
    [crystal] = crystals_with_gemmi([FAST[name]])
    assert crystal is not None


@pytest.mark.parametrize("name", DECLINED)
def test_what_may_contradict_itself_is_left_to_the_strict_reader(name):
    assert crystals_with_gemmi([DECLINED[name]]) == [None]
