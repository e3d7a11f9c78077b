"""Contradictions between names, operations, formula, Z and density."""

from __future__ import annotations

import numpy as np
import pytest

from crystalgnn_core.sources.formats.cif.reader import crystal_from_cif
from tests.core.sources.formats.cif.peers import (
    cif_text,
    counts_of,
    crystal_with_pymatgen,
    listed,
    rows,
)

FM3M = listed("F m -3 m")
ONE = ["x,y,z"]
ALL_SALT = [
    *rows("Na", "0 0 0", ".5 .5 0", ".5 0 .5", "0 .5 .5"),
    *rows("Cl", ".5 .5 .5", "0 0 .5", "0 .5 0", ".5 0 0"),
]
PRIMITIVE = (3.988, 3.988, 3.988, 60, 60, 60)
HALF = (
    *rows("Na", ".1 .1 .2", ".3 .4 .1"),
    *rows("Cl", ".2 .7 .3", ".4 .1 .4"),
)

READ = {
    "complete operations under a wrong name, confirmed by Z": (
        cif_text(symbol="P n m a", operations=FM3M, formula="Cl Na", z=4),
        8,
    ),
    "complete operations and P 1 as a default": (
        cif_text(symbol="P 1", number=1, operations=FM3M),
        8,
    ),
    "all atoms listed, the group as information": (
        cif_text(*ALL_SALT, symbol="F m -3 m", operations=ONE),
        8,
    ),
    "a primitive cell, the group as information": (
        cif_text(symbol="F m -3 m", number=225, operations=ONE, cell=PRIMITIVE),
        2,
    ),
    "truncated operations, completed by Z": (
        cif_text(symbol="F m -3 m", operations=FM3M[:48], formula="Cl Na", z=4),
        8,
    ),
    "truncated operations, completed by the density": (
        cif_text(symbol="F m -3 m", operations=ONE, formula="Cl Na", density="2.163"),
        8,
    ),
    "Z of another program, confirmed by the density": (
        cif_text(symbol="F m -3 m", formula="Cl Na", z=1, density=2.16),
        8,
    ),
    "formula of the whole cell beside Z": (
        cif_text(symbol="F m -3 m", formula="Na4 Cl4", z=4),
        8,
    ),
    "half of the atoms, formula of the half beside Z": (
        cif_text(*HALF, symbol="P -1", operations=ONE, formula="Na2 Cl2", z=2),
        8,
    ),
    "unknown symbol, number confirmed by the formula": (
        cif_text(symbol="Fm3qm", number=225, formula="Na Cl"),
        8,
    ),
    "unknown symbol, number confirmed by the density": (
        cif_text(symbol="Fm3qm", number=225, density=2.16),
        8,
    ),
    "symbol on standard axes": (cif_text(**{"space_group_name_H-M_ref": "F m -3 m"}), 8),
    "symbol on other axes beside that on standard ones": (
        cif_text(
            "Na1 Na .1 .2 .3",
            symbol="P 1 21/n 1",
            cell=(5, 6, 7, 90, 100, 90),
            **{"space_group.name_H-M_ref": "P 1 21/c 1"},
        ),
        4,
    ),
    "change of axes in both symbols": (
        cif_text(
            "Na1 Na .1 .2 .3",
            symbol="P 1 21/c 1 (x-z,y,z)",
            hall="-P 2ybc (x-z,y,z)",
            cell=(5, 6, 7, 90, 100, 90),
        ),
        4,
    ),
    "another name beside a symbol": (
        cif_text(symbol="F m -3 m", space_group_name_Schoenflies="O_h^5"),
        8,
    ),
    "another name of no symmetry": (cif_text(space_group_name_Schoenflies="C1^1"), 2),
    "many equal operations": (cif_text(operations=[*FM3M, *FM3M, *FM3M, *FM3M]), 8),
    "unknown Hall symbol": (cif_text(symbol="F m -3 m", hall="Fm-3m"), 8),
    "operations of another origin": (
        cif_text(
            symbol="P 4/n m m :1",
            operations=listed("P 4/n m m:2"),
            cell=(3.77, 3.77, 5.52, 90, 90, 90),
        ),
        8,
    ),
    "decimals in operations": (
        cif_text(
            "Na1 Na 0 0 .3",
            operations=["x,y,z", "x+0.667,y+.333,z+0.333", "x+.333,y+.667,z+.667"],
            cell=(4, 4, 9, 90, 90, 120),
        ),
        3,
    ),
    "unknown angles that a cubic group fixes": (
        cif_text(symbol="F m -3 m", cell=(5.64, 5.64, 5.64, "?", "?", "?")),
        8,
    ),
    "unknown angles that a monoclinic group fixes": (
        cif_text(
            "Na1 Na .1 .2 .3",
            symbol="P 1 21/c 1",
            cell=(5, 6, 7, "?", 100, "?"),
        ),
        4,
    ),
    "no gamma in a hexagonal cell": (
        cif_text(
            "Mg1 Mg .3333 .6667 .25", symbol="P 63/m m c", cell=(3.2, 3.2, 5.2, 90, 90, 0)
        ).replace("_cell_angle_gamma 0\n", ""),
        2,
    ),
}
REFUSED = {
    "symbol and number": (
        cif_text(symbol="F m -3 m", number=221),
        "is not that of number '221'",
    ),
    "P 1 and number": (cif_text(symbol="P 1", number=225), "is not that of number"),
    "symbol and Hall symbol": (cif_text(symbol="F m -3 m", hall="-P 4 2 3"), "Hall symbol"),
    "unknown symbol": (cif_text(symbol="X 5"), "'X 5' is not known"),
    "unknown symbol and number 1": (cif_text(symbol="X 5", number=1), "'X 5' is not known"),
    "number of six settings": (
        cif_text("Na1 Na .11 .12 .13", number=62, cell=(5, 6, 7, 90, 90, 90)),
        "may be P n m a, P m n b",
    ),
    "group and cell": (
        cif_text(symbol="F m -3 m", cell=(5, 5, 6, 90, 90, 90)),
        "fit the cell",
    ),
    "operations and cell": (
        cif_text(operations=["x,y,z", "-y,x-y,z", "-x+y,-x,z"]),
        "do not fit the lengths and angles",
    ),
    "too few operations": (
        cif_text(symbol="F m -3 m", operations=FM3M[:96]),
        "96 symmetry op",
    ),
    "no group of operations": (cif_text(operations=["x,y,z", "-y,x,z"]), "are no group"),
    "two lists": (
        cif_text(operations=ONE)
        + "loop_\n_space_group_symop_operation_xyz\nx,y,z\n-x,-y,-z\n",
        "list different operations",
    ),
    "no operation": (
        cif_text(operations=["x,y,z", "x,y"]),
        "'x,y' is no symmetry operation",
    ),
    "Z": (cif_text(symbol="P m -3 m", formula="Cl Na", z=4), "states Z = 4"),
    "density": (cif_text(symbol="P m -3 m", density=2.16), "0.25 times the 2.16 g/cm3"),
    "density of twice the atoms beside a formula of half of them": (
        cif_text(*HALF, operations=ONE, formula="Na2 Cl2", z=2, density=2.164),
        "0.5 times the 2.164 g/cm3",
    ),
    "magnetic group without operations": (
        cif_text(**{"space_group_magn.name_BNS": "Pn'ma'"}),
        "magnetic space group",
    ),
    "no angles and no group": (
        cif_text().replace("_cell_angle", "_x"),
        "all angles of the cell",
    ),
    "unknown symbol beside a number": (
        cif_text(symbol="Fm3qm", number=225),
        "nothing confirms number '225'",
    ),
    "change of axes beside a number": (
        cif_text(symbol="P m -3 m (2*a,2*b,2*c)", number=221, formula="Na Cl"),
        "has other axes",
    ),
    "name that is not read": (
        cif_text(symbol="P 1", space_group_name_Schoenflies="O_h^5"),
        "_space_group_name_schoenflies 'O_h^5' only",
    ),
    "too many operations": (
        cif_text(operations=[f"x+{i}/500,y,z" for i in range(500)]),
        "500 different symmetry operations",
    ),
    "unknown angle of a triclinic group": (
        cif_text(symbol="P -1", cell=(5, 6, 7, 90, "?", 90)),
        "all angles of the cell",
    ),
    "unknown angle of a monoclinic group": (
        cif_text(
            symbol="P 1 21/c 1",
            operations=listed("P 1 21/c 1"),
            cell=(5, 6, 7, 90, "?", 90),
        ),
        "all angles of the cell",
    ),
    "unknown angle and one operation": (
        cif_text(operations=ONE, cell=(5, 6, 7, "?", 90, 90)),
        "all angles of the cell",
    ),
    "unknown angle of a number of three axes": (
        cif_text(number=14, cell=(5, 6, 7, 90, "?", 90)),
        "all angles of the cell",
    ),
    "value given twice": (
        cif_text(symbol="P 1") + "_Cell_Length_A 7\n",
        "given as '5.6402' and",
    ),
}


