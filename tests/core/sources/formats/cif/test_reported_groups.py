"""CIFs that people reported to other programs, each with its right answer: groups.

Origins are GitHub threads `owner/repo#n` and entries of the Crystallography Open Database
(COD); the inputs are our own. Expected cells follow from the tables of groups and from
published structures.
"""

from __future__ import annotations

import pytest

from crystalgnn_core.sources.formats.cif.symbols import settings_of_name
from tests.core.sources.formats.cif.peers import Case, check_case, cif_text, listed

SALT_CELL = {11: 4, 17: 4}
FM3M = listed("F m -3 m")

RHOMB = {"cell": (6.361,) * 3 + (46.1,) * 3, "formula": "C Ca O3"}
CALCITE = ("Ca1 Ca 0 0 0", "C1 C .25 .25 .25", "O1 O .5072 .9928 .25")
CALCITE_CELL = {6: 2, 8: 6, 20: 2}
HEX = {"cell": (2.8156, 2.8156, 14.0542, 90, 90, 120), "formula": "Co Li O2", "z": 3}
LCO = ("Li1 Li 0 0 .5", "Co1 Co 0 0 0", "O1 O 0 0 .2395")
LCO_CELL = {3: 3, 8: 6, 27: 3}
DIAMOND = {"cell": (3.56658,) * 3 + (90,) * 3, "formula": "C", "z": 8}
ANATASE = {"cell": (3.7842, 3.7842, 9.5146, 90, 90, 90), "formula": "O2 Ti", "z": 4}
FESE = {"cell": (3.7735, 3.7735, 5.5238, 90, 90, 90), "formula": "Fe Se", "z": 2}
FESE_2 = ("Fe1 Fe .75 .25 0", "Se1 Se .25 .25 .2652")
MONO = {"cell": (5.6, 7.2, 9.1, 90, 97.5, 90), "formula": "Cl Cu O"}
THREE = ("Cu1 Cu .11 .23 .31", "O2 O .42 .05 .17", "Cl3 Cl .27 .38 .63")
MG = {"cell": (3.2094, 3.2094, 5.2103, 90, 90, 120), "formula": "Mg", "z": 2}

