"""The fast CIF reader against pymatgen: equal where it answers, silent elsewhere."""

from __future__ import annotations

import warnings

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure
from pymatgen.io.cif import CifWriter

from crystalgnn_core.errors import RecordError
from crystalgnn_core.sources.formats.cif.gemmi import crystals_with_gemmi
from crystalgnn_core.sources.formats.cif.reader import crystal_from_cif
from tests.core.sources.formats.cif.peers import crystal_with_pymatgen
from tests.paths import DATA

CELL = """_cell_length_a 5.64
_cell_length_b 5.64
_cell_length_c 5.64
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
"""
P1 = "loop_\n_symmetry_equiv_pos_as_xyz\n'x, y, z'\n"
INVERTED = P1 + "-x,-y,-z\n"
TAGS = ("label", "type_symbol", "fract_x", "fract_y", "fract_z", "occupancy")
SITES = ("Na1 Na 0.1 0.2 0.3 1", "Cl1 Cl 0.6 0.7 0.8 1.0")


def cif(*, sites=SITES, tags=TAGS, cell=CELL, operations=P1, extra=""):
    columns = "".join(f"_atom_site_{tag}\n" for tag in tags)
    return "\n".join([f"data_x\n{cell}{extra}{operations}loop_\n{columns}", *sites, ""])


def without(tag, *sites):
    """Leave a column out."""
    column = TAGS.index(tag)
    rows = [site.split() for site in sites or SITES]
    kept = [" ".join(row[:column] + row[column + 1 :]) for row in rows]
    return cif(sites=kept, tags=[name for name in TAGS if name != tag])


def read_one(text):
    [crystal] = crystals_with_gemmi([text])
    return crystal


def is_equal(first, second):
    """Compare to the bit: the same text must give the same digest in both ways."""
    pairs = zip(first, second, strict=True)
    return all(a.shape == b.shape and np.array_equal(a, b) for a, b in pairs)


R3 = (
    "'x,y,z' '-y,x-y,z' '-x+y,-x,z' 'x+2/3,y+1/3,z+1/3' '-y+2/3,x-y+1/3,z+1/3' "
    "'-x+y+2/3,-x+1/3,z+1/3' 'x+1/3,y+2/3,z+2/3' '-y+1/3,x-y+2/3,z+2/3' "
    "'-x+y+1/3,-x+2/3,z+2/3'\n"
)
HEXAGONAL = CELL.replace("gamma 90", "gamma 120")

