"""Read the labels of a record, and check them against targets and requirement."""

from __future__ import annotations

import math
from numbers import Real
from typing import TYPE_CHECKING, Literal

from crystalgnn_core.errors import RecordError
from crystalgnn_core.targets import get_target

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crystalgnn_core.records.schema import RawRecord

LabelRequirement = Literal["all", "any", "none"]
MISSING_WORDS = frozenset({"", "-", "na", "n/a", "<na>", "nan", "none", "null"})


def label_value(value: object) -> float | None:
    """Read a label as a source gives it: a number, text that is one, or a missing value.

    Returns:
        The number, possibly infinite, or None for None, NaN and words such as `na`.

    Raises:
        RecordError: `invalid_label`, the value is neither a number nor missing.
    """
    if value is None:
        return None
    if isinstance(value, float):  # most are; `Real` below is slow to ask
        return None if math.isnan(value) else float(value) + 0.0  # -0.0 and 0.0 are one
    if isinstance(value, str):
        value = None if value.strip().lower() in MISSING_WORDS else _number_in(value)
        if value is None:
            return None
    if isinstance(value, bool) or not isinstance(value, Real):
        raise RecordError(
            "invalid_label", f"label {value!r} is not a number; mend the source"
        )
    number = float(value) + 0.0  # -0.0 and 0.0 are the same label
    return None if math.isnan(number) else number


def checked_labels(raw: RawRecord) -> dict[str, float]:
    """Return the labels a record has, each in the unit of its target.

    Raises:
        ConfigError: A label is of an unknown target.
        RecordError: `invalid_label` or `implausible_label`.
    """
    labels = {}
    for name, given in raw.labels.items():
        target = get_target(name)
        if type(given) is float and target.minimum <= given <= target.maximum:
            value: float | None = given + 0.0  # nearly all; -0.0 and 0.0 are one label
        else:
            value = label_value(given)
        if value is None:
            continue
        if math.isinf(value):
            raise RecordError(
                "invalid_label",
                f"{name} is {value}, expected a finite number; mend the source",
            )
        if not target.minimum <= value <= target.maximum:
            raise RecordError(
                "implausible_label",
                f"{name} is {value:g} {target.unit}, expected {target.minimum:g} to "
                f"{target.maximum:g}; check the unit",
            )
        if not raw.label_schemes.get(name):
            raise RecordError(
                "invalid_label",
                f"{name} has no label scheme; state how the labels were computed",
            )
        labels[name] = value
    return labels


def check_requirement(
    labels: Mapping[str, float], targets: tuple[str, ...], require_labels: LabelRequirement
) -> None:
    """Check that a record has all, any or none of the labels its source can give.

    Args:
        labels: Labels of the record.
        targets: Targets of the source; none lifts the requirement.
        require_labels: How many of `targets` must carry a label.

    Raises:
        RecordError: `missing_label`.
    """
    missing = [name for name in targets if name not in labels]
    if not missing or require_labels == "none":
        return
    if require_labels == "any" and len(missing) < len(targets):
        return
    raise RecordError(
        "missing_label",
        f"no label for {', '.join(missing)}, expected {require_labels} of "
        f"{', '.join(targets)}; supply it or relax require_labels",
    )


def _number_in(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise RecordError(
            "invalid_label",
            f"label {text[:40]!r} is not a number; give a number or leave the field empty",
        ) from error