CASES = {
    "rhombohedral cell": Case(
        "materialsproject/pymatgen#1203",
        cif_text(*CALCITE, symbol="R -3 c", number=167, **RHOMB),
        CALCITE_CELL,
    ),
    "rhombohedral cell, no formula": Case(
        "materialsproject/pymatgen#1203",
        cif_text(*CALCITE, symbol="R -3 c", cell=RHOMB["cell"]),
        CALCITE_CELL,
    ),
    "suffix :R": Case("COD", cif_text(*CALCITE, symbol="R -3 c :R", **RHOMB), CALCITE_CELL),
    "suffix RS": Case(
        "MaterSim/PyXtal#171, COD 1010962",
        cif_text(*CALCITE, symbol="R -3 c RS", **RHOMB),
        CALCITE_CELL,
    ),
    "one atom in a rhombohedral cell": Case(
        "alpha-Hg",
        cif_text(
            "Hg1 Hg 0 0 0", symbol="R -3 m", cell=(3.005,) * 3 + (70.53,) * 3, formula="Hg"
        ),
        {80: 1},
    ),
    "Bi2Te3 on rhombohedral axes": Case(
        "materialsproject/pymatgen#1203",
        cif_text(
            *("Bi1 Bi .3985 .3985 .3985", "Te1 Te 0 0 0", "Te2 Te .7919 .7919 .7919"),
            symbol="R -3 m",
            number=166,
            cell=(10.473,) * 3 + (24.17,) * 3,
            formula="Bi2 Te3",
        ),
        {83: 2, 52: 3},
    ),
    "suffix :H": Case("COD", cif_text(*LCO, symbol="R -3 m :H", **HEX), LCO_CELL),
    "full symbol, hexagonal": Case(
        "COD", cif_text(*LCO, symbol="R -3 2/m", **HEX), LCO_CELL
    ),
    "origin in braces": Case(
        "COD 2101499",
        cif_text(
            "C1 C .125 .125 .125",
            symbol="F d -3 m {origin @ centre (-3m)}",
            hall="-F 4vw 2vw 3",
            **DIAMOND,
        ),
        {6: 8},
    ),
    "suffix :1": Case(
        "COD", cif_text("C1 C 0 0 0", symbol="F d -3 m :1", **DIAMOND), {6: 8}
    ),
    "old symbol, origin by the atoms": Case(
        "project-gemmi/gemmi#308",
        cif_text("C1 C .125 .125 .125", symbol="F d 3 m", **DIAMOND),
        {6: 8},
    ),
    "old symbol": Case(
        "COD 1000055",
        cif_text(
            *("La1 La 0 0 0", "B1 B .1996 .5 .5"),
            symbol="P m 3 m",
            cell=(4.1527,) * 3 + (90,) * 3,
            formula="B6 La",
        ),
        {57: 1, 5: 6},
    ),
    "full symbol": Case(
        "openbabel/openbabel#2586", cif_text(symbol="F 4/m -3 2/m", z=4), SALT_CELL
    ),
    "only x,y,z listed": Case(
        "openbabel/openbabel#2586",
        cif_text(symbol="F m -3 m", operations=["x,y,z"], formula="Cl Na", z=4),
        SALT_CELL,
    ),
    "only x,y,z listed, no Z": Case(
        "openbabel/openbabel#2586",
        cif_text(symbol="F m -3 m", operations=["x,y,z"], formula="Cl Na"),
        "unreadable_structure",
    ),
    "names in other letter case": Case(
        "COD at2246",
        cif_text(symbol="F m -3 m", operations=FM3M).replace("_symm", "_SYMM"),
        SALT_CELL,
    ),
    "P 21/n with its number": Case(
        "COD 1000002",
        cif_text(*THREE, symbol="P 21/n", number=14, **MONO),
        {29: 4, 8: 4, 17: 4},
    ),
    "short symbol": Case(
        "materialsproject/pymatgen#488",
        cif_text(*THREE, symbol="P21/c", z=4, **MONO),
        {29: 4, 8: 4, 17: 4},
    ),
    "short symbol, centred": Case(
        "materialsproject/pymatgen#488",
        cif_text(*THREE, symbol="C2/c", z=8, **MONO),
        {29: 8, 8: 8, 17: 8},
    ),
    "suffix :2 with the number": Case(
        "COD, anatase",
        cif_text(
            *("Ti1 Ti 0 .75 .125", "O1 O 0 .75 .3334"),
            symbol="I 41/a m d :2",
            number=141,
            **ANATASE,
        ),
        {22: 4, 8: 8},
    ),
    "suffix :1, no number": Case(
        "COD, anatase",
        cif_text("Ti1 Ti 0 0 0", "O1 O 0 0 .2081", symbol="I 41/a m d :1", **ANATASE),
        {22: 4, 8: 8},
    ),
    "FeSe :2": Case(
        "COD", cif_text(*FESE_2, symbol="P 4/n m m :2", number=129, **FESE), {26: 2, 34: 2}
    ),
    "FeSe, bare symbol": Case(
        "COD", cif_text(*FESE_2, symbol="P 4/n m m", **FESE), {26: 2, 34: 2}
    ),
    "3 of 24 operations listed": Case(
        "COD 2001925, 1100978",
        cif_text(
            "Mg1 Mg .3333 .6667 .25",
            symbol="P 63/m m c",
            operations=["x,y,z", "-y,x-y,z", "-x+y,-x,z"],
            **MG,
        ),
        {12: 2},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_reported_cif_is_the_crystal_that_its_author_meant_or_refused(name):
    check_case(CASES[name])


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("P 6_{3}/m m c", "P 63/m m c"),
        (r"F m \bar{3} m", "F m -3 m"),
        (r"Fd\bar{3}m Z", "F d -3 m:2"),
        ("Pa3bar", "P a -3"),
        ("F 4bar 3 m", "F -4 3 m"),
        ("Pn-3 origin 1", "P n -3:1"),
        ("P n -3 m, origin choice 2", "P n -3 m:2"),
    ],
)
def test_symbols_of_manuscripts_are_known(text, name):
    assert [setting.name for setting in settings_of_name(text) or []] == [name]


def test_a_cell_choice_in_words_is_no_origin():
    """P 21/c of cell choice 2 is P 21/n."""
    assert settings_of_name("P 21/c cell choice 2") is None
