"""How numbers, formulas, durations and links are written on a page; markup is escaped."""

from __future__ import annotations

import math
import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import quote

from markupsafe import Markup

from crystalgnn_core.screening.criteria import format_value

if TYPE_CHECKING:
    from crystalgnn_core.screening.criteria import Criterion

MISSING = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
NARROW_SPACE = "\N{NARROW NO-BREAK SPACE}"

_SUBSCRIPT = re.compile(r"(?<=[A-Za-z)\]])(\d+(?:\.\d+)?)")


def format_number(value: float | None, digits: int = 3) -> str:
    """Write a number with fixed decimals and a true minus sign; NaN becomes a dash."""
    if value is None or math.isnan(value):
        return MISSING
    text = f"{value:,.{digits}f}"
    is_zero = not any(character in "123456789" for character in text)
    return text.lstrip("-") if is_zero else text.replace("-", MINUS)


def format_count(value: int) -> str:
    """Write a count with thousands separators."""
    return f"{value:,d}"


def format_share(part: float, whole: float) -> str:
    """Write part / whole as a percentage; a small non-zero share never reads as zero."""
    if whole <= 0:
        return MISSING
    percent = 100.0 * part / whole
    if 0.0 < percent < 0.1:
        return f"<{NARROW_SPACE}0.1{NARROW_SPACE}%"
    digits = 0 if percent >= 99.95 or percent == 0.0 else 1
    return f"{percent:.{digits}f}{NARROW_SPACE}%"


def format_seconds(seconds: float) -> str:
    """Write a duration in the two largest units that matter, such as `2 h 05 min`."""
    if math.isnan(seconds):
        return MISSING
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def format_wanted(criterion: Criterion) -> str:
    """Name a target with its wanted range, such as `band gap 1-2 eV`."""
    low, high = criterion.wanted()
    if math.isinf(high):
        ends = f"\N{GREATER-THAN OR EQUAL TO} {format_value(low)}"
    elif math.isinf(low):
        ends = f"\N{LESS-THAN OR EQUAL TO} {format_value(high)}"
    else:
        ends = f"{format_value(low)}\N{EN DASH}{format_value(high)}"
    return f"{criterion.target.title} {criterion.target.with_unit(ends)}"


def capitalized(text: str) -> str:
    """Begin a heading with a capital; names in it keep theirs."""
    return text[:1].upper() + text[1:]


def formula_markup(formula: str) -> Markup:
    """Set the amounts of a formula as subscripts; everything else is escaped."""
    pieces = _SUBSCRIPT.split(formula)
    sub = Markup("<sub>{}</sub>")
    return Markup("").join(
        sub.format(piece) if index % 2 else Markup.escape(piece)
        for index, piece in enumerate(pieces)
    )


def relative_link(target: str) -> str | None:
    """Quote a relative file path for `href`; None when it is not one.

    Paths come from candidates' ids, so absolute paths, other schemes (`javascript:`) and
    steps out of the folder are refused.
    """
    path = PurePosixPath(target)
    is_inside = not path.is_absolute() and ".." not in path.parts and "\\" not in target
    has_scheme = ":" in (path.parts[0] if path.parts else "")
    return quote(target) if target and is_inside and not has_scheme else None
