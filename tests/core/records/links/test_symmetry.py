import numpy as np
import pytest

from crystalgnn_core.records.crystal import Crystal
from crystalgnn_core.records.links.symmetry import (
    Fingerprint,
    primitive_cell,
    take_fingerprints,
)
from tests.core.records.disguises import disguise, textbook

# International Tables A; atoms of the primitive cell
KNOWN = {"SrTiO3": (221, 5), "MgO": (225, 2), "Si": (227, 2), "TiO2-rutile": (136, 6)}


@pytest.mark.parametrize("name", KNOWN)
def test_space_group_and_primitive_cell_do_not_depend_on_the_description(name):
    crystal = textbook(name)
    described = [crystal, disguise(crystal, 1), disguise(crystal, 2, scale=1.04)]
    expected = Fingerprint(*KNOWN[name])
    assert take_fingerprints(described, [0.01, 0.1]) == [(expected, expected)] * 3
    for one in described:
        assert len(primitive_cell(one, 0.01).atomic_numbers) == KNOWN[name][1]


def test_noise_hides_symmetry_from_the_small_tolerance_alone():
    noisy = disguise(textbook("SrTiO3"), 3, noise=0.003)
    [(strict, loose)] = take_fingerprints([noisy], [0.001, 0.1])
    assert strict.space_group_number < 3
    assert loose == Fingerprint(221, 5)


def test_mirror_images_share_a_key():
    assert Fingerprint(152, 9).key == Fingerprint(154, 9).key
    assert Fingerprint(152, 9).key != Fingerprint(152, 18).key
    assert Fingerprint(152, 9).key != Fingerprint(155, 9).key


def test_a_structure_whose_symmetry_cannot_be_found_has_none(capfd):
    # two atoms at one place: spglib gives up
    broken = Crystal(np.array([3, 3], np.int16), np.eye(3) * 3, np.zeros((2, 3)))
    assert take_fingerprints([broken], [0.1]) == [(Fingerprint(1, 2),)]
    assert primitive_cell(broken, 0.1) is broken
    assert capfd.readouterr() == ("", "")
