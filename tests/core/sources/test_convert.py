from __future__ import annotations

import json
import re

import numpy as np
import pytest
from ase.build import bulk, molecule
from jarvis.core.atoms import Atoms as JarvisAtoms
from pymatgen.core.structure import Molecule, Structure

from crystalgnn_core.errors import InputError, RecordError
from crystalgnn_core.records.crystal import Crystal, crystal_from_structure
from crystalgnn_core.sources.convert import (
    cif_blocks,
    crystal_from_any,
    crystal_from_cif,
    crystal_from_poscar,
    crystal_from_text,
)

SALT = Structure.from_spacegroup(
    "Fm-3m", np.eye(3) * 5.64, ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]
)
SALT_CIF = SALT.to(fmt="cif")
SALT_POSCAR = SALT.to(fmt="poscar")
FRACTIONS = ("fract_x", "fract_y", "fract_z")
JARVIS = {
    "lattice_mat": [[3.57, 0.0, 0.0], [0.0, 3.57, 0.0], [0.0, 0.1, 9.4]],
    "coords": [[0.25, 0.25, 0.8], [0.75, 0.75, 0.2]],
    "elements": ["Ti", "D"],
    "cartesian": False,
    "props": ["", ""],
}


def same(first, second):
    return (
        first.atomic_numbers.tolist() == second.atomic_numbers.tolist()
        and np.allclose(first.lattice, second.lattice, atol=1e-12)
        and np.allclose(first.frac_coords, second.frac_coords, atol=1e-12)
    )


def same_sites(first, second):
    places = [
        sorted(zip(c.atomic_numbers.tolist(), (c.frac_coords % 1).tolist(), strict=True))
        for c in (first, second)
    ]
    return places[0] == places[1]


def cartesian_form():
    coords = np.array(JARVIS["coords"]) @ np.array(JARVIS["lattice_mat"])
    return JARVIS | {"coords": coords.tolist(), "cartesian": True}


def refused(reader, value):
    with pytest.raises(RecordError) as caught:
        reader(value)
    return caught.value.reason, str(caught.value)


def test_crystal_and_structure_pass():
    crystal = crystal_from_structure(SALT)
    assert crystal_from_any(crystal) is crystal
    assert same(crystal_from_any(SALT), crystal)
    assert same(crystal_from_any(SALT.as_dict()), crystal)


def test_both_coordinate_forms_of_jarvis_are_one_crystal():
    crystal = crystal_from_any(JARVIS)
    assert crystal.atomic_numbers.tolist() == [22, 1]
    assert crystal.frac_coords.tolist() == JARVIS["coords"]
    assert same(crystal_from_any(cartesian_form()), crystal)
    assert same(crystal_from_any({"jid": "JVASP-1", "atoms": cartesian_form()}), crystal)


@pytest.mark.parametrize("form", [JARVIS, cartesian_form()])
def test_jarvis_objects_are_read(form):
    assert same(crystal_from_any(JarvisAtoms.from_dict(form)), crystal_from_any(JARVIS))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"elements": ["Ti", "Qq"]}, "unknown_element"),
        ({"elements": ["Ti"]}, "unreadable_structure"),
        ({"coords": [[0.0, 0.0], [0.5, 0.5]]}, "unreadable_structure"),
        ({"coords": "na"}, "unreadable_structure"),
        ({"lattice_mat": None}, "unreadable_structure"),
        ({"lattice_mat": np.zeros((3, 3)), "cartesian": True}, "degenerate_cell"),
    ],
)
def test_faulty_jarvis_atoms_are_refused(changes, reason):
    assert refused(crystal_from_any, JARVIS | changes)[0] == reason


def test_ase_atoms_keep_their_coordinates():
    atoms = bulk("GaAs", "zincblende", a=5.653)
    atoms.positions += 20.0  # outside of the cell, and it stays there
    crystal = crystal_from_any(atoms)
    assert crystal.atomic_numbers.tolist() == [31, 33]
    assert np.allclose(crystal.frac_coords @ crystal.lattice, atoms.positions)
    assert np.allclose(crystal.lattice, atoms.cell.array)


def test_ase_atoms_that_are_no_ordered_crystal_are_refused():
    slab = bulk("Si")
    slab.pbc = (True, True, False)
    assert refused(crystal_from_any, slab)[0] == "unreadable_structure"
    assert refused(crystal_from_any, molecule("H2O"))[0] == "unreadable_structure"
    water = molecule("H2O")
    water.pbc = True
    assert refused(crystal_from_any, water)[0] == "degenerate_cell"
    mixed = bulk("Si")
    mixed.info["occupancy"] = {"0": {"Si": 0.5, "Ge": 0.5}}
    assert refused(crystal_from_any, mixed)[0] == "disordered_site"


