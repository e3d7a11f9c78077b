"""CIFs that people reported to other programs, each with its right answer: sites.

Origins are GitHub threads `owner/repo#n` and entries of the Crystallography Open Database
(COD); the inputs are our own. Expected cells follow from the tables of groups and from
published structures.
"""

from __future__ import annotations

import pytest

from tests.core.sources.formats.cif.peers import (
    CUBE,
    SALT,
    Case,
    check_case,
    cif_text,
    listed,
    rows,
)

F_CENTRED = ("0 0 0", ".5 .5 0", ".5 0 .5", "0 .5 .5")
ALL_SALT = [*rows("Na", *F_CENTRED), *rows("Cl", ".5 .5 .5", "0 0 .5", "0 .5 0", ".5 0 0")]
LABELS = ("label", "fract_x", "fract_y", "fract_z")
SALT_CELL = {11: 4, 17: 4}
FM3M = listed("F m -3 m")

CHA = {"cell": (13.675, 13.675, 14.767, 90, 90, 120)}
CHA_SITES: tuple[str, ...] = (
    "O1 O .902 .098 .1227",
    "O2 O .9767 .3101 .1667",
    "O3 O .1203 .2405 .1315",
)
CHA_SITES = (*CHA_SITES, "O4 O 0 .2577 0", "Si5 Si .9997 .2264 .1051")
ALUNITE = (
    *("K1 K 0 0 0", "Al1 Al .1667 -.1667 -.1667", "S1 S 0 0 .303"),
    *("O1 O 0 0 .388", "O2 O .218 -.218 -.0588"),
)
R3M = listed("R -3 m:H")

