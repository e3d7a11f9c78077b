import numpy as np
import pytest

from crystalgnn_core.records.gate.distribution import Distribution
from crystalgnn_core.records.gate.unit_errors import (
    SLIPS,
    distance,
    find_slip_of_pairs,
    find_slip_of_values,
)

RNG = np.random.default_rng(0)
N = 400
SITES = RNG.integers(2, 20, N).astype(float)
LABELS = {
    "formation_energy_per_atom": RNG.normal(-1.2, 0.8, N),
    "band_gap": RNG.gamma(2.0, 1.0, N),
    "fermi_energy": RNG.normal(4.0, 3.0, N),
    "bulk_modulus": RNG.gamma(3.0, 30.0, N) + 5.0,
    "shear_modulus": RNG.gamma(3.0, 15.0, N) + 3.0,
    "poisson_ratio": RNG.uniform(0.1, 0.45, N),
    "energy_above_hull": RNG.gamma(1.0, 0.05, N) + 1e-4,
    "is_metal": (RNG.random(N) < 0.7).astype(float),
}
CASES = [(slip, target) for slip in SLIPS for target in slip.targets]
NAMES = [f"{slip.name}-{target}" for slip, target in CASES]


@pytest.mark.parametrize(("slip", "target"), CASES, ids=NAMES)
def test_every_slip_is_found_row_by_row(slip, target):
    right = LABELS[target]
    wrong = slip.apply(right, SITES)
    found = find_slip_of_pairs(target, right, wrong, SITES)
    assert found is not None
    assert found.slip.name == slip.name
    assert found.n_explained == N
    assert np.allclose(slip.undo(wrong, SITES), right)


# metals are as frequent as others, or nearly so, once they are exchanged
TELLING = [(slip, target) for slip, target in CASES if target != "is_metal"]


@pytest.mark.parametrize(("slip", "target"), TELLING)
def test_every_slip_is_found_without_the_rows(slip, target):
    known = Distribution.of(LABELS[target])
    others = np.random.default_rng(1).permutation(LABELS[target])[: N // 2]
    sites = SITES[: N // 2]
    wrong = slip.apply(others, sites)
    assert known is not None
    found = find_slip_of_values(target, wrong, sites, known)
    assert found is not None
    assert found.name == slip.name


def test_labels_that_moved_at_random_are_no_slip():
    old = LABELS["band_gap"]
    new = old + np.random.default_rng(2).normal(0.0, 0.5, N)
    found = find_slip_of_pairs("band_gap", old, new, SITES)
    assert found is None or found.n_explained < 5
    known = Distribution.of(old)
    assert known is not None
    assert find_slip_of_values("band_gap", np.abs(new), SITES, known) is None


def test_zeros_explain_nothing():
    zeros = np.zeros(10)
    assert find_slip_of_pairs("band_gap", zeros, zeros, np.full(10, 4.0)) is None


def test_the_distance_of_distributions():
    known = Distribution.of(LABELS["band_gap"])
    assert known is not None
    assert distance(LABELS["band_gap"], known) < 0.01
    assert distance(LABELS["band_gap"] + 100.0, known) > 0.99
    half = np.concatenate([LABELS["band_gap"], LABELS["band_gap"] + 100.0])
    assert distance(half, known) == pytest.approx(0.5, abs=0.02)
