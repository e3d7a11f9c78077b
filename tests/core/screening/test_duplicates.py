import numpy as np
import pandas as pd
import pytest
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from crystalgnn_core.records.crystal import crystal_from_structure, structure_digest
from crystalgnn_core.screening import duplicates as module
from crystalgnn_core.screening.duplicates import find_duplicates

TARGETS = ("formation_energy_per_atom", "band_gap")
ROCK_SALT = Structure.from_spacegroup(
    "Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]
)
CESIUM_CHLORIDE = Structure.from_spacegroup(
    "Pm-3m", Lattice.cubic(3.5), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]
)


def permuted():
    order = np.random.default_rng(0).permutation(len(ROCK_SALT))
    return Structure.from_sites([ROCK_SALT[int(index)] for index in order])


def shifted_and_turned():
    structure = ROCK_SALT.copy()
    structure.translate_sites(range(len(structure)), [0.13, 0.29, 0.41])
    turned = structure.lattice.matrix @ np.array([[0, 1, 0], [0, 0, 1], [1, 0, 0]])
    return Structure(Lattice(turned), structure.species, structure.frac_coords)


def other_lattice():
    primitive = ROCK_SALT.get_primitive_structure()
    skewed = np.array([[1, 1, 0], [0, 1, 0], [0, 2, 1]]) @ primitive.lattice.matrix
    return Structure(
        Lattice(skewed), primitive.species, primitive.cart_coords, coords_are_cartesian=True
    )


def find(structures, energies=None, gaps=None):
    crystals = [crystal_from_structure(structure) for structure in structures]
    digests = [structure_digest(crystal) for crystal in crystals]
    by_digest = dict(zip(digests, crystals, strict=True))
    predicted = pd.DataFrame(
        {
            "formula": [structure.composition.reduced_formula for structure in structures],
            "structure_digest": digests,
            TARGETS[0]: energies or [-2.0] * len(structures),
            TARGETS[1]: gaps or [5.0] * len(structures),
        }
    )
    return find_duplicates(
        predicted, TARGETS, lambda wanted: {key: by_digest[key] for key in wanted}
    )


@pytest.mark.parametrize(
    "twin",
    [
        ROCK_SALT,
        ROCK_SALT * [2, 1, 1],
        ROCK_SALT.get_primitive_structure(),
        other_lattice(),
        permuted(),
        shifted_and_turned(),
    ],
    ids=["itself", "supercell", "primitive", "other lattice", "permuted", "shifted"],
)
def test_the_same_crystal_is_found_in_any_description(twin):
    assert find([ROCK_SALT, twin]) == [1]


@pytest.mark.parametrize("strain", [0.99, 1.005, 1.03])
def test_a_strained_crystal_is_another_one_even_if_the_model_sees_no_difference(strain):
    strained = ROCK_SALT.copy()
    strained.scale_lattice(ROCK_SALT.volume * strain**3)
    assert find([ROCK_SALT, strained]) == []


def test_a_polymorph_is_another_crystal():
    assert find([ROCK_SALT, CESIUM_CHLORIDE]) == []


def test_another_compound_of_the_same_structure_is_another_crystal():
    potassium = ROCK_SALT.copy()
    potassium.replace_species({"Na": "K"})
    assert find([ROCK_SALT, potassium]) == []


def test_the_first_of_several_is_kept_and_each_other_is_a_duplicate():
    found = find([CESIUM_CHLORIDE, ROCK_SALT, permuted(), CESIUM_CHLORIDE, other_lattice()])
    assert sorted(found) == [2, 3, 4]


@pytest.mark.parametrize(("factor", "is_compared"), [(1 + 1e-5, True), (1.01, False)])
def test_a_target_of_a_logarithmic_scale_agrees_within_a_relative_rounding(
    monkeypatch, factor, is_compared
):
    def agree(*args):
        return True

    def load_nothing(wanted):
        return {}

    monkeypatch.setattr(module, "_is_same", agree)
    predicted = pd.DataFrame(
        {
            "formula": "NaCl",
            "structure_digest": ["x", "y"],
            "bulk_modulus": [300.0, 300.0 * factor],
        }
    )
    found = find_duplicates(predicted, ("bulk_modulus",), load_nothing)
    assert found == ([1] if is_compared else [])


@pytest.mark.parametrize("column", [0, 1])
def test_structures_are_compared_only_when_both_predictions_agree(monkeypatch, column):
    values = [[-2.0, -2.0], [5.0, 5.0]]
    values[column][1] += 0.01

    def fail(*args):
        raise AssertionError("compared")

    monkeypatch.setattr(module, "_is_same", fail)
    assert find([ROCK_SALT, permuted()], *values) == []


def test_rounding_of_the_predictions_hides_no_duplicate():
    structures = [ROCK_SALT, permuted(), other_lattice()]
    assert find(structures, [-2.0, -2.00002, -2.00004], [5.0, 5.00005, 4.99995]) == [1, 2]


def test_without_candidates_there_are_no_duplicates():
    empty = pd.DataFrame(columns=["formula", "structure_digest", *TARGETS])
    assert find_duplicates(empty, TARGETS, lambda _: {}) == []