FAST = {
    "plain": cif(),
    "symmetry": cif(operations=INVERTED),
    "special position": cif(
        operations=INVERTED, sites=("Na1 Na 0 0 0 1", "Cl1 Cl 0.5 0.5 0.2 1")
    ),
    "nearly special position": cif(operations=INVERTED, sites=("Na1 Na 0.00002 0 0 1",)),
    "rhombohedral centring": cif(
        cell=HEXAGONAL,
        operations=f"loop_\n_space_group_symop_operation_xyz\n{R3}",
        sites=("Al1 Al 0 0 0.3521 1", "O1 O 0.3063 0 0.25 1"),
    ),
    "operation outside a loop": cif(operations="_symmetry_equiv_pos_as_xyz 'x,y,z'\n"),
    "operations in capitals": cif(operations=P1 + "'1/2+X, -Y, Z+.5'\n"),
    "thirds": cif(sites=("Na1 Na 0.3333 0.6667 -0.333333 1", "Cl1 Cl 0 0 0.66666 1")),
    "outside the cell": cif(sites=("Na1 Na -0.1 1.2 -1e-18 1", "Cl1 Cl 7 -0.0 0.5 1")),
    "uncertainties": cif(
        cell=CELL.replace("5.64", "5.64(2)"), sites=("Na1 Na 0.123(4) .5 1. 1",)
    ),
    "exponents": cif(sites=("Na1 Na 1e-1 +2.5E-1 0.3 1",)),
    "many digits": cif(sites=("Na1 Na 0.12345678901234567890 0.3333333333333333 0 1",)),
    "charges": cif(sites=("Fe1 Fe3+ 0 0 0 1", "O1 O2- 0.5 0.5 0.5 1", "N1 N 0 0 0.5 1")),
    "order of elements": cif(
        sites=("O1 O 0 0 0 1", "Fe1 Fe 0 0 0.5 1", "O2 O 0 0.5 0 1", "Ca1 Ca 0.5 0 0 1")
    ),
    "equal electronegativity": cif(sites=("Rb1 Rb 0 0 0 1", "K1 K 0 0 0.5 1")),
    "no type symbols": without("type_symbol"),
    "no occupancies": without("occupancy"),
    "triclinic": cif(
        cell=CELL.replace("alpha 90", "alpha 71.3").replace("gamma 90", "gamma 104.25")
    ),
    "comments": "# a 'quoted' word\n" + cif(extra="# another\n_x y # third\n"),
    "text field": cif(
        extra="_publ_section_title\n;\nall data_ in its text # here\n don't read\n;\n"
    ),
    "other loops": cif(extra="loop_\n_publ_author_name\n'A. B.'\n\"C'D\"\n"),
    "windows": cif().replace("\n", "\r\n"),
    "formula unit": cif(extra="_chemical_formula_sum 'Na Cl'\n"),
    "formula without spaces": cif(extra="_chemical_formula_sum NaCl\n"),
    "tags with data_": cif(extra="_cod_data_source_file x.cif\n"),
}


@pytest.mark.parametrize("name", FAST)
def test_plain_cif_is_read_as_by_pymatgen(name):
    fast = read_one(FAST[name])
    assert fast is not None
    assert is_equal(fast, crystal_with_pymatgen(FAST[name]))


