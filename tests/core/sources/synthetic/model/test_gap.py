import numpy as np
import pytest

from crystalgnn_core.records.crystal import Crystal
from crystalgnn_core.sources.synthetic.model.gap import ionic_band_gap


def rocksalt(cation, anion, distance):
    lattice = distance * (np.ones((3, 3)) - np.eye(3))
    numbers = np.array([cation, anion], np.int16)
    return Crystal(numbers, lattice, np.array([[0.0] * 3, [0.5] * 3]))


def test_gap_of_one_bond_follows_the_documented_formula():
    # six neighbours at 2 angstrom; farther pairs shift the mean length by some per cent
    homopolar, ionic = 39.74 * 2.0**-2.48, 3.0 * (3.98 - 0.98)
    expected = np.hypot(homopolar, ionic) - 3.0
    assert ionic_band_gap(rocksalt(3, 9, 2.0)) == pytest.approx(expected, rel=0.03)


def test_gap_shrinks_from_fluoride_to_iodide_and_for_open_shells():
    gaps = [ionic_band_gap(rocksalt(11, z, 2.8)) for z in (9, 17, 35, 53)]
    assert gaps == sorted(gaps, reverse=True)
    assert ionic_band_gap(rocksalt(25, 8, 2.1)) < ionic_band_gap(rocksalt(12, 8, 2.1))


def test_gap_is_never_negative():
    assert ionic_band_gap(rocksalt(82, 52, 3.3)) == 0.0
