from __future__ import annotations

import json

import numpy as np
import pytest
from ase.build import bulk, molecule
from ase.io import jsonio
from hypothesis import given, settings
from hypothesis import strategies as st
from jarvis.core.atoms import Atoms as JarvisAtoms
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Molecule, Structure

from crystalgnn_core.errors import InputError, RecordError
from crystalgnn_core.records.crystal import (
    crystal_from_structure,
    structure_from_crystal,
)
from crystalgnn_core.sources.formats.objects import (
    crystal_from_any,
    crystal_from_json,
    is_json,
)
from tests.core.random_crystals import draw_crystals

SALT = Structure.from_spacegroup(
    "Fm-3m", np.eye(3) * 5.64, ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]
)
SALT_CIF = SALT.to(fmt="cif")
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


def cartesian_form():
    coords = np.array(JARVIS["coords"]) @ np.array(JARVIS["lattice_mat"])
    return JARVIS | {"coords": coords.tolist(), "cartesian": True}


def test_crystal_and_structure_pass():
    crystal = crystal_from_structure(SALT)
    assert crystal_from_any(crystal) is crystal
    assert same(crystal_from_any(SALT), crystal)
    assert same(crystal_from_any(SALT.as_dict()), crystal)


@settings(max_examples=30)
@given(seed=st.integers(0, 999), n_atoms=st.integers(1, 9), charge=st.integers(-4, 4))
def test_dictionaries_of_pymatgen_are_read_as_pymatgen_does(seed, n_atoms, charge):
    [crystal] = draw_crystals([n_atoms], seed)
    structure = structure_from_crystal(crystal)
    structure.add_oxidation_state_by_site([charge] * len(structure))
    value = json.loads(json.dumps(structure.as_dict()))
    found = crystal_from_any(value)
    expected = crystal_from_structure(Structure.from_dict(value))
    for name in found._fields:
        own, other = getattr(found, name), getattr(expected, name)
        assert own.dtype == other.dtype
        assert own.tolist() == other.tolist()


def test_a_dictionary_that_gives_the_cell_by_its_lengths_goes_through_pymatgen():
    value = SALT.as_dict()
    del value["lattice"]["matrix"]
    assert same(crystal_from_any(value), crystal_from_structure(SALT))


@pytest.mark.parametrize(
    ("species", "reason"),
    [
        ([{"element": "Qq", "occu": 1}], "unknown_element"),
        ([{"element": "X", "occu": 1}], "unknown_element"),
        ([{"element": "Na", "occu": 0.5}], "disordered_site"),
        ([{"element": "Na", "occu": float("nan")}], "disordered_site"),
        (
            [{"element": "Na", "occu": 0.5}, {"element": "K", "occu": 0.5}],
            "disordered_site",
        ),
        ([], "disordered_site"),
        ([{"element": ["Na"], "occu": 1}], "unknown_element"),
        ([{"element": "Na", "occu": None}], "unreadable_structure"),
        ([{"element": "Na", "occu": "half"}], "unreadable_structure"),
        ([{"element": "Na", "occu": 10**400}], "unreadable_structure"),
    ],
)
def test_sites_that_hold_no_single_element_are_refused(species, reason):
    value = SALT.as_dict()
    value["sites"][3]["species"] = species
    with pytest.raises(RecordError) as caught:
        crystal_from_any(value)
    assert caught.value.reason == reason


def test_both_coordinate_forms_of_jarvis_are_one_crystal():
    crystal = crystal_from_any(JARVIS)
    assert crystal.atomic_numbers.tolist() == [22, 1]
    assert crystal.frac_coords.tolist() == JARVIS["coords"]
    assert same(crystal_from_any(cartesian_form()), crystal)
    assert same(crystal_from_any({"jid": "JVASP-1", "atoms": cartesian_form()}), crystal)


def test_numbers_that_stand_one_after_another_are_vectors():
    """As pymatgen reads them: `Lattice` takes nine numbers, row after row."""
    flat = {
        key: np.array(JARVIS[key]).ravel().tolist() for key in ("lattice_mat", "coords")
    }
    assert same(crystal_from_any(JARVIS | flat), crystal_from_any(JARVIS))
    value = SALT.as_dict()
    value["lattice"]["matrix"] = np.ravel(value["lattice"]["matrix"]).tolist()
    assert same(crystal_from_any(value), crystal_from_structure(SALT))


@pytest.mark.parametrize("form", [0, 1])
def test_cartesian_may_be_written_as_a_number(form):
    value = cartesian_form() if form else JARVIS
    assert same(crystal_from_any(value | {"cartesian": form}), crystal_from_any(JARVIS))


@pytest.mark.parametrize(
    "species",
    [
        [{"element": "Na", "occu": 1}, {"element": "K", "occu": 0}],
        [{"element": "Na", "occu": 0.5, "oxidation_state": n} for n in (0, 1)],
    ],
)
def test_a_site_of_one_element_is_ordered(species):
    """Species without a share are none, as in pymatgen; valences are dropped."""
    value = SALT.as_dict()
    value["sites"][0]["species"] = species
    expected = crystal_from_structure(SALT)
    assert same(crystal_from_any(value), expected)
    assert same(crystal_from_any(Structure.from_dict(value)), expected)


@pytest.mark.parametrize(
    ("pbc", "is_crystal"),
    [
        ([True, True, True], True),
        ([1, 1, 1], True),
        (None, True),
        ("TTF", False),
        ("TTT", False),
        ([True, True], False),
        ([True, True, "F"], False),
        ([True, True, True, True], False),
        ({"a": True}, False),
        ([1, 1, 0], False),
    ],
)
def test_periodicity_is_three_times_true_or_refused(refused, pbc, is_crystal):
    value = SALT.as_dict()
    value["lattice"]["pbc"] = pbc
    if is_crystal:
        assert same(crystal_from_any(value), crystal_from_structure(SALT))
    else:
        assert "pbc is " in refused(crystal_from_any, value)[1]


