"""The check of the change gate on one value that stands where many should be."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from crystalgnn_core.records.gate.distribution import QUANTILES
from crystalgnn_core.records.gate.label_checks import NEW
from crystalgnn_core.records.gate.report import Finding, alarm
from crystalgnn_core.records.gate.thresholds import FEW_LEFT, MIN_EXPECTED
from crystalgnn_core.targets import TARGETS, is_class

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crystalgnn_core.records.gate.comparison import Comparison
    from crystalgnn_core.records.gate.profile import TargetProfile
    from crystalgnn_core.records.gate.unit_errors import Values


class Repeated(NamedTuple):
    """A value, how many labels have it, and how many there are."""

    value: float
    n_equal: int
    n: int


def check_repeats(given: Comparison) -> Iterator[Finding]:
    """Check whether nearly all labels have one value, as zeros of what was not computed.

    Of new classes alone that is no sign: there are two values, and rows that come together
    are often alike.
    """
    for target in given.well_known:
        known = given.before.targets[target]
        touched = None if is_class(target) else given.touched(target)
        candidates = [
            ("labels", _repeated(given.after.targets[target])),
            (NEW, None if touched is None else _most_frequent(touched[0])),
        ]
        for whose, found in candidates:
            if found is None or not _is_odd(known, found):
                continue
            yield alarm(
                "repeats",
                f"{target}: {found.n_equal:,} of {found.n:,} {whose} are "
                f"{TARGETS[target].with_unit(f'{found.value:.4g}')}",
            )
            break


def _is_odd(known: TargetProfile, found: Repeated) -> bool:
    """Return whether labels of other values have nearly vanished."""
    expected = found.n * (1.0 - _largest_share(known, found.value))
    n_others = found.n - found.n_equal
    return expected >= MIN_EXPECTED and n_others < FEW_LEFT * expected


def _largest_share(known: TargetProfile, value: float) -> float:
    """Bound the share of labels that had a value; for zero it is known."""
    n_nonzero = 0 if known.nonzero is None else known.nonzero.n
    if value == 0.0:
        return 1.0 - n_nonzero / known.labels.n
    levels, at = np.array(QUANTILES), np.array(known.labels.quantiles)
    below, above = levels[at < value], levels[at > value]
    return float((above[0] if len(above) else 1.0) - (below[-1] if len(below) else 0.0))


def _most_frequent(values: Values) -> Repeated | None:
    if not len(values):
        return None
    distinct, counts = np.unique(values, return_counts=True)
    place = int(counts.argmax())
    return Repeated(float(distinct[place]), int(counts[place]), len(values))


def _repeated(profile: TargetProfile) -> Repeated:
    """Return the value that all labels have, or else zero."""
    labels, nonzero = profile.labels, profile.nonzero
    if labels.minimum == labels.maximum:
        return Repeated(labels.minimum, labels.n, labels.n)
    return Repeated(0.0, labels.n - (0 if nonzero is None else nonzero.n), labels.n)