UNSURE = {
    "only a space group": cif(operations="_symmetry_space_group_name_H-M 'F m -3 m'\n"),
    "no symmetry at all": cif(operations=""),
    "both operation tags": cif(
        operations=P1
        + INVERTED.replace("symmetry_equiv_pos_as", "space_group_symop_operation")
    ),
    "operation with a factor": cif(operations=P1 + "'2x,y,z'\n"),
    "identity not first": cif(operations=INVERTED.replace("'x, y, z'\n", "") + "x,y,z\n"),
    "partial occupancy": cif(sites=("Na1 Na 0 0 0 0.5", "Cl1 Cl 0.5 0.5 0.5 1")),
    "unknown occupancy": cif(sites=("Na1 Na 0 0 0 ?", "Cl1 Cl 0.5 0.5 0.5 1")),
    "no occupancy": cif(sites=("Na1 Na 0 0 0 .", "Cl1 Cl 0.5 0.5 0.5 1")),
    "unknown coordinate": cif(sites=("Na1 Na 0 0 ? 1", "Cl1 Cl 0.5 0.5 0.5 1")),
    "missing coordinate": cif(sites=("Na1 Na 0 0 . 1", "Cl1 Cl 0.5 0.5 0.5 1")),
    "infinite coordinate": cif(sites=("Na1 Na 0 0 inf 1",)),
    "two atoms at one place": cif(sites=("Na1 Na 0 0 0 1", "Cl1 Cl 0 0 0.00005 1")),
    "image of another site": cif(
        operations=INVERTED, sites=("Na1 Na 0.1 0 0 1", "Na2 Na 0.9 0 0 1")
    ),
    "three terms, whose sum has no order": cif(
        cell=HEXAGONAL,
        operations=f"loop_\n_space_group_symop_operation_xyz\n{R3}",
        sites=("Al1 Al 0.1371 0.2513 0.3521 1",),
    ),
    "at the tolerance": cif(operations=INVERTED, sites=("Na1 Na 0.00005 0 0 1",)),
    "deuterium": cif(sites=("Li1 Li 0 0 0 1", "D1 D 0.5 0.5 0.5 1")),
    "helium": cif(sites=("He1 He 0 0 0 1", "Na1 Na 0.5 0.5 0.5 1")),
    "water": cif(sites=("Ow Ow 0 0 0 1", "Na1 Na 0.5 0.5 0.5 1")),
    "label of letters": without("type_symbol", "NaA Na 0 0 0 1"),
    "unknown type symbol": cif(sites=("Na1 ? 0 0 0 1",)),
    "type symbols elsewhere": without("type_symbol")
    + "loop_\n_atom_site_type_symbol\nK\nBr\n",
    "mixed site in words": cif(sites=("M 'Na + K' 0 0 0 1",)),
    "oxidation numbers": cif(
        extra="loop_\n_atom_type_symbol\n_atom_type_oxidation_number\nNa 1\nCl -1\n"
    ),
    "equal electronegativity and charges": cif(
        extra="loop_\n_atom_type_symbol\n_atom_type_oxidation_number\n"
        "Fe2+ 2\nFe3+ 3\nO2- -2\n",
        sites=(
            "Fe1 Fe3+ 0 0 0 1",
            "O1 O2- .5 .5 0 1",
            "Fe2 Fe2+ 0 .5 0 1",
            "O2 O2- .5 0 0 1",
        ),
    ),
    "moments": cif(extra="loop_\n_atom_site_moment_label\nNa1\n"),
    "two blocks": cif() + cif().replace("data_x", "data_y"),
    "no block": cif().replace("data_x", ""),
    "powder pattern": cif().replace("data_x", "data_powder_pattern"),
    "upper-case tags": cif().replace("_cell_length_a", "_CELL_LENGTH_A"),
    "upper-case site tags": cif().replace("_atom_site", "_Atom_site"),
    "upper-case loop": cif().replace("loop_", "LOOP_"),
    "upper-case block": cif().replace("data_", "DATA_"),
    "lone site": cif(operations="_symmetry_equiv_pos_as_xyz x,y,z\n").partition("loop_")[0]
    + "".join(
        f"_atom_site_{tag} {v}\n" for tag, v in zip(TAGS, SITES[0].split(), strict=True)
    ),
    "no label": without("label"),
    "quoted number": cif(cell=CELL.replace("a 5.64", "a '5.64'")),
    "word for a number": cif(cell=CELL.replace("a 5.64", "a five")),
    "no angle": cif(cell=CELL.replace("_cell_angle_beta 90\n", "")),
    "impossible angles": cif(
        cell=CELL.replace("alpha 90", "alpha 30").replace("beta 90", "beta 30")
    ),
    "flat cell": cif(cell=CELL.replace("a 5.64", "a 0.005")),
    "negative length": cif(cell=CELL.replace("a 5.64", "a -5.64")),
    "cell in a loop": cif(cell="loop_\n" + CELL.replace(" ", "\n", 1)),
    "tag given twice": cif(extra="_cell_length_a 6\n"),
    "hydrogen missing": cif(extra="_chemical_formula_sum 'Na Cl H2'\n"),
    "broken formula": cif(extra="_chemical_formula_sum 'Na Cl0.5'\n"),
    "attached hydrogen": cif(tags=(*TAGS[:-1], "attached_hydrogens")),
    "hash in quotes": cif(extra="_x 'a #b'\n"),
    "not ASCII": cif(extra="_x 5\u00c5\n"),
    "control character": cif(extra="_x 'a\x0cb'\n"),
    "frame": cif(extra="save_a\n_b 1\nsave_\n"),
    "stop": cif(extra="loop_\n_b\n1\nstop_\n"),
    "empty loop": cif(extra="loop_\n_b\n"),
    "cut in a row": cif().rstrip()[:-9],
}


@pytest.mark.parametrize("name", UNSURE)
def test_what_is_not_plain_is_left_to_the_strict_reader(name):
    assert read_one(UNSURE[name]) is None


