"""Checks of the gate on the labels: unit errors, moves, means, spreads and ranges."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from crystalgnn_core.records.gate.distribution import Distribution
from crystalgnn_core.records.gate.report import Finding, alarm, change, percent
from crystalgnn_core.records.gate.thresholds import (
    MAX_OUTSIDE,
    MAX_OUTSIDE_BY_UNIT,
    MAX_SPREAD_RATIO,
    MIN_LABELS,
    MIN_NEW_LABELS,
    MIN_PAIRS,
)
from crystalgnn_core.records.gate.unit_errors import find_unit_error_of_values
from crystalgnn_core.targets import TARGETS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crystalgnn_core.records.gate.comparison import Comparison
    from crystalgnn_core.records.gate.unit_errors import Values

N_ERRORS = 4.0  # standard errors by which a mean of few labels may be off
CENTRAL = (0.005, 0.995)  # the range that holds 99 %
MIN_SPREAD = 1e-9
NEW = "new and changed labels"
ALL = "all labels"


def check_unit_errors(given: Comparison) -> Iterator[Finding]:
    """Check whether changed labels follow from the old ones by a known unit error."""
    for target in given.targets:
        pairs, found = given.pairs(target), given.unit_error(target)
        if pairs is None or found is None:
            continue
        old, new = np.median(pairs[:2], axis=1)
        yield alarm(
            "slip",
            f"{target}: {found.unit_error.name}: {found.unit_error.relation} in "
            f"{found.n_explained:,} of {len(pairs.new):,} changed labels; median "
            f"{change(old, new, TARGETS[target].unit)}",
        )


def check_moves(given: Comparison) -> Iterator[Finding]:
    """Check whether many labels moved far although the rows are of the same formula."""
    for target in given.well_known:
        pairs = given.pairs(target)
        if pairs is None:
            continue
        known = given.before.targets[target].labels
        is_far = np.abs(pairs.new - pairs.old) > max(known.std, MIN_SPREAD)
        n_moved = int((is_far & (pairs.has_formula > 0)).sum())
        share = n_moved / known.n
        if n_moved < MIN_PAIRS or share <= given.config.max_moved:
            continue
        yield alarm(
            "moves",
            f"{target}: {n_moved:,} of {known.n:,} labels ({percent(share)}) moved by "
            f"more than {known.std:.3g} {TARGETS[target].unit}, the standard deviation "
            "before, though their formula stayed",
        )


def check_means(given: Comparison) -> Iterator[Finding]:
    """Compare means and spreads, of the labels that came, or else of all."""
    for target in given.well_known:
        before, after = given.before.targets[target], given.after.targets[target]
        touched, found = given.touched(target), []
        if touched is not None:
            is_not_zero = touched[0] != 0.0
            chosen = [column[is_not_zero] for column in touched]
            hint = _hint(target, chosen[0], chosen[1], before.nonzero)
            came = Distribution.of(touched[0]), Distribution.of(chosen[0])
            found = _compare(given, target, NEW, came, hint)
        now = after.labels, after.nonzero
        yield from found or _compare(given, target, ALL, now, "")


def check_ranges(given: Comparison) -> Iterator[Finding]:
    """Count the labels that came outside the range that held 99 % of those before."""
    for target in given.well_known:
        touched = given.touched(target)
        if touched is None or len(touched[0]) < MIN_NEW_LABELS:
            continue
        values, n_sites = touched
        known = given.before.targets[target].labels
        low, high = (known.quantile(probability) for probability in CENTRAL)
        is_outside = (values < low) | (values > high)
        n_outside = int(is_outside.sum())
        if not n_outside:
            continue
        nonzero = given.before.targets[target].nonzero
        hint = _hint(target, values[is_outside], n_sites[is_outside], nonzero)
        limit = MAX_OUTSIDE_BY_UNIT if hint else MAX_OUTSIDE
        allowed = limit * len(values)
        if n_outside <= allowed + N_ERRORS * math.sqrt(allowed):
            continue
        yield alarm(
            "range",
            f"{target}: {n_outside:,} of {len(values):,} {NEW} "
            f"({percent(n_outside / len(values))}) are outside {low:.4g} to {high:.4g} "
            f"{TARGETS[target].unit}, where 99.0 % were before{hint}",
        )


def _compare(
    given: Comparison,
    target: str,
    whose: str,
    now: tuple[Distribution | None, Distribution | None],
    hint: str,
) -> list[Finding]:
    """Compare the mean of labels, and the spread of those other than zero.

    Zeros are left out of the spread, as most gaps are zero: among few labels the others
    may be missing altogether.
    """
    before = given.before.targets[target]
    found: list[Finding] = []
    labels, nonzero = now
    if labels is not None and labels.n >= MIN_NEW_LABELS:
        moved = _compare_means(given, target, whose, labels, hint)
        found += [] if moved is None else [moved]
    if (
        before.nonzero is not None
        and nonzero is not None
        and before.nonzero.n >= MIN_LABELS
        and nonzero.n >= MIN_NEW_LABELS
    ):
        ranges = _compare_spreads(target, before.nonzero, nonzero)
        if ranges is not None:
            where = f"the middle 80 % of {whose} but zeros"
            message = f"{target}: range of {where} {ranges}{hint}"
            found.append(alarm("spread", message))
    return found


def _compare_means(
    given: Comparison, target: str, whose: str, now: Distribution, hint: str
) -> Finding | None:
    known = given.before.targets[target].labels
    expected = given.mean_before(target, now.n) if whose == NEW else known.mean
    scale = max(known.std, MIN_SPREAD)
    shift = abs(now.mean - expected) / scale
    error = max(now.std, scale) / scale / math.sqrt(now.n)
    if shift <= given.config.max_mean_shift + N_ERRORS * error:
        return None
    moved = change(expected, now.mean, TARGETS[target].unit)
    message = (
        f"{target}: mean of {whose} {moved}, {shift:.2g} standard deviations off{hint}"
    )
    return alarm("mean", message)


def _compare_spreads(target: str, known: Distribution, now: Distribution) -> str | None:
    """Word how the range of the middle 80 % differs, if it does by more than a factor."""
    before, after = (entry.quantile(0.9) - entry.quantile(0.1) for entry in (known, now))
    ratio = max(before, MIN_SPREAD) / max(after, MIN_SPREAD)
    if max(ratio, 1.0 / ratio) <= MAX_SPREAD_RATIO:
        return None
    return change(before, after, TARGETS[target].unit)


def _hint(target: str, values: Values, n_sites: Values, known: Distribution | None) -> str:
    """Name the unit error that explains labels other than zero."""
    if known is None or not len(values):
        return ""
    found = find_unit_error_of_values(target, values, n_sites, known)
    return "" if found is None else f"; it looks like {found.name} ({found.relation})"
