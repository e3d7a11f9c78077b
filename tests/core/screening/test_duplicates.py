from collections import Counter

import numpy as np
import pandas as pd
import pytest
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from crystalgnn_core.records.crystal import (
    crystal_from_structure,
    structure_digest,
    structure_from_crystal,
)
from crystalgnn_core.screening import duplicates as module
from crystalgnn_core.screening.duplicates import (
    ANGLE_TOLERANCE,
    LENGTH_TOLERANCE,
    SITE_TOLERANCE,
    find_duplicates,
)
from crystalgnn_core.sources.formats.structures import read_structure_text
from tests.paths import DATA

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


def find(structures, **predicted):
    """Find the duplicates; predictions that are not given are all equal."""
    crystals = [crystal_from_structure(structure) for structure in structures]
    digests = [structure_digest(crystal) for crystal in crystals]
    by_digest = dict(zip(digests, crystals, strict=True))
    formulas = [structure.composition.reduced_formula for structure in structures]
    values = dict.fromkeys(TARGETS, 1.0) | predicted
    frame = pd.DataFrame({"formula": formulas, "structure_digest": digests, **values})
    return find_duplicates(
        frame, list(values), lambda wanted: {key: by_digest[key] for key in wanted}
    )


def found_pair_by_pair(structures):
    """Find the duplicates by comparing every two, whatever their volumes and distances."""
    matcher = StructureMatcher(
        LENGTH_TOLERANCE, SITE_TOLERANCE, ANGLE_TOLERANCE, scale=False
    )
    kept: list[Structure] = []
    duplicates = []
    for label, structure in enumerate(structures):
        tolerance = SITE_TOLERANCE * np.cbrt(structure.volume / len(structure))
        niggli = structure.get_reduced_structure("niggli")
        cell = niggli.get_primitive_structure(tolerance=tolerance)
        if any(matcher.fit(cell, other, skip_structure_reduction=True) for other in kept):
            duplicates.append(label)
        else:
            kept.append(cell)
    return duplicates


def changed(structure, rng):
    """Describe a crystal otherwise, or strain or displace it by little or more."""
    strain = rng.choice([0.0, 0.0003, 0.001, 0.003]) * rng.uniform(-1, 1, (3, 3))
    lattice = Lattice(structure.lattice.matrix @ (np.eye(3) + strain))
    moved = Structure(lattice, structure.species, structure.frac_coords)
    moved *= rng.permutation([1, 1, rng.integers(1, 3)]).tolist()
    for index, direction in enumerate(rng.normal(size=(len(moved), 3))):
        step = direction / np.linalg.norm(direction) * rng.choice([0.0, 0.01, 0.03])
        moved.translate_sites([index], step, frac_coords=False)
    return Structure.from_sites([moved[i] for i in rng.permutation(len(moved))])


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
    factor, is_compared
):
    values = {"bulk_modulus": [300.0, 300.0 * factor]}
    assert find([ROCK_SALT, permuted()], **values) == ([1] if is_compared else [])


@pytest.mark.parametrize("column", TARGETS)
def test_structures_are_the_same_only_when_both_predictions_agree(column):
    assert find([ROCK_SALT, permuted()], **{column: [-2.0, -1.99]}) == []


def test_rounding_of_the_predictions_hides_no_duplicate():
    structures = [ROCK_SALT, permuted(), other_lattice()]
    values = {TARGETS[0]: [-2.0, -2.00002, -2.00004], TARGETS[1]: [5.0, 5.00005, 4.99995]}
    assert find(structures, **values) == [1, 2]


def test_without_candidates_there_are_no_duplicates():
    empty = pd.DataFrame(columns=["formula", "structure_digest", *TARGETS])
    assert find_duplicates(empty, TARGETS, lambda _: {}) == []


def test_the_groups_are_those_of_comparing_every_two():
    rng = np.random.default_rng(0)
    ends = [[0.0, 0, 0], [1 / 4] * 3], [[1 / 3, 2 / 3, 0], [1 / 3, 2 / 3, 3 / 8]]
    hexagonal = Lattice.hexagonal(3.82, 6.26)
    polymorphs = [
        Structure.from_spacegroup("F-43m", Lattice.cubic(5.41), ["Zn", "S"], ends[0]),
        Structure.from_spacegroup("P6_3mc", hexagonal, ["Zn", "S"], ends[1]),
        Structure.from_spacegroup(
            "Fm-3m", Lattice.cubic(5.06), ["Zn", "S"], [[0.0] * 3, [0.5] * 3]
        ),
    ]
    structures = [changed(one, rng) for _ in range(8) for one in polymorphs]
    structures = [one.get_primitive_structure() for one in polymorphs] + structures
    found = find(structures)
    assert sorted(found) == found_pair_by_pair(structures)
    assert 3 < len(found) < len(structures) - 5


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason="needs the shared data")
def test_the_groups_of_real_polymorphs_are_those_of_comparing_every_two():
    rng = np.random.default_rng(0)
    table = pd.read_parquet(DATA / "mp20.parquet")
    n_found = 0
    for formula in ("SiO2", "C", "ZnS", "LaGaO3", "WO3", "SrSi2"):
        texts = table.loc[table["formula"] == formula, "cif"]
        crystals = [read_structure_text(text, formula)[0].crystal for text in texts]
        structures = [structure_from_crystal(one) for one in crystals if one is not None]
        structures += [changed(one, rng) for _ in range(3) for one in structures]
        found = find(structures)
        assert sorted(found) == found_pair_by_pair(structures), formula
        n_found += len(found)
    assert n_found > 10


def test_a_distorted_supercell_is_another_crystal():
    # pymatgen's own tolerance of 0.25 angstrom makes the mean of such cells primitive
    distorted = CESIUM_CHLORIDE * [2, 1, 1]
    distorted.translate_sites([2], [0.05, 0, 0], frac_coords=False)
    distorted.translate_sites([3], [-0.05, 0, 0], frac_coords=False)
    assert find([CESIUM_CHLORIDE, distorted]) == []


def test_polymorphs_are_converted_once_and_few_are_compared(monkeypatch):
    rng = np.random.default_rng(0)
    sites = ["Na"] * 2 + ["Cl"] * 2
    structures = []
    for _ in range(60):
        lattice = Lattice.from_parameters(
            *rng.uniform(4.5, 6.5, 3), *rng.uniform(80, 100, 3)
        )
        structures.append(Structure(lattice, sites, rng.random((4, 3))))
    counts: Counter[str] = Counter()

    def counted(function, name):
        def call(*args, **kwargs):
            counts[name] += 1
            return function(*args, **kwargs)

        return call

    for place, name in ((module, "structure_from_crystal"), (StructureMatcher, "fit")):
        monkeypatch.setattr(place, name, counted(getattr(place, name), name))
    assert find(structures) == []
    assert counts["structure_from_crystal"] <= len(structures)
    assert counts["fit"] < 0.01 * len(structures) ** 2 / 2


def test_a_crystal_of_noble_gases_is_compared_without_warnings():
    argon = Structure(Lattice.cubic(5.3), ["Ar", "Ne"], [[0.0, 0, 0], [0.5, 0.5, 0.5]])
    assert find([argon, argon * [1, 1, 2]]) == [1]
