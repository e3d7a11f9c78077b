"""CIFs as programs and people write them: without quotes, under other names, old labels."""

from __future__ import annotations

import pytest

from crystalgnn_core.errors import RecordError
from crystalgnn_core.sources.formats.cif.items import read_items
from crystalgnn_core.sources.formats.cif.listed import listed_operations
from crystalgnn_core.sources.formats.cif.reader import cif_blocks, crystal_from_cif
from tests.core.sources.formats.cif.peers import cif_text, counts_of, listed, rows

ONE = ["x,y,z"]
BOX = (6, 8, 11, 90, 90, 90)
SLANTED = (6, 8, 11, 90, 100, 90)
TETRAGONAL = (4.59, 4.59, 2.96, 90, 90, 90)
GENERAL = ("S1 S .12 .23 .34", "Se1 Se .41 .07 .19")
RUTILE = ("Ti1 Ti 0 0 0", "O1 O .305 .305 0")
BISMUTH = ("Bi1 Bi .2339 .2339 .2339",)
RHOMBOHEDRAL = (4.7459, 4.7459, 4.7459, 57.23, 57.23, 57.23)
HEXAGONAL = (4.546, 4.546, 11.862, 90, 90, 120)
UNTYPED = ("label", "fract_x", "fract_y", "fract_z")
DISPLACEMENTS = "loop_\n_atom_site_label\n_atom_site_U_11\nCl1 .1\nNa1 .2\n"
P21M = listed("P 1 21/m 1")
OXYGENS = ("OA1 .005 .131 .967", "OD0 .208 .109 .389", "ODM .184 .868 .436")


def bare(text: str, name: str, quote: str = "") -> str:
    """Take the quotes of an entry away, or leave the first one alone."""
    lines = [
        line.replace(" '", f" {quote}").rstrip("'") if line.startswith(f"_{name}") else line
        for line in text.split("\n")
    ]
    return "\n".join(lines)


def unquoted_symbol(symbol, *sites, cell, **entries):
    text = cif_text(*(sites or GENERAL), symbol=symbol, cell=cell, **entries)
    return bare(text, "symmetry_space_group")


def named(name, value):
    return cif_text().replace("data_x", f"data_x\n_{name} {value}")