@pytest.mark.parametrize("value", [3, "SrTiO3", None, [SALT], Molecule(["H"], [[0, 0, 0]])])
def test_other_objects_are_an_input_error(value):
    with pytest.raises(InputError, match=type(value).__name__):
        crystal_from_any(value)


def test_dictionary_of_something_else_is_refused():
    assert "energy" in refused(crystal_from_any, {"energy": 1})[1]
    broken = SALT.as_dict() | {"lattice": {"a": 3}}
    assert refused(crystal_from_any, broken)[0] == "unreadable_structure"


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


def test_atoms_at_one_place_are_not_merged_in_silence():
    # pymatgen takes sites within 1e-4 of each other for one mixed site
    text = SALT_CIF.replace("0.50000000", "0.00005")
    assert refused(crystal_from_cif, text)[0] in {"unreadable_structure", "disordered_site"}


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
    "site outside a loop": (
        "data_x\n_cell_length_a 3\n_cell_length_b 3\n_cell_length_c 3\n"
        "_cell_angle_alpha 90\n_cell_angle_beta 90\n_cell_angle_gamma 90\n"
        "_atom_site_label Na1\n"
        "_atom_site_fract_x 0\n_atom_site_fract_y 0\n_atom_site_fract_z 0\n"
    ),
}


@pytest.mark.parametrize("name", CIF_FAULTS)
def test_faulty_cif_is_refused_in_one_line(name):
    reason, message = refused(crystal_from_cif, CIF_FAULTS[name])
    assert reason == "unreadable_structure"
    assert "\n" not in message


def test_disordered_cif_is_refused_as_such():
    disordered = Structure(
        np.eye(3) * 4.1, [{"Na": 0.5, "K": 0.5}, "Cl"], [[0.0] * 3, [0.5] * 3]
    )
    assert refused(crystal_from_cif, disordered.to(fmt="cif"))[0] == "disordered_site"
    assert (
        refused(crystal_from_text, json.dumps(disordered.as_dict()))[0] == "disordered_site"
    )


def test_formula_of_one_unit_and_deuterium_agree_with_the_sites():
    one_unit = SALT_CIF.replace("'Na4 Cl4'", "'Na Cl'")
    assert len(crystal_from_cif(one_unit).atomic_numbers) == 8
    heavy = Structure(np.eye(3) * 4.08, ["Li", "D"], [[0.0] * 3, [0.5] * 3]).to(fmt="cif")
    assert crystal_from_cif(heavy).atomic_numbers.tolist() == [3, 1]
    for unreadable in ("?", "'Na4 Cl3.9'"):
        text = SALT_CIF.replace("'Na4 Cl4'", unreadable)
        assert len(crystal_from_cif(text).atomic_numbers) == 8


def test_poscar_is_read():
    crystal = crystal_from_poscar(SALT_POSCAR)
    assert same(crystal, crystal_from_structure(SALT))
    cadmium = Structure(
        np.eye(3) * 5, ["Cd", "Co", "K"], [[0.0] * 3, [0.5] * 3, [0.5, 0, 0]]
    )
    text = cadmium.to(fmt="poscar").replace("direct", "Selective dynamics\nDirect")
    assert crystal_from_poscar(text).atomic_numbers.tolist() == [48, 27, 19]


POSCAR_FAULTS = {
    "empty": "",
    "one line": "NaCl",
    "more counted than listed": SALT_POSCAR.replace("\n4 4\n", "\n4 5\n"),
    "counts that fill the memory": SALT_POSCAR.replace("\n4 4\n", "\n4 99999999999\n"),
    "more listed than counted": SALT_POSCAR.replace("\n4 4\n", "\n4 3\n"),
    "no elements": re.sub(" ?(Na|Cl)", "", SALT_POSCAR).replace("\n\n", "\n"),
    "two numbers in a lattice row": re.sub(
        r"^ +(\S+ +\S+).*", r"\1", SALT_POSCAR, flags=re.M
    ),
    "binary junk": bytes(range(256)).decode("latin-1") * 20,
}


@pytest.mark.parametrize("name", POSCAR_FAULTS)
def test_faulty_poscar_is_refused(name):
    text = POSCAR_FAULTS[name]
    assert text != SALT_POSCAR
    assert refused(crystal_from_poscar, text)[0] == "unreadable_structure"


def test_text_is_taken_for_json_or_cif():
    expected = crystal_from_structure(SALT)
    assert same(crystal_from_text(f" {json.dumps(SALT.as_dict())}"), expected)
    assert same(crystal_from_text(json.dumps({"atoms": JARVIS})), crystal_from_any(JARVIS))
    assert isinstance(crystal_from_text(SALT_CIF), Crystal)
    assert refused(crystal_from_text, '{"a": 1')[0] == "unreadable_structure"
    assert refused(crystal_from_text, "{" * 100_000)[0] == "unreadable_structure"
