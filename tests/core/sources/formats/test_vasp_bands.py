from __future__ import annotations

import numpy as np
import pytest

from crystalgnn_core.errors import RecordError
from crystalgnn_core.sources.formats.vasp_bands import band_gap

# energies at three k-points of two bands that are filled and one that is not
ENERGIES = np.array([[-5.0, -1.0, 2.0], [-4.5, -0.5, 2.5], [-4.8, -0.2, 1.5]])
FILLED = np.array([1.0, 1.0, 0.0])


def channel(shares, energies=ENERGIES):
    shares = np.broadcast_to(np.asarray(shares, dtype=float), np.shape(energies))
    return np.stack([energies, shares], axis=-1)


def test_the_gap_is_from_the_highest_filled_to_the_lowest_empty_band():
    assert band_gap([channel(FILLED)]) == pytest.approx(1.7)
    # two electrons in a band, as some versions write it
    assert band_gap([channel(2 * FILLED)]) == pytest.approx(1.7)


def test_spins_may_fill_different_numbers_of_bands():
    down = channel([1.0, 0.0, 0.0], ENERGIES + 0.1)
    # lowest empty: -0.9 of spin down, highest filled: -0.2 of spin up
    with pytest.raises(RecordError, match=r"0\.700 eV above an empty one"):
        band_gap([channel(FILLED), down])
    shifted = channel([1.0, 0.0, 0.0], ENERGIES + np.array([0.0, 2.0, 2.0]))
    assert band_gap([channel(FILLED), shifted]) == pytest.approx(1.0 + 0.2)
    empty = channel([0.0, 0.0, 0.0], ENERGIES + 6.0)  # spin down of a hydrogen atom
    assert band_gap([channel(FILLED), empty]) == pytest.approx(1.0 + 0.2)


def test_a_half_metal_has_no_gap():
    crossing = channel([[1, 1, 0], [1, 0, 0], [1, 1, 0]])
    assert band_gap([channel(FILLED), crossing]) == 0.0


@pytest.mark.parametrize(
    ("shares", "ismear", "gap"),
    [
        ([1.0, 0.9, 0.1], 0, 1.7),  # smearing takes from one band what it gives the other
        ([1.0, 1.002, -0.002], 1, 1.7),  # Methfessel and Paxton go beyond 0 and 1
        ([1.0, 0.9, 0.1], -5, 0.0),  # tetrahedra fill in parts what E_F crosses
        ([1.0, 0.5, 0.0], 0, 0.0),  # half a band: one electron for two spins
        ([1.0, 0.6, 0.4], -1, 0.0),  # within one width of the Fermi level
        ([1.0, 0.8, 0.0], 0, 0.0),  # a number of electrons that is not whole
    ],
)
def test_partly_filled_bands_are_a_metal_beyond_what_smearing_does(shares, ismear, gap):
    assert band_gap([channel(shares)], ismear=ismear) == pytest.approx(gap)


def test_points_without_weight_lie_on_the_same_bands():
    """Lists for hybrids: E_F is known of the mesh, so it may empty a band on the path."""
    shares = [[1, 1, 0], [1, 1, 0], [1, 0, 0]]
    assert band_gap([channel(shares)], [0.5, 0.5, 0.0]) == pytest.approx(1.7)
    assert band_gap([channel(shares)], [0.4, 0.4, 0.2]) == 0.0
    # weights that fit no k-points say nothing
    assert band_gap([channel(FILLED)], [1.0]) == pytest.approx(1.7)
    crossed = ENERGIES + np.array([[0, 0, 0], [0, 0, 0], [0, 2.5, 2.5]])
    assert band_gap([channel(FILLED, crossed)], [0.5, 0.5, 0.0]) == 0.0


def test_bands_that_touch_have_no_gap():
    touching = ENERGIES.copy()
    touching[2, 2] = touching[2, 1]
    assert band_gap([channel(FILLED, touching)]) == 0.0


@pytest.mark.parametrize(
    ("channels", "cause"),
    [
        ([], "states no eigenvalues"),
        ([channel([1.0, 1.0, 1.0])], "all 3 bands are filled; raise NBANDS"),
        ([channel([0.0, 0.0, 0.0])], "no band is filled"),
        ([channel([1.0, 0.0, 1.0])], "excited state"),
        ([channel(FILLED), channel([1.0, 1.0, 1.0])], "all 3 bands are filled"),
    ],
)
def test_bands_that_show_no_gap_are_refused_and_not_called_a_metal(channels, cause):
    with pytest.raises(RecordError, match=cause) as caught:
        band_gap(channels)
    assert caught.value.reason == "missing_label"