READ = {
    "symbol without quotes": (unquoted_symbol("P21 21 21", cell=BOX), {16: 4, 34: 4}),
    "symbol that begins like P 1": (
        unquoted_symbol("P1 21/c 1", cell=SLANTED),
        {16: 4, 34: 4},
    ),
    "rutile, symbol and formula without quotes": (
        bare(
            unquoted_symbol(
                "P42/m n m", *RUTILE, cell=TETRAGONAL, formula="Ti O2", z=2, density=4.25
            ),
            "chemical",
        ),
        {22: 2, 8: 4},
    ),
    "symbol whose quote is not closed": (
        bare(cif_text(*GENERAL, symbol="P21 21 21", cell=BOX), "symmetry_space", "'"),
        {16: 4, 34: 4},
    ),
    "symbol without quotes beside its operations": (
        unquoted_symbol("P21 21 21", cell=BOX, operations=listed("P 21 21 21")),
        {16: 4, 34: 4},
    ),
    "symbol without quotes beside its number": (
        unquoted_symbol("P21 21 21", cell=BOX, number=19),
        {16: 4, 34: 4},
    ),
    "formula without quotes": (
        bare(cif_text(symbol="F m -3 m", formula="Na Cl"), "chemical"),
        {11: 4, 17: 4},
    ),
    "operations without quotes": (
        cif_text(*GENERAL, cell=SLANTED, operations=listed("P 1 21/c 1"))
        .replace("'", "")
        .replace(",", ", "),
        {16: 4, 34: 4},
    ),
    # names that Open Babel and ObjCryst know
    "number of the group": (named("symmetry_group_IT_number", 225), {11: 4, 17: 4}),
    "number": (named("symmetry_IT_number", 225), {11: 4, 17: 4}),
    "symbol of the group": (
        named("symmetry_space_group_name", "'F m -3 m'"),
        {11: 4, 17: 4},
    ),
    # cctbx/cctbx_project#662: a loop of displacements heads its rows by the same label
    "labels of two loops": (
        cif_text(
            "Na1 0 0 0", "Cl1 .5 .5 .5", symbol="F m -3 m", columns=UNTYPED
        ).replace("loop_", f"{DISPLACEMENTS}loop_"),
        {11: 4, 17: 4},
    ),
    "formula in capitals": (
        cif_text(
            "SI1 SI .4697 0 .66667",
            "O1 O .4135 .2669 .7858",
            symbol="P 32 2 1",
            cell=(4.916, 4.916, 5.405, 90, 90, 120),
            formula="SI O2",
        ),
        {14: 3, 8: 6},
    ),
    "formula in capitals of two readings": (
        cif_text("CO1 CO 0 0 0", "O1 O .5 .5 .5", symbol="F m -3 m", formula="CO O"),
        {27: 4, 8: 4},
    ),
    "oxygens of feldspars": (
        cif_text(
            "Si1 .2 .5 .2", "Si2 .6 .1 .6", "Si3 .6 .6 .9", *OXYGENS,
            columns=UNTYPED, symbol="P 1", formula="Si O", cell=BOX,
        ),
        {14: 3, 8: 3},
    ),
    "nothing modulated is stated": (named("space_group_ssg_name", "?"), {11: 1, 17: 1}),
    # materialsproject/pymatgen-core#76, MAGNDATA 1.34: an axis of a doubled cell
    "operations that mix axes": (
        cif_text(
            "Mn1 Mn .137 0 0",
            operations=["x,y,z", "-x,-2x+y,-z", "x,y,-z+1/2", "-x,-2*x+y,z+1/2"],
            cell=(10, 5, 7, 90, 90, 120),
        ),
        {25: 4},
    ),
    "text in three quotes that holds entries": (
        "#\\#CIF_2.0\n"
        + named("publ_text", '"""a "quote"\n_cell_length_a 3.0\ndata_y\n"""'),
        {11: 1, 17: 1},
    ),
    "all atoms for another origin than the named group's": (
        cif_text(
            *rows("Na", ".1 .2 .3", ".6 .7 .3", ".6 .2 .8", ".1 .7 .8"),
            *rows("Cl", ".6 .7 .8", ".1 .2 .8", ".1 .7 .3", ".6 .2 .3"),
            symbol="F m -3 m",
            operations=ONE,
        ),
        {11: 4, 17: 4},
    ),
}  # fmt: skip
REFUSED = {
    # as COD 2001925, whose lists are cut after the centring
    "centring alone, one site": (
        cif_text(
            "Bi1 Bi 0 0 .2339",
            symbol="R -3 m",
            cell=HEXAGONAL,
            formula="Bi",
            operations=["x,y,z", "x+2/3,y+1/3,z+1/3", "x+1/3,y+2/3,z+2/3"],
        ),
        "lists 3 symmetry operations",
    ),
    "identity alone, one site": (
        cif_text(*BISMUTH, symbol="R -3 m", cell=RHOMBOHEDRAL, operations=ONE),
        "lists 1 symmetry operations",
    ),
    "operations of another group of as many": (
        cif_text(*GENERAL, symbol="P 1 21/c 1", cell=SLANTED, operations=P21M),
        "its space group symbol 'P 1 21/c 1' has others",
    ),
    "the same with formula and Z": (
        cif_text(
            *GENERAL,
            symbol="P 1 21/c 1",
            cell=SLANTED,
            operations=P21M,
            formula="S Se",
            z=4,
        ),
        "its space group symbol 'P 1 21/c 1' has others",
    ),
    "sites in two loops": (
        cif_text("Na1 Na 0 0 0", "loop_", *(f"_atom_site_{name}" for name in
                 ("label", "type_symbol", "fract_x", "fract_y", "fract_z")),
                 "Cl1 Cl .5 .5 .5", symbol="F m -3 m"),
        "_atom_site_label stands in 2 loops",
    ),
    "operations in two loops": (
        cif_text(operations=["x,y,z", "loop_"]).replace(
            "'loop_'", "loop_\n_symmetry_equiv_pos_as_xyz\n'-x,-y,-z'"
        ),
        "_symmetry_equiv_pos_as_xyz stands in 2 loops",
    ),
    "only the multiplicities say that there is symmetry": (
        cif_text("Na1 Na 0 0 0 4", "Cl1 Cl .5 .5 .5 4",
                 columns=("label", "type_symbol", "fract_x", "fract_y", "fract_z",
                          "symmetry_multiplicity")),
        "_atom_site_symmetry_multiplicity is '4', but neither",
    ),
    "only the crystal system does": (
        named("symmetry_cell_setting", "cubic"),
        "_symmetry_cell_setting is 'cubic', but neither",
    ),
    "modulated by its kind": (
        named("exptl_crystal_type_of_structure", "mod"),
        "is modulated (_exptl_crystal_type_of_structure)",
    ),
    "modulated by its sites": (
        cif_text("Na1 Na 0 0 0 yes", columns=("label", "type_symbol", "fract_x", "fract_y",
                 "fract_z", "displace_modulation_flag")),
        "is modulated (_atom_site_displace_modulation_flag)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_what_is_meant_is_read(name):
    text, expected = READ[name]
    [block] = cif_blocks(text)
    assert counts_of(crystal_from_cif(block)) == expected


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_clear_is_refused_by_name(name):
    text, words = REFUSED[name]
    with pytest.raises(RecordError) as caught:
        crystal_from_cif(text)
    assert caught.value.reason == "unreadable_structure"
    assert words in str(caught.value)


def test_a_confirmed_cell_needs_no_group():
    """A list of all atoms may keep the system and multiplicities of its origin."""
    text = cif_text(
        *rows("Na", "0 0 0", ".5 .5 0", ".5 0 .5", "0 .5 .5"),
        *rows("Cl", ".5 .5 .5", "0 0 .5", "0 .5 0", ".5 0 0"),
        formula="Na Cl",
        z=4,
        symmetry_cell_setting="cubic",
    )
    assert counts_of(crystal_from_cif(text)) == {11: 4, 17: 4}


WITH_HYDROGEN = [
    *("O_H", "O-W", "O(H2O)", "O1OH", "O1_OH", "O_w1", "O1_w", "O_wat", "O_aq", "OWat"),
    *("(OH)", "h2o", "Aq1", "OHa"),
]
HYDROXIDE = (3.14, 3.14, 4.77, 90, 90, 120)


def hydroxide(label, formula=None):
    sites = ("Mg1 Mg 0 0 0", f"{label} O .3333 .6667 .22")
    return cif_text(*sites, symbol="P -3 m 1", cell=HYDROXIDE, formula=formula)


@pytest.mark.parametrize("label", WITH_HYDROGEN)
@pytest.mark.parametrize("formula", [None, "Mg O2"])
def test_sites_called_after_hydroxyl_or_water_lack_their_hydrogen(label, formula):
    with pytest.raises(RecordError, match="is called water or a hydroxyl"):
        crystal_from_cif(hydroxide(label, formula))


@pytest.mark.parametrize("label", ["O5H", "O(5)H", "O1-H"])
def test_a_letter_behind_a_number_is_hydrogen_unless_the_formula_has_none(label):
    with pytest.raises(RecordError, match="is called water or a hydroxyl"):
        crystal_from_cif(hydroxide(label))
    assert counts_of(crystal_from_cif(hydroxide(label, "Mg O2"))) == {12: 1, 8: 2}


@pytest.mark.parametrize("label", ["O4h", "O_2d", "O1D", "O1-D", "O1A"])
def test_letters_of_wyckoff_positions_are_no_hydrogen(label):
    assert counts_of(crystal_from_cif(hydroxide(label))) == {12: 1, 8: 2}


def test_labels_that_end_in_the_letters_of_a_row_are_no_hydrogen():
    rows_of = [f"O1{letter} O {place / 9} .2 .3" for place, letter in enumerate("ABCDEFGH")]
    assert counts_of(crystal_from_cif(cif_text(*rows_of, cell=BOX))) == {8: 8}


@pytest.mark.parametrize(
    ("site", "formula", "columns"),
    [("Cd1 CD", "Cd S", None), ("CD1", "Cd S", UNTYPED), ("Nd1 nd", "Nd S", None)],
)
def test_elements_in_capitals_are_no_groups(site, formula, columns):
    more = {} if columns is None else {"columns": columns}
    sites = (f"{site} 0 0 0", f"S1{'' if columns else ' S'} .5 .5 .5")
    text = cif_text(*sites, symbol="F m -3 m", formula=formula, **more)
    assert sum(counts_of(crystal_from_cif(text)).values()) == 8


def test_three_quotes_are_quotes_in_no_cif_but_of_version_2():
    """In a comment, and as the label of a site."""
    text = cif_text("# ''' old", "Na1 Na 0 0 0", "# '''", "Cl''' Cl .5 .5 .5")
    for header in ("", "#\\#CIF_2.0\n", "# M\u00fcller\n"):
        [block] = cif_blocks(header + text)
        assert counts_of(crystal_from_cif(block)) == {11: 1, 17: 1}


def test_a_list_that_stands_twice_is_one():
    listed_once = cif_text(symbol="F m -3 m", operations=listed("F m -3 m"))
    start = listed_once.index("loop_\n_symmetry")
    operations = listed_once[start : listed_once.index("loop_\n_atom")]
    assert counts_of(crystal_from_cif(listed_once + operations)) == {11: 4, 17: 4}


@pytest.mark.parametrize("element", ["Nd", "Cd", "Ho", "Sc", "Os", "Co", "Cs", "Nb", "Np"])
def test_elements_are_not_taken_for_groups_with_hydrogen(element):
    text = cif_text(f"{element}1 {element} 0 0 0", symbol="P m -3 m", operations=None)
    assert sum(counts_of(crystal_from_cif(text)).values()) == 1
    untyped = cif_text(f"{element}1 0 0 0", symbol="P m -3 m", columns=UNTYPED)
    assert sum(counts_of(crystal_from_cif(untyped)).values()) == 1


def test_operations_with_spaces_in_a_loop_of_two_columns_are_named():
    text = cif_text().replace(
        "loop_", "loop_\n_symmetry_equiv_pos_site_id\n_symmetry_equiv_pos_as_xyz\n"
        "1 x, y, z\n2 -x, -y, -z\nloop_", 1
    )  # fmt: skip
    with pytest.raises(RecordError, match="in quotes if it holds spaces"):
        listed_operations(read_items(text))
