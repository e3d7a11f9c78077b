import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from crystalgnn_core.learning.splits import SplitConfig, assign_splits, count_leaks

FORMULAS = st.lists(st.sampled_from([f"A{i}B" for i in range(40)]), min_size=1, max_size=60)
GIVEN = st.sampled_from([None, None, "train", "val", "test"])
ROWS = st.lists(
    st.tuples(st.sampled_from([f"A{i}B" for i in range(15)]), GIVEN), max_size=60
)


@given(FORMULAS, st.integers(0, 5))
def test_a_composition_is_never_shared_between_splits(formulas, seed):
    splits = assign_splits(formulas, [None] * len(formulas), SplitConfig(seed=seed))
    assert len(set(zip(formulas, splits.tolist(), strict=True))) == len(set(formulas))
    assert count_leaks(formulas, splits) == {"val": 0, "test": 0}


@given(FORMULAS, FORMULAS)
def test_splits_stay_when_rows_are_added(old, new):
    before = assign_splits(old, [None] * len(old), SplitConfig())
    after = assign_splits([*new, *old], [None] * (len(new) + len(old)), SplitConfig())
    assert after[len(new) :].tolist() == before.tolist()


@given(ROWS)
def test_a_given_split_is_kept_and_other_rows_never_leak_into_training(rows):
    formulas, given_splits = [f for f, _ in rows], [s for _, s in rows]
    splits = assign_splits(formulas, given_splits, SplitConfig()).tolist()
    for (formula, asked), got in zip(rows, splits, strict=True):
        siblings = {s for f, s in rows if f == formula and s is not None}
        if asked is not None:
            assert got == asked
        elif "test" in siblings:
            assert got == "test"
        elif "val" in siblings:
            assert got == "val"
        elif siblings:
            assert got == "train"


def test_leaks_of_a_given_split_are_counted_by_rows():
    formulas = ["NaCl", "NaCl", "NaCl", "MgO", "MgO", "LiF"]
    splits = np.array(["train", "test", "test", "train", "val", "test"])
    assert count_leaks(formulas, splits) == {"val": 1, "test": 2}


def test_a_given_split_can_be_ignored():
    formulas = [f"A{i}B" for i in range(50)]
    drawn = assign_splits(formulas, [None] * 50, SplitConfig())
    ignored = assign_splits(formulas, ["test"] * 50, SplitConfig(use_given=False))
    assert ignored.tolist() == drawn.tolist()


def test_fractions_are_met_and_seeds_differ():
    formulas = [f"A{i}B{j}" for i in range(100) for j in range(100)]
    config = SplitConfig(val_fraction=0.2, test_fraction=0.1)
    splits = assign_splits(formulas, [None] * 10_000, config)
    # four standard deviations of a binomial of 10,000: 0.016 and 0.012
    assert abs((splits == "val").mean() - 0.2) < 0.016
    assert abs((splits == "test").mean() - 0.1) < 0.012
    other = assign_splits(formulas, [None] * 10_000, config.model_copy(update={"seed": 1}))
    assert (other != splits).mean() > 0.3


def test_fractions_that_leave_nothing_to_train_on_are_refused():
    with pytest.raises(ValidationError, match="nothing to train on"):
        SplitConfig(val_fraction=0.5, test_fraction=0.5)
