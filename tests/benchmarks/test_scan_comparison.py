import numpy as np
import pytest
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from tests.benchmarks.scan_comparison import KINDS, relate, relate_all, sort_kind
from tests.benchmarks.scan_parsers import Atoms

SALT = Structure.from_spacegroup(
    "Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0.0] * 3, [0.5] * 3]
)


def atoms(structure):
    numbers = [site.specie.Z for site in structure]
    return Atoms(np.array(numbers), structure.lattice.matrix, structure.frac_coords)


def test_order_translations_and_orientation_make_no_difference():
    one = atoms(SALT)
    order = np.random.default_rng(0).permutation(len(one.numbers))
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    other = Atoms(one.numbers[order], one.lattice @ turn, one.coords[order] + [1, -2, 0])
    assert relate(one, other) == "same"


def test_other_cells_of_one_crystal_are_equivalent():
    assert relate(atoms(SALT), atoms(SALT.get_primitive_structure())) == "equivalent"


@pytest.mark.parametrize("difference", ["composition", "volume", "places"])
def test_what_differs_is_named(difference):
    other = SALT.copy()
    if difference == "composition":
        other.replace(0, "K")
    elif difference == "volume":
        other.remove_sites([0, 4])
    else:
        other.translate_sites([0], [0.02, 0, 0])
    assert relate(atoms(SALT), atoms(other)) == difference


GOOD, BAD = atoms(SALT), atoms(SALT.copy().scale_lattice(200.0))


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        ((GOOD, GOOD, GOOD, "no"), "all agree"),
        (("no", GOOD, GOOD, BAD), "we refuse, others agree"),
        (("no", GOOD, "no", BAD), "we refuse, others differ"),
        ((GOOD, GOOD, BAD, BAD), "we differ from two that agree"),
        ((GOOD, GOOD, BAD, "no"), "others differ"),
        ((GOOD, "no", BAD, "no"), "none agree"),
        ((GOOD, "no", "no", "no"), "only ours"),
        (("no", "no", BAD, "no"), "only one of the others"),
        (("no", "no", "no", "no"), "none reads it"),
    ],
)
def test_blocks_are_sorted_by_who_agrees_with_whom(found, kind):
    named = dict(zip(("ours", "pymatgen", "ase", "gemmi"), found, strict=True))
    assert sort_kind(named, relate_all(named)) == kind
    assert kind in KINDS
