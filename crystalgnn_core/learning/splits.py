"""Training, validation and test split by composition, stable when data is added."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Annotated, Self

import numpy as np
from pydantic import Field, model_validator

from crystalgnn_core.base import FrozenModel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

PRECEDENCE = ("test", "val", "train")


class SplitConfig(FrozenModel):
    """How rows are divided.

    Attributes:
        use_given: Use the source's own split where it has one.
        val_fraction: Share of compositions for validation, for rows without a given split.
        test_fraction: Share of compositions for the test split.
        seed: Another seed draws another split.
    """

    use_given: bool = True
    val_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.1
    test_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.1
    seed: int = 0

    @model_validator(mode="after")
    def _something_is_left_to_train(self) -> Self:
        if self.val_fraction + self.test_fraction >= 1:
            raise ValueError("val_fraction + test_fraction leaves nothing to train on")
        return self


def assign_splits(
    formulas: Sequence[str], given: Sequence[str | None], config: SplitConfig
) -> NDArray[np.str_]:
    """Assign every row to `train`, `val` or `test`.

    A given split is used as given. Every other row goes where its reduced composition
    already is (test before val before train, so that nothing leaks into training), or, for
    a new composition, where the hash of seed and composition says. The result for a
    composition therefore does not depend on which other rows there are.

    Args:
        formulas: Reduced formula of every row.
        given: The source's split of every row, or None.
        config: Fractions and seed.

    Returns:
        Split names, shape (n_rows,).
    """
    taken: dict[str, str] = {}
    if config.use_given:
        for formula, split in zip(formulas, given, strict=True):
            if split is None:
                continue
            held = taken.get(formula)
            if held is None or PRECEDENCE.index(split) < PRECEDENCE.index(held):
                taken[formula] = split
    splits = []
    for formula, split in zip(formulas, given, strict=True):
        if config.use_given and split is not None:
            splits.append(split)
        else:
            splits.append(taken.get(formula) or _split_of(formula, config))
    return np.array(splits, dtype=np.str_)


def count_leaks(formulas: Sequence[str], splits: NDArray[np.str_]) -> dict[str, int]:
    """Count the val and test rows whose composition also occurs in training."""
    names = np.asarray(formulas, dtype=np.str_)
    in_training = set(names[splits == "train"].tolist())
    return {
        split: sum(name in in_training for name in names[splits == split].tolist())
        for split in ("val", "test")
    }


def _split_of(formula: str, config: SplitConfig) -> str:
    key = hashlib.sha256(f"{config.seed}:{formula}".encode()).digest()
    position = int.from_bytes(key[:8], "big") / 2**64
    if position < config.test_fraction:
        return "test"
    if position < config.test_fraction + config.val_fraction:
        return "val"
    return "train"
