import numpy as np
import pytest

from crystalgnn_core.records.gate.distribution import Distribution
from crystalgnn_core.records.gate.unit_errors import (
    UNIT_ERRORS,
    distance,
    find_unit_error_of_pairs,
    find_unit_error_of_values,
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
CASES = [
    (unit_error, target) for unit_error in UNIT_ERRORS for target in unit_error.targets
]
NAMES = [f"{error.name}-{target}" for error, target in CASES]


@pytest.mark.parametrize(("unit_error", "target"), CASES, ids=NAMES)
def test_every_unit_error_is_found_row_by_row(unit_error, target):
    right = LABELS[target]
    wrong = unit_error.apply(right, SITES)
    found = find_unit_error_of_pairs(target, right, wrong, SITES)
    assert found is not None
    assert found.unit_error.name == unit_error.name
    assert found.n_explained == N
    assert np.allclose(unit_error.undo(wrong, SITES), right)


# metals are as frequent as others, or nearly so, once they are exchanged
TELLING = [(unit_error, target) for unit_error, target in CASES if target != "is_metal"]


@pytest.mark.parametrize(("unit_error", "target"), TELLING)
def test_every_unit_error_is_found_without_the_rows(unit_error, target):
    known = Distribution.of(LABELS[target])
    others = np.random.default_rng(1).permutation(LABELS[target])[: N // 2]
    sites = SITES[: N // 2]
    wrong = unit_error.apply(others, sites)
    assert known is not None
    found = find_unit_error_of_values(target, wrong, sites, known)
    assert found is not None
    assert found.name == unit_error.name


def test_labels_that_moved_at_random_are_no_unit_error():
    old = LABELS["band_gap"]
    new = old + np.random.default_rng(2).normal(0.0, 0.5, N)
    found = find_unit_error_of_pairs("band_gap", old, new, SITES)
    assert found is None or found.n_explained < 5
    known = Distribution.of(old)
    assert known is not None
    assert find_unit_error_of_values("band_gap", np.abs(new), SITES, known) is None


def test_zeros_explain_nothing():
    zeros = np.zeros(10)
    assert find_unit_error_of_pairs("band_gap", zeros, zeros, np.full(10, 4.0)) is None


def test_the_distance_of_distributions():
    known = Distribution.of(LABELS["band_gap"])
    assert known is not None
    assert distance(LABELS["band_gap"], known) < 0.01
    assert distance(LABELS["band_gap"] + 100.0, known) > 0.99
    half = np.concatenate([LABELS["band_gap"], LABELS["band_gap"] + 100.0])
    assert distance(half, known) == pytest.approx(0.5, abs=0.02)
