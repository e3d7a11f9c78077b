"""CHGNet's own weights; skipped where the package is missing."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from crystalgnn_core.contracts.network_fixtures import rocksalt
from crystalgnn_core.models.potential.chgnet import CHGNet
from crystalgnn_core.parallel import without_warnings

pytest.importorskip("chgnet", reason="pip install 'crystalgnn[potential]'")


@pytest.fixture(scope="module")
def potential():
    return CHGNet()


def structure_of(crystal):
    return Structure(Lattice(crystal.lattice), crystal.atomic_numbers, crystal.frac_coords)


def test_energies_are_those_of_the_package_and_the_descriptions_agree(potential, capsys):
    salt = structure_of(rocksalt(5.6))
    small = salt.get_primitive_structure()
    large = salt * (2, 1, 1)
    found = potential.features([salt, small, large])
    assert not capsys.readouterr().out
    sizes = np.array([len(salt), len(small), len(large)])
    assert found.shape == (sizes.sum(), potential.width)
    means = [part.mean(axis=0) for part in np.split(found, sizes.cumsum()[:-1])]
    assert_allclose(means[1:], [means[0]] * 2, 1e-3, 2e-4)
    with without_warnings():
        energy = potential._network.predict_structure(salt, task="e")["e"]
    assert means[0][-2] == pytest.approx(float(energy), abs=1e-4)


def test_an_atom_without_a_neighbour_is_described(potential):
    lone = Structure(Lattice.cubic(20), ["Na"], [[0, 0, 0]])
    assert np.isfinite(potential.features([lone])).all()


def test_other_structures_change_nothing(potential):
    salts = [structure_of(rocksalt(edge)) for edge in np.linspace(5, 6, 20)]
    together = potential.features(salts)
    assert_allclose(potential.features(salts[-1:]), together[-8:], 1e-4, 1e-5)
