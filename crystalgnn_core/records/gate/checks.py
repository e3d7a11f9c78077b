"""The checks of the change gate: each compares one thing before and after."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pyarrow.compute as pc

from crystalgnn_core.records.gate.comparison import Comparison
from crystalgnn_core.records.gate.engine import check_engine
from crystalgnn_core.records.gate.label_checks import (
    check_means,
    check_moves,
    check_ranges,
    check_unit_errors,
)
from crystalgnn_core.records.gate.profile import NONE
from crystalgnn_core.records.gate.repeats import check_repeats
from crystalgnn_core.records.gate.report import Finding, alarm, counts, named, percent
from crystalgnn_core.records.gate.row_checks import (
    check_drift,
    check_ids,
    check_rejects,
    check_rows,
)
from crystalgnn_core.records.gate.thresholds import (
    FEW_LEFT,
    MAX_LICENSE_SHIFT,
    MAX_NEW_UNLABELLED,
    MAX_SCHEME_SHIFT,
    MIN_EXPECTED,
    MIN_NEW_LABELS,
    MIN_PAIRS,
)
from crystalgnn_core.records.table.diff import differs
from crystalgnn_core.targets import scheme_column

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

Check = Callable[[Comparison], Iterator[Finding]]
NEARLY_ALL = 0.9  # of the rows have a label
MOST = 0.5


def check_labels(given: Comparison) -> Iterator[Finding]:
    """Compare the number of labels, and the share of rows that have one."""
    for target in sorted({*given.before.targets, *given.after.targets}):
        before, after = (
            profile.targets[target].labels.n if target in profile.targets else 0
            for profile in (given.before, given.after)
        )
        shares = [profile.label_share(target) for profile in (given.before, given.after)]
        limit = given.config.max_labels_lost
        expected = before * min(given.after.n_rows / given.before.n_rows, 1.0)
        lost = expected - after
        is_lost = lost > limit * expected and lost >= MIN_PAIRS
        is_alarm = is_lost or shares[0] - shares[1] > limit
        if not is_alarm and before and after:
            continue
        yield Finding(
            check="labels",
            message=(
                f"{target}: labels {before:,} -> {after:,}, rows that have one "
                f"{percent(shares[0])} -> {percent(shares[1])}"
            ),
            is_alarm=is_alarm,
        )


def check_new_labels(given: Comparison) -> Iterator[Finding]:
    """Check whether new rows lack labels that nearly all rows had, or all that most had."""
    if given.rows is None or given.rows.new.num_rows < MIN_NEW_LABELS:
        return
    n_new = given.rows.new.num_rows
    for target in given.before.targets:
        share = given.before.label_share(target)
        n_missing = given.rows.new[target].null_count
        expected = share * n_new
        is_more = share >= NEARLY_ALL and n_missing > MAX_NEW_UNLABELLED * n_new
        is_none = (
            share >= MOST
            and expected >= MIN_EXPECTED
            and n_new - n_missing < FEW_LEFT * expected
        )
        if not is_more and not is_none:
            continue
        yield alarm(
            "new labels",
            f"{target}: rows without a label {percent(1.0 - share)} -> "
            f"{percent(n_missing / n_new)} of the {n_new:,} new ones",
        )


def check_schemes(given: Comparison) -> Iterator[Finding]:
    """Compare the shares of label schemes, and count the labels that switched."""
    for target in given.targets:
        before = given.before.targets[target].schemes
        after = given.after.targets[target].schemes
        moved = _distance(before, after)
        switched = _switched(given, scheme_column(target))
        share = sum(switched.values()) / sum(before.values())
        if switched and share > MAX_SCHEME_SHIFT:
            yield alarm(
                "scheme",
                f"{target}: label scheme switched in {sum(switched.values()):,} rows "
                f"({_pairs(switched)})",
            )
        elif moved > MAX_SCHEME_SHIFT or before.keys() != after.keys():
            yield Finding(
                check="scheme",
                message=(
                    f"{target}: labels of each scheme {counts(before, after)}; "
                    f"{percent(moved)} of the labels are of another"
                ),
                is_alarm=moved > MAX_SCHEME_SHIFT,
            )


def check_elements(given: Comparison) -> Iterator[Finding]:
    """Find the elements that vanished or nearly did, and those that came."""
    before, after = given.before, given.after
    growth = after.n_rows / before.n_rows
    gone = []
    for element, n_rows in before.elements.items():
        expected = n_rows * min(growth, 1.0)
        left = after.elements.get(element, 0)
        if expected >= MIN_EXPECTED and left < FEW_LEFT * expected:
            gone.append(f"{element} {n_rows:,} -> {left:,} rows")
    if gone:
        message = f"{len(gone)} of {len(before.elements)} elements vanished: {named(gone)}"
        yield alarm("elements", message)
    came = sorted(after.elements.keys() - before.elements.keys())
    if came:
        message = f"elements {len(before.elements)} -> {len(after.elements)}: "
        yield Finding(check="elements", message=f"{message}{named(came)} came")


def check_licenses(given: Comparison) -> Iterator[Finding]:
    """Compare the shares of licences; a licence for rows that had none is no alarm."""
    before, after = given.before.licenses, given.after.licenses
    switched = _switched(given, "license")
    n_switched = sum(n for (old, _), n in switched.items() if old != NONE)
    if n_switched > MAX_LICENSE_SHIFT * given.before.n_rows:
        message = f"licence changed in {n_switched:,} rows ({_pairs(switched)})"
        yield alarm("license", message)
        return
    fresh = {name for name in after if name not in before}
    named_before = set(before) - {NONE}
    n_fresh = sum(after[name] for name in fresh)
    is_alarm = bool(named_before) and n_fresh > MAX_LICENSE_SHIFT * given.after.n_rows
    if before.keys() != after.keys():
        message = f"rows of each licence: {counts(before, after)}"
        yield Finding(check="license", message=message, is_alarm=is_alarm)


CHECKS: tuple[Check, ...] = (
    check_unit_errors,
    check_rows,
    check_ids,
    check_drift,
    check_rejects,
    check_labels,
    check_new_labels,
    check_schemes,
    check_repeats,
    check_engine,
    check_moves,
    check_means,
    check_ranges,
    check_elements,
    check_licenses,
)


def _switched(given: Comparison, column: str) -> Counter[tuple[str, str]]:
    """Count the changed rows by the old and new text of a column that has changed."""
    if given.rows is None:
        return Counter()
    is_other = differs(given.rows, column)
    old = _texts(given.rows.before[column], is_other)
    new = _texts(given.rows.after[column], is_other)
    pairs = Counter(zip(old, new, strict=True))
    if column != "license":  # a label that came or went is counted as such
        pairs = Counter({pair: n for pair, n in pairs.items() if NONE not in pair})
    return pairs


def _texts(column: pa.ChunkedArray, chosen: pa.Array) -> list[str]:
    return pc.fill_null(column.filter(chosen), NONE).to_pylist()


def _pairs(switched: Counter[tuple[str, str]]) -> str:
    ordered = sorted(switched.items(), key=lambda entry: (-entry[1], entry[0]))
    return named([f"{old!r} -> {new!r} in {n:,}" for (old, new), n in ordered])


def _distance(before: Mapping[str, int], after: Mapping[str, int]) -> float:
    """Return the share that is of another name, 0 to 1 (total variation)."""
    n_before, n_after = sum(before.values()), sum(after.values())
    names = {*before, *after}
    return 0.5 * sum(
        abs(before.get(name, 0) / n_before - after.get(name, 0) / n_after) for name in names
    )
