"""Read the labels of a record, and check them against targets and requirement."""

from __future__ import annotations

import math
import re
from contextlib import suppress
from decimal import Decimal
from numbers import Real
from typing import TYPE_CHECKING, Literal

import numpy as np

from crystalgnn_core.errors import RecordError
from crystalgnn_core.targets import get_target

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crystalgnn_core.records.schema import RawRecord

LabelRequirement = Literal["all", "any", "none"]
MISSING_WORDS = frozenset(
    {
        *(
            "",
            "-",
            "--",
            "?",
            ".",
            "na",
            "n/a",
            "n.a.",
            "#n/a",
            "#na",
            "<na>",
            "nan",
            "-nan",
        ),
        *("none", "null", "nil", "\\n"),  # the last one of databases, as \\N
        *("1.#qnan", "-1.#qnan", "1.#ind", "-1.#ind", "nan(ind)", "-nan(ind)"),  # of MSVC
    }
)
_IMPLAUSIBLE = re.compile(r"(\w+) is ([-+.e\d]+)[^,]*, expected [^;]*; check the unit")
CLASS_WORDS = {"true": 1.0, "false": 0.0}


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
    if isinstance(value, bytes):
        value = value.decode("utf-8", errors="replace")
    if isinstance(value, str):
        with suppress(ValueError):  # most are
            if "_" not in value and not math.isnan(number := float(value)):
                return number + 0.0
        if value.strip().lower() in MISSING_WORDS:
            return None
        value = _number_in(value)
    if isinstance(value, bool) or not isinstance(value, Real | Decimal):
        raise RecordError(
            "invalid_label", f"label {value!r} is not a number; fix the source"
        )
    try:
        number = float(value) + 0.0  # -0.0 and 0.0 are the same label
    except (OverflowError, ValueError) as error:  # an integer of hundreds of digits
        raise RecordError(
            "invalid_label", "label is not a number that fits into 64 bits; fix the source"
        ) from error
    return None if math.isnan(number) else number


def class_value(value: object) -> float | None:
    """Read the label of a class: 0, 1, true or false, or a missing value.

    Returns:
        1 or 0, or None for None, NaN and words such as `na`.

    Raises:
        RecordError: `invalid_label`, the value is something else.
    """
    if isinstance(value, bool | np.bool_):
        return float(value)
    if isinstance(value, bytes):
        value = value.decode("utf-8", errors="replace")
    if isinstance(value, str) and value.strip().lower() in CLASS_WORDS:
        return CLASS_WORDS[value.strip().lower()]
    number = label_value(value)
    if number is None or number in CLASS_WORDS.values():
        return number
    raise RecordError(
        "invalid_label", f"label {value!r} is no class; give 0, 1, true or false"
    )


def implausible_value(message: str) -> tuple[str, float]:
    """Return target and value of a message of `implausible_label`; no name of others."""
    found = _IMPLAUSIBLE.search(message)
    return ("", math.nan) if found is None else (found[1], float(found[2]))


def checked_labels(raw: RawRecord) -> dict[str, float]:
    """Return the labels a record has, each in the unit of its target.

    Raises:
        ConfigError: A label is of an unknown target.
        RecordError: `invalid_label` or `implausible_label`.
    """
    labels = {}
    for name, given in raw.labels.items():
        target = get_target(name)
        value: float | None
        if target.is_class:
            value = class_value(given)
        elif type(given) is float and target.minimum <= given <= target.maximum:
            value = given + 0.0  # nearly all; -0.0 and 0.0 are one label
        else:
            value = label_value(given)
        if value is None:
            continue
        if math.isinf(value):
            raise RecordError(
                "invalid_label",
                f"{name} is {value}, expected a finite number; fix the source",
            )
        if not target.minimum <= value <= target.maximum:
            raise RecordError(
                "implausible_label",
                f"{name} is {target.with_unit(f'{value:g}')}, expected "
                f"{target.minimum:g} to {target.maximum:g}; check the unit",
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
    with suppress(ValueError):
        if "_" not in text:  # which Python skips
            return float(text.replace("\N{MINUS SIGN}", "-"))
    advice = "give a number or leave the field empty"
    if "," in text:  # 1,234 may be a thousand
        advice = "write decimals with a point, and thousands without a comma"
    raise RecordError("invalid_label", f"label {text[:40]!r} is not a number; {advice}")
