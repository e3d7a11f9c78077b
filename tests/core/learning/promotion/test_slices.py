import numpy as np

from crystalgnn_core.learning.promotion.evidence import PairedLosses
from crystalgnn_core.learning.promotion.slices import MIN_ROWS, find_worse_slices

ENERGY, GAP = "formation_energy_per_atom", "band_gap"
NA, CL, FE, O = 11, 17, 26, 8  # noqa: E741  the symbol
N = 400
RULE = {"level": 0.05, "noise": 0.0, "max_loss": 0.05}
COMPOSITIONS = [[NA, CL] if i % 2 else [FE, FE, O, O, O, O] for i in range(N)]


def losses(worse=None, *, times=2.0, seed=0):
    """Losses of two equal models, but for the marked rows of the gap."""
    random = np.random.default_rng(seed)
    old, new = (np.abs(random.normal(size=(N, 2))) for _ in range(2))
    if worse is not None:
        new[worse, 1] *= times
    return PairedLosses((ENERGY, GAP), old, new, np.arange(N))


def test_the_slice_that_got_worse_is_named_with_its_target():
    with_iron = np.array([FE in numbers for numbers in COMPOSITIONS])
    found, n_slices = find_worse_slices(losses(with_iron), COMPOSITIONS, None, **RULE)
    assert {(one.name, one.target) for one in found} == {
        ("with Fe", GAP),
        ("with O", GAP),
        ("5 to 10 sites", GAP),
    }
    assert n_slices == 6  # four elements, two sizes
    assert all(one.evidence.n == N / 2 for one in found)
    assert all(-1.4 < one.evidence.improvement < -0.7 for one in found)  # twice the error


def test_gaps_are_slices_of_zero_and_not_zero_and_missing_ones_of_neither():
    gaps = np.where(np.arange(N) % 4 < 2, 0.0, 1.5)
    gaps[-100:] = np.nan
    both = losses(gaps == 0)
    found, n_slices = find_worse_slices(both, COMPOSITIONS, gaps, **RULE)
    assert ("without gap", GAP) in {(one.name, one.target) for one in found}
    assert "with gap" not in {one.name for one in found}
    assert n_slices == 8


def test_equal_models_are_seldom_called_worse_though_there_are_many_looks():
    named = [
        bool(find_worse_slices(losses(seed=s), COMPOSITIONS, None, **RULE)[0])
        for s in range(25)
    ]
    assert sum(named) <= 5  # binomial with 5 %: 99.6 %


def test_a_loss_that_does_not_matter_and_few_rows_are_not_named():
    with_iron = np.array([FE in numbers for numbers in COMPOSITIONS])
    rule = RULE | {"max_loss": 2.0}
    assert find_worse_slices(losses(with_iron), COMPOSITIONS, None, **rule)[0] == ()
    rare = [[NA, CL]] * (N - MIN_ROWS + 1) + [[FE, O]] * (MIN_ROWS - 1)
    is_rare = np.arange(N) > N - MIN_ROWS
    found, n_slices = find_worse_slices(losses(is_rare, times=9.0), rare, None, **RULE)
    assert not {one.name for one in found} & {"with Fe", "with O"}
    assert n_slices == 3