@pytest.mark.parametrize("name", READ)
def test_what_evidence_decides_is_read(name):
    text, n_atoms = READ[name]
    assert len(crystal_from_cif(text).atomic_numbers) == n_atoms


@pytest.mark.parametrize("name", REFUSED)
def test_a_contradiction_is_refused_with_both_sides_named(name, refused):
    text, words = REFUSED[name]
    reason, message = refused(crystal_from_cif, text)
    assert reason == "unreadable_structure"
    assert words in message


def test_two_origins_that_both_fit_are_refused(refused):
    cell = (4, 5, 6, 90, 90, 90)
    text = cif_text("Na1 Na .11 .12 .13", symbol="P n n n", cell=cell)
    assert "P n n n:1, P n n n:2" in refused(crystal_from_cif, text)[1]
    assert len(crystal_from_cif(text.replace("n n n'", "n n n:2'")).atomic_numbers) == 8


def test_operations_from_the_table_have_pymatgens_order_of_atoms():
    text = cif_text(symbol="P 63/m m c", cell=(3.2, 3.2, 5.2, 90, 90, 120))
    ours, theirs = crystal_from_cif(text), crystal_with_pymatgen(text)
    assert np.array_equal(ours.atomic_numbers, theirs.atomic_numbers)
    assert np.array_equal(ours.frac_coords, theirs.frac_coords)


def test_the_two_orders_of_tags_and_blocks_make_no_difference():
    text = cif_text(symbol="F m -3 m")
    with_tail = text + "_journal_year 1999\ndata_other\n_publ_author_name x\n"
    assert counts_of(crystal_from_cif(with_tail)) == counts_of(crystal_from_cif(text))