CASES = {
    "ammonia as a site": Case(
        "Pauling File 1002871",
        cif_text("Cu Cu 0 0 0", "N1 NH3 0 0 .25", symbol="P 1", operations=["x,y,z"]),
        "unknown_element",
    ),
    "hydroxyl as a site": Case(
        "materialsproject/pymatgen#4486",
        cif_text("Mg 0 0 0", "OH .3333 .6667 .2216", columns=LABELS, operations=["x,y,z"]),
        "unknown_element",
    ),
    "sodium cobaltate with all of its sodium": Case(
        "battery materials",
        cif_text(
            *("Na1 Na 0 0 .5", "Co1 Co 0 0 0", "O1 O .3 .3 .2", "O2 O .7 .7 .8"),
            operations=["x,y,z"],
            formula="Na0.7 Co O2",
        ),
        "unreadable_structure",
    ),
    "a third of the oxygen missing": Case(
        "iron oxides",
        cif_text("Fe1 Fe 0 0 0", "O1 O .5 .5 .5", operations=["x,y,z"], formula="Fe O1.5"),
        "unreadable_structure",
    ),
    "formula with a dopant": Case(
        "ruby",
        cif_text(
            *(*rows("Al", "0 0 0", ".5 .5 0"), *rows("O", ".5 0 0", "0 .5 0", ".5 .5 .5")),
            operations=["x,y,z"],
            formula="Al1.98 Cr0.02 O3",
        ),
        {13: 2, 8: 3},
    ),
    "an unknown occupancy beside a formula with fractions": Case(
        "battery materials",
        cif_text(
            *("Na1 Na 0 0 0 ?", "Cl1 Cl .5 .5 .5 1"),
            columns=("label", "type_symbol", *LABELS[1:], "occupancy"),
            operations=["x,y,z"],
            formula="Na0.98 Cl",
        ),
        "unreadable_structure",
    ),
    "labels of neodymium, holmium and cobalt": Case(
        "ICSD",
        cif_text(
            *("ND1 Nd 0 0 0", "HO1 Ho .5 .5 0", "CO2 Co .5 0 .5", "CO3 Co 0 .5 .5"),
            operations=["x,y,z"],
        ),
        {60: 1, 67: 1, 27: 2},
    ),
    "labels of nitrate, sulfate and cyanide": Case(
        "ICSD",
        cif_text(*("NO3 O 0 0 0", "SO4 S .5 .5 0", "CN1 C .5 0 .5"), operations=["x,y,z"]),
        {8: 1, 16: 1, 6: 1},
    ),
    "label of an ammonium": Case(
        "ICSD", cif_text("NH4 N 0 0 0", operations=["x,y,z"]), "unreadable_structure"
    ),
    "attached hydrogens": Case(
        "COD 2006998",
        cif_text(
            *("Ca1 Ca 0 0 0 0", "O1 O .25 .25 .25 2"),
            columns=("label", "type_symbol", *LABELS[1:], "attached_hydrogens"),
            operations=["x,y,z"],
        ),
        "unreadable_structure",
    ),
    "tetrahedral sites": Case(
        "materialsproject/pymatgen#3963",
        cif_text("T1 .25 .5 0", columns=LABELS, symbol="I m -3 m"),
        "unknown_element",
    ),
    "dummy": Case(
        "COD 2009668",
        cif_text(
            *("Pt1 .1 .1 .1 d", "Cl1 .35 .1 .1 d", "Cl2 .1 .38 .1 d", "C1 .5 .5 .5 dum"),
            columns=(*LABELS, "calc_flag"),
            operations=["x,y,z"],
        ),
        {78: 1, 17: 2},
    ),
    "modulated": Case(
        "Jana and Bilbao server",
        cif_text("Te1 Te .2 .3 .1", space_group_ssg_name="Pmmn(00g)000"),
        "unreadable_structure",
    ),
    "rounded thirds": Case(
        "LaurentRDC/crystals#5",
        cif_text(
            *("Mg1 Mg 0 0 0", "B1 B .333 .667 .5"),
            cell=(3.0834, 3.0834, 3.5213, 90, 90, 120),
            operations=listed("P 6/m m m"),
            formula="B2 Mg",
        ),
        {12: 1, 5: 2},
    ),
    "chabazite in 4 digits": Case(
        "materialsproject/pymatgen#3963",
        cif_text(*CHA_SITES, operations=R3M, symbol="R -3 m", **CHA),
        {14: 36, 8: 72},
    ),
    "alunite in 4 digits": Case(
        "COD 2310693",
        cif_text(
            *ALUNITE,
            operations=R3M,
            formula="Al3 K O8 S2",
            cell=(6.97, 6.97, 17.27, 90, 90, 120),
        ),
        {19: 3, 13: 9, 16: 6, 8: 24},
    ),
    "occupancy 0.9999": Case(
        "ICSD",
        cif_text(
            *("Na1 Na 0 0 0 .9999", "Cl1 Cl .5 .5 .5 1"),
            columns=("label", "type_symbol", *LABELS[1:], "occupancy"),
            operations=FM3M,
        ),
        SALT_CELL,
    ),
    "all atoms listed beside the operations": Case(
        "Ivanlh20/multem#13", cif_text(*ALL_SALT, operations=FM3M), SALT_CELL
    ),
    "shares of 1.002": Case(
        "COD 9000087",
        cif_text(
            *("Na1 Na 0 0 0 .601", "K1 K 0 0 0 .401", "Cl1 Cl .5 .5 .5 1"),
            columns=("label", "type_symbol", *LABELS[1:], "occupancy"),
            operations=FM3M,
        ),
        "disordered_site",
    ),
    "loop without rows": Case(
        "GULP",
        cif_text(*ALL_SALT, symbol="(unknown)      ", number=1).replace(
            "_cell_length_a", "loop_\n_symmetry_equiv_pos_as_xyz\n_cell_length_a"
        ),
        SALT_CELL,
    ),
    "dotted names": Case(
        "materialsproject/pymatgen#4583",
        cif_text(*ALL_SALT, operations=["x,y,z"])
        .replace("_cell_", "_cell.")
        .replace("_atom_site_", "_atom_site.")
        .replace("_symmetry_equiv_pos_as_xyz", "_space_group_symop.operation_xyz"),
        SALT_CELL,
    ),
    "Cartesian sites": Case(
        "materialsproject/pymatgen#4583",
        cif_text(
            *("Na1 Na 0 0 0", "Cl1 Cl 2.8201 2.8201 2.8201"),
            columns=("label", "type_symbol", "Cartn_x", "Cartn_y", "Cartn_z"),
            operations=FM3M,
        ),
        SALT_CELL,
    ),
    "unknown attached hydrogens": Case(
        "COD 1000002",
        cif_text(
            *(f"{row} ?" for row in SALT),
            columns=("label", "type_symbol", *LABELS[1:], "attached_hydrogens"),
            operations=FM3M,
            formula="Cl Na",
        ),
        SALT_CELL,
    ),
    "site outside of a loop": Case(
        "CIF 1.1: one row needs no loop",
        cif_text(
            "x", operations=listed("F m -3 m"), cell=(3.61, 3.61, 3.61, 90, 90, 90)
        ).partition("loop_\n_atom")[0]
        + "_atom_site_label Cu1\n_atom_site_type_symbol Cu\n"
        + "".join(f"_atom_site_fract_{axis} 0\n" for axis in "xyz"),
        {29: 4},
    ),
    "line of a text field that begins with data_": Case(
        "COD, _shelx_res_file",
        cif_text(operations=FM3M).replace(
            "loop_",
            "_x\n;\ndata_collection was done\n_cell_length_a was refined\n;\nloop_",
            1,
        ),
        SALT_CELL,
    ),
    "line ends of old Macs": Case(
        "CrystalMaker", cif_text(operations=FM3M).replace("\n", "\r"), SALT_CELL
    ),
    "magnetic": Case(
        "materialsproject/pymatgen#2947, MAGNDATA",
        cif_text("Ni1 Ni 0 0 0", "O1 O .5 .5 .5", formula="Ni O", cell=CUBE)
        + "loop_\n_space_group_symop_magn_operation.xyz\nx,y,z,+1\n"
        + "loop_\n_space_group_symop_magn_centering.xyz\nx,y,z,+1\nx+1/2,y+1/2,z,+1\n"
        + "x+1/2,y,z+1/2,-1\nx,y+1/2,z+1/2,-1\n"
        + "loop_\n_atom_site_moment.label\n_atom_site_moment.crystalaxis_z\nNi1 1.7\n",
        {28: 4, 8: 4},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_reported_cif_is_the_crystal_that_its_author_meant_or_refused(name):
    check_case(CASES[name])