def ase_forms():
    atoms = bulk("GaAs", "zincblende", a=5.653)
    plain = {key: np.asarray(held).tolist() for key, held in atoms.todict().items()}
    encoded = jsonio.encode(atoms)
    return {
        "todict": plain,
        "without pbc": {key: held for key, held in plain.items() if key != "pbc"},
        "encode": json.loads(encoded),
        "as pymatgen keeps it": {"@class": "MSONAtoms", "atoms_json": encoded},
        "in a document": {"atoms": plain},
        "atomic numbers as a text": plain | {"numbers": "31 33"},
        "one position": plain | {"positions": [[0.0, 0.0, 0.0]]},
        "a slab": plain | {"pbc": [True, True, False]},
        "no cell": plain | {"cell": [[0.0] * 3] * 3},
    }


@pytest.mark.parametrize("name", ase_forms())
def test_dictionaries_of_ase_are_read_or_refused(refused, name):
    """Of `Atoms.todict`, `ase.io.jsonio.encode`, and pymatgen's `MSONAtoms`."""
    value = ase_forms()[name]
    if list(ase_forms()).index(name) > 4:
        assert refused(crystal_from_any, value)[0]
        return
    expected = crystal_from_any(bulk("GaAs", "zincblende", a=5.653))
    found = crystal_from_any(json.loads(json.dumps(value)))
    assert found.atomic_numbers.tolist() == [31, 33]
    assert np.allclose(found.frac_coords, expected.frac_coords, atol=1e-12)
    assert np.allclose(found.lattice, expected.lattice)


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
        ({"coords": [[0.0, 0.5], [0.0, 0.5], [0.0, 0.5]]}, "unreadable_structure"),
        (
            {"lattice_mat": [[[3.0, 0, 0], [0, 3.0, 0], [0, 0, 3.0]]]},
            "unreadable_structure",
        ),
        ({"lattice_mat": [[3.0, 0, 0], [0, 3.0, 0]]}, "unreadable_structure"),
        ({"lattice_mat": None}, "unreadable_structure"),
        ({"coords": [[10**400, 0, 0], [0, 0, 0]]}, "unreadable_structure"),
        ({"cartesian": "no"}, "unreadable_structure"),
        ({"cartesian": 2}, "unreadable_structure"),
        ({"lattice_mat": np.zeros((3, 3)), "cartesian": True}, "degenerate_cell"),
    ],
)
def test_faulty_jarvis_atoms_are_refused(changes, reason, refused):
    assert refused(crystal_from_any, JARVIS | changes)[0] == reason


def test_ase_atoms_keep_their_coordinates():
    atoms = bulk("GaAs", "zincblende", a=5.653)
    atoms.positions += 20.0  # outside of the cell, and it stays there
    crystal = crystal_from_any(atoms)
    assert crystal.atomic_numbers.tolist() == [31, 33]
    assert np.allclose(crystal.frac_coords @ crystal.lattice, atoms.positions)
    assert np.allclose(crystal.lattice, atoms.cell.array)


def test_ase_atoms_that_are_no_ordered_crystal_are_refused(refused):
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


def test_dictionary_of_something_else_is_refused(refused):
    assert "energy" in refused(crystal_from_any, {"energy": 1})[1]
    broken = SALT.as_dict() | {"lattice": {"a": 3}}
    assert refused(crystal_from_any, broken)[0] == "unreadable_structure"


def test_json_of_structures_is_read(refused):
    expected = crystal_from_structure(SALT)
    assert same(crystal_from_json(f" {json.dumps(SALT.as_dict())}"), expected)
    assert same(crystal_from_json(json.dumps({"atoms": JARVIS})), crystal_from_any(JARVIS))
    assert refused(crystal_from_json, '{"a": 1')[0] == "unreadable_structure"
    assert refused(crystal_from_json, "{" * 100_000)[0] == "unreadable_structure"


def test_text_is_taken_for_json_or_cif():
    assert is_json(f"\n {json.dumps(SALT.as_dict())}")
    assert not is_json(SALT_CIF)


def test_disordered_json_is_refused_as_such(refused):
    mixed = Structure(np.eye(3) * 4.1, [{"Na": 0.5, "K": 0.5}], [[0.0] * 3])
    text = json.dumps(mixed.as_dict())
    assert refused(crystal_from_json, text)[0] == "disordered_site"


def test_slabs_of_pymatgen_are_no_crystals():
    """Case J08: `Lattice.pbc`, since 2022, is refused in the words used for ASE."""
    lattice = Lattice(np.diag([2.46, 2.46, 20.0]), pbc=(True, True, False))
    slab = Structure(lattice, ["C", "N"], [[0, 0, 0.5], [1 / 3, 2 / 3, 0.5]])
    words = (
        "pbc is \\[True, True, False\\], expected a cell that is periodic along all axes"
    )
    old = slab.as_dict()
    for site in old["sites"]:
        site["abc"] = None  # a form that is left to pymatgen
    for form in (slab, slab.as_dict(), old):
        with pytest.raises(RecordError, match=words):
            crystal_from_any(form)
    with pytest.raises(RecordError, match=words):
        crystal_from_json(slab.to_json())
    whole = SALT.as_dict()
    whole["lattice"]["pbc"] = None
    assert same(crystal_from_any(whole), crystal_from_any(SALT))