def test_texts_that_are_read_together_do_not_touch_each_other():
    texts = [*FAST.values(), *UNSURE.values(), *reversed(FAST.values())]
    alone = [read_one(text) for text in texts]
    for one, among_others in zip(alone, crystals_with_gemmi(texts), strict=True):
        assert (one is None) == (among_others is None)
        assert one is None or is_equal(one, among_others)
    of_one_origin = crystals_with_gemmi([FAST["plain"], FAST["symmetry"], FAST["thirds"]])
    sizes = [crystal and len(crystal.atomic_numbers) for crystal in of_one_origin]
    assert sizes == [2, 4, 2]
    assert crystals_with_gemmi([]) == []


def test_a_block_that_another_text_lacks_is_not_taken_for_its_own():
    double = FAST["plain"] + FAST["plain"].replace("data_x", "data_y")
    assert crystals_with_gemmi([double, FAST["plain"].replace("data_x", "")]) == [None] * 2


def test_what_pymatgen_reads_rightly_is_read_alike_to_the_bit():
    for name in (
        "only a space group",
        "deuterium",
        "oxidation numbers",
        "not ASCII",
        "helium",
        "equal electronegativity and charges",
        "three terms, whose sum has no order",
    ):
        expected = crystal_with_pymatgen(UNSURE[name])
        assert is_equal(crystal_from_cif(UNSURE[name]), expected)


@st.composite
def structures(draw):
    n_atoms = draw(st.integers(1, 30))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    lengths = random.uniform(2, 20, 3)
    angles = draw(
        st.sampled_from(
            [(90.0,) * 3, (90.0, 90.0, 120.0), tuple(random.uniform(60, 115, 3))]
        )
    )
    grid = draw(st.sampled_from([0, 4, 6, 8]))
    coords = random.uniform(-1, 2, (n_atoms, 3))
    coords = np.round(coords * grid) / grid if grid else coords
    coords = np.unique(np.round(coords % 1, 9) % 1, axis=0)
    symbols = random.choice(
        ["Na", "Cl", "O", "Fe", "H", "W", "K", "Rb"], len(coords)
    ).tolist()
    return Structure(Lattice.from_parameters(*lengths, *angles), symbols, coords)


@settings(max_examples=60, deadline=None)
@given(structures(), st.sampled_from([None, None, 0.01, 0.1]))
def test_written_structures_are_read_as_by_pymatgen(structure, symprec):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        text = str(CifWriter(structure, symprec=symprec))
    fast = read_one(text)
    if fast is None:
        assert symprec is not None  # sums of three terms at the border of the cell
        return
    assert is_equal(fast, crystal_with_pymatgen(text))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damaged_text_is_never_read_differently(data):
    text = data.draw(st.sampled_from(list(FAST.values())))
    at = data.draw(st.integers(0, len(text)))
    junk = data.draw(st.text(alphabet=" \n\t'\"#;_.?0x(),loopdat", max_size=6))
    text = text[:at] + junk + text[at + data.draw(st.integers(0, 8)) :]
    fast = read_one(text)
    if fast is not None:
        assert is_equal(fast, crystal_with_pymatgen(text))


@pytest.mark.skipif(not DATA.is_dir(), reason="the samples are not at hand")
@pytest.mark.parametrize("name", ["mp20", "wbm_candidates", "perov5_val"])
def test_shared_cifs_take_the_fast_path_and_agree(name):
    texts = pq.read_table(DATA / f"{name}.parquet", columns=["cif"])["cif"].to_pylist()
    n_fast = 0
    for text in texts[:: len(texts) // 100][:100]:
        fast = read_one(text)
        if fast is not None:
            n_fast += 1
            assert is_equal(fast, crystal_with_pymatgen(text))
    assert n_fast >= 98


def test_refusals_of_the_slow_path_reach_the_caller():
    with pytest.raises(RecordError, match="the CIF states"):
        crystal_from_cif(UNSURE["hydrogen missing"])
