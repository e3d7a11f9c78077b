from __future__ import annotations

import numpy as np
import pytest
from pymatgen.core.structure import Structure

from crystalgnn_core.sources.formats.cif.reader import cif_blocks, crystal_from_cif

SALT = Structure.from_spacegroup(
    "Fm-3m", np.eye(3) * 5.64, ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]
)
SALT_CIF = SALT.to(fmt="cif")
FRACTIONS = ("fract_x", "fract_y", "fract_z")


def same_sites(first, second):
    places = [
        sorted(zip(c.atomic_numbers.tolist(), (c.frac_coords % 1).tolist(), strict=True))
        for c in (first, second)
    ]
    return places[0] == places[1]


def test_cif_keeps_the_cell_and_every_atom():
    crystal = crystal_from_cif(SALT_CIF)
    assert sorted(crystal.atomic_numbers.tolist()) == [11] * 4 + [17] * 4
    assert np.allclose(crystal.lattice, SALT.lattice.matrix)


def test_symmetric_cif_is_expanded():
    cell = "".join(f"_cell_length_{axis} 5.640(2)\n" for axis in "abc")
    cell += "".join(f"_cell_angle_{angle} 90\n" for angle in ("alpha", "beta", "gamma"))
    columns = "".join(f"_atom_site_{name}\n" for name in ("label", *FRACTIONS))
    sites = "Na1 0 0 0\nCl1 0.5 0.5 0.5\n"
    group = "_symmetry_space_group_name_H-M 'F m -3 m'\n"
    text = f"data_salt\n{cell}{group}loop_\n{columns}{sites}"
    assert same_sites(crystal_from_cif(text), crystal_from_cif(SALT_CIF))
    stated = text.replace("loop_", "_chemical_formula_sum 'Na Cl'\nloop_")
    assert len(crystal_from_cif(stated).atomic_numbers) == 8


def test_atoms_at_one_place_are_not_merged_in_silence(refused):
    # pymatgen takes sites within 1e-4 of each other for one mixed site
    text = SALT_CIF.replace("0.50000000", "0.00005")
    assert refused(crystal_from_cif, text)[0] == "overlapping_atoms"


def test_lone_and_text_blocks():
    text = f"data_global\n_journal_name_full 'Acta'\n{SALT_CIF}\nDATA_x\n_cell_length_a 3\n"
    assert len(cif_blocks(text)) == 2
    assert cif_blocks("") == []


def cif_without_last_atoms(count):
    return "\n".join(SALT_CIF.rstrip().splitlines()[:-count])


CIF_FAULTS = {
    "empty": "",
    "no data": "hello\nworld",
    "binary junk": bytes(range(256)).decode("latin-1") * 20,
    "cut in a row": SALT_CIF.rstrip()[:-18],
    "cut between rows": cif_without_last_atoms(1),
    "cut before the sites": SALT_CIF[: SALT_CIF.index("loop_")],
    "cut in the cell": SALT_CIF[: SALT_CIF.index("_cell_angle_beta")],
    "no columns": SALT_CIF.replace(" _atom_site_fract_x\n", ""),
    "empty loop": "data_x\n_cell_length_a 3\nloop_\n",
    "word for a number": SALT_CIF.replace("_cell_length_a   5.64", "_cell_length_a   five"),
    "two structures": SALT_CIF + SALT_CIF,
    "coordinate left out": SALT_CIF.replace("0.50000000", ".", 1),
}


@pytest.mark.parametrize("name", CIF_FAULTS)
def test_faulty_cif_is_refused_in_one_line(name, refused):
    reason, message = refused(crystal_from_cif, CIF_FAULTS[name])
    assert reason == "unreadable_structure"
    assert "\n" not in message


def test_disordered_cif_is_refused_as_such(refused):
    disordered = Structure(
        np.eye(3) * 4.1, [{"Na": 0.5, "K": 0.5}, "Cl"], [[0.0] * 3, [0.5] * 3]
    )
    assert refused(crystal_from_cif, disordered.to(fmt="cif"))[0] == "disordered_site"


def test_formula_of_one_unit_and_deuterium_agree_with_the_sites():
    one_unit = SALT_CIF.replace("'Na4 Cl4'", "'Na Cl'")
    assert len(crystal_from_cif(one_unit).atomic_numbers) == 8
    heavy = Structure(np.eye(3) * 4.08, ["Li", "D"], [[0.0] * 3, [0.5] * 3]).to(fmt="cif")
    assert crystal_from_cif(heavy).atomic_numbers.tolist() == [3, 1]
    for unreadable in ("?", "'Na4 Cl3.9'"):
        text = SALT_CIF.replace("'Na4 Cl4'", unreadable)
        assert len(crystal_from_cif(text).atomic_numbers) == 8
