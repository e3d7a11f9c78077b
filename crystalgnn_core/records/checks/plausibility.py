"""Leave out labels that are implausible, for sources whose rows are good without them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from crystalgnn_core.errors import RecordError
from crystalgnn_core.records.labels import label_value
from crystalgnn_core.targets import get_target

if TYPE_CHECKING:
    from crystalgnn_core.records.labels import LabelRequirement
    from crystalgnn_core.records.schema import RawRecord

ImplausibleLabels = Literal["reject_row", "drop_label"]


def without_implausible(
    raws: list[RawRecord], policy: ImplausibleLabels, require_labels: LabelRequirement
) -> tuple[list[RawRecord], list[tuple[str, ...]]]:
    """Leave out the labels of records that are outside the range of their target.

    A record that could not be kept without them stays as it is, so that it is rejected for
    what is wrong with it.

    Returns:
        The records, and for each the targets whose labels were left out.

    Raises:
        ConfigError: A label is of an unknown target.
    """
    if policy == "reject_row" or require_labels == "all":
        return raws, [()] * len(raws)
    pairs = [_without(raw, require_labels) for raw in raws]
    return [raw for raw, _ in pairs], [names for _, names in pairs]


def _without(
    raw: RawRecord, require_labels: LabelRequirement
) -> tuple[RawRecord, tuple[str, ...]]:
    names = tuple(
        name for name, given in raw.labels.items() if _is_implausible(name, given)
    )
    if not names:
        return raw, ()
    left = {name: given for name, given in raw.labels.items() if name not in names}
    if require_labels == "any" and all(_value_of(given) is None for given in left.values()):
        return raw, ()
    return raw._replace(labels=left), names


def _is_implausible(name: str, given: object) -> bool:
    target = get_target(name)
    value = None if target.is_class else _value_of(given)
    if value is None or math.isinf(value):
        return False
    return not target.minimum <= value <= target.maximum


def _value_of(given: object) -> float | None:
    try:
        return label_value(given)
    except RecordError:
        return math.inf  # no number at all, which is for the checks to name
