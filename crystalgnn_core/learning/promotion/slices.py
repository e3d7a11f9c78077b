"""Parts of the judged rows, by element, gap and size, on which a model may be worse."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from crystalgnn_core.learning.promotion.decision import Slice
from crystalgnn_core.learning.promotion.evidence import weigh
from crystalgnn_core.records.elements import SYMBOLS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from crystalgnn_core.learning.promotion.evidence import PairedLosses

MIN_ROWS = 50  # fewer show what is worse only by chance
SIZES = ((1, 4), (5, 10), (11, 20), (21, 50), (51, None))  # sites
GAP = "band_gap"


def find_worse_slices(
    losses: PairedLosses,
    compositions: Sequence[Sequence[int]],
    gaps: NDArray[np.float64] | None,
    *,
    level: float,
    noise: float,
    max_loss: float,
) -> tuple[tuple[Slice, ...], int]:
    """Find where the challenger is worse in a target, beyond chance and relevantly.

    The level is divided by the number of looks (Bonferroni), as one of many slices looks
    worse by chance.

    Args:
        losses: Scaled errors of both models.
        compositions: Atomic numbers of the sites of every row.
        gaps: Labels of the gap, NaN missing; None if the models do not predict it.
        level: Share of equal models that may be called worse somewhere.
        noise: See `weigh`.
        max_loss: Relative increase of the error that does not matter.

    Returns:
        The slices, the worst first, and how many there are.
    """
    known = ~np.isnan(losses.champion)
    looks = [
        (name, rows)
        for name, rows in _slices(compositions, gaps)
        if known[rows].sum(axis=0).max() >= MIN_ROWS
    ]
    n_looks = len(looks) * len(losses.targets)
    worse = [
        Slice(name=name, target=target, evidence=evidence)
        for name, rows in looks
        for target, evidence in weigh(losses.at(rows), level / n_looks, noise).items()
        if target and evidence.n >= MIN_ROWS
        if evidence.is_worse and evidence.improvement < -max_loss
    ]
    worse.sort(key=lambda one: one.evidence.improvement)
    return tuple(worse), len(looks)


def _slices(
    compositions: Sequence[Sequence[int]], gaps: NDArray[np.float64] | None
) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Yield name and mask of each slice."""
    n_sites = np.array([len(numbers) for numbers in compositions])
    rows = np.repeat(np.arange(len(n_sites)), n_sites)
    present = np.zeros((len(compositions), len(SYMBOLS) + 1), dtype=bool)
    present[rows, np.concatenate(compositions)] = True
    for number in np.flatnonzero(present.any(axis=0)):
        yield f"with {SYMBOLS[number - 1]}", present[:, number]
    if gaps is not None:
        yield "without gap", gaps == 0
        yield "with gap", gaps > 0
    for low, high in SIZES:
        end = f" to {high} sites" if high else " sites or more"
        yield f"{low}{end}", (n_sites >= low) & (n_sites <= (high or np.inf))
