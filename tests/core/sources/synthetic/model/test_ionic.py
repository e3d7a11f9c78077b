import numpy as np
import pytest

from crystalgnn_core.sources.synthetic.model.decorations import PROTOTYPES
from crystalgnn_core.sources.synthetic.model.labels import compute_labels
from crystalgnn_core.sources.synthetic.model.pairs import find_pairs
from crystalgnn_core.sources.synthetic.model.relaxation import (
    relax_isotropically,
    scale_cell,
)
from crystalgnn_core.sources.synthetic.model.specimens import dress

MIDDLE = np.full(3, 0.5)


def relaxed(name, *numbers):
    prototype = PROTOTYPES[name]
    elements = dict(zip(prototype.roles(), numbers, strict=True))
    return relax_isotropically(dress(prototype, elements, MIDDLE))


def energy(crystal):
    return compute_labels(crystal).formation_energy_per_atom


# enthalpies of formation at 298 K divided by atoms, CRC Handbook, 97th edition, section 5;
# the model is synthetic, so only its order of magnitude is asked for
@pytest.mark.parametrize(
    ("name", "numbers", "enthalpy"),
    [
        ("rocksalt", (11, 17), -2.13),  # NaCl
        ("rocksalt", (3, 9), -3.19),  # LiF
        ("rocksalt", (12, 8), -3.12),  # MgO
        ("zincblende", (30, 16), -1.07),  # ZnS
        ("rutile", (22, 8), -3.26),  # TiO2
        ("corundum", (13, 8), -3.47),  # Al2O3
    ],
)
def test_formation_energies_have_the_measured_order_of_magnitude(name, numbers, enthalpy):
    assert energy(relaxed(name, *numbers)) == pytest.approx(enthalpy, abs=0.8)


def test_light_anions_bind_more_strongly():
    halides = [energy(relaxed("rocksalt", 11, anion)) for anion in (9, 17, 35, 53)]
    chalcogenides = [energy(relaxed("rocksalt", 12, anion)) for anion in (8, 16, 34, 52)]
    assert halides == sorted(halides)
    assert chalcogenides == sorted(chalcogenides)


def test_rocksalt_bonds_are_as_long_as_the_sum_of_radii():
    # NaCl 2.82 angstrom, Shannon's radii 1.02 + 1.81
    nearest = find_pairs(relaxed("rocksalt", 11, 17), 8.0).distance.min()
    assert nearest == pytest.approx(2.83, rel=0.02)


@pytest.mark.parametrize(
    ("name", "numbers"),
    [("spinel", (12, 13, 8)), ("l1_2", (29, 79)), ("wurtzite", (30, 8))],
)
@pytest.mark.parametrize("scale", [0.98, 1.02])
def test_relaxed_cells_are_at_a_minimum_over_volume(name, numbers, scale):
    crystal = relaxed(name, *numbers)
    assert energy(scale_cell(crystal, scale)) > energy(crystal) + 1e-3


def test_polymorphs_differ_in_energy_and_gap():
    labels = [
        compute_labels(relaxed(name, 30, 16))
        for name in ("rocksalt", "caesium_chloride", "zincblende", "wurtzite")
    ]
    for values in zip(*labels, strict=True):
        assert np.diff(np.sort(values)).min() > 1e-4
