"""The table of ranked candidates: which columns it shows and how each cell is written."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
from markupsafe import Markup

from crystalgnn_core.reporting.text import (
    MISSING,
    format_count,
    format_number,
    formula_markup,
    relative_link,
)
from crystalgnn_core.targets import TARGETS, Target

if TYPE_CHECKING:
    from collections.abc import Callable

CellKind = Literal["rank", "number", "text", "formula", "flags", "change", "link"]
NUMERIC_KINDS = ("rank", "number")
TRUE = "_true"  # what names of known values end in


@dataclass(frozen=True)
class Column:
    """One column of the table.

    Attributes:
        name: Column of the ranking.
        header: Visible heading.
        unit: Unit shown beside the heading, or empty.
        kind: How cells are written and sorted.
        description: Full name, for the tooltip and for assistive technology.
        digits: Decimals of a number.
    """

    name: str
    header: str
    unit: str = ""
    kind: CellKind = "text"
    description: str = ""
    digits: int = 3

    @property
    def is_numeric(self) -> bool:
        """Whether the column sorts by number and is set flush right."""
        return self.kind in NUMERIC_KINDS

    @property
    def is_sortable(self) -> bool:
        """Whether sorting by this column means anything."""
        return self.kind != "link"


@dataclass(frozen=True)
class Cell:
    """One cell: what is shown, and the value it sorts by when that differs."""

    content: Markup
    sort_value: str | None = None


def table_columns(ranking: pd.DataFrame) -> list[Column]:
    """List the columns to show; those without any value are left out.

    A true value without a predicted one beside it says in full what it is.
    """
    shown = [
        column
        for column in _known_columns()
        if column.name in ranking.columns
        and any(not _is_missing(value) for value in ranking[column.name])
    ]
    names = {column.name for column in shown}
    return [
        replace(column, header=column.description)
        if column.name.endswith(TRUE) and column.name.removesuffix(TRUE) not in names
        else column
        for column in shown
    ]


def table_rows(ranking: pd.DataFrame, columns: list[Column]) -> list[list[Cell]]:
    """Write the cells of every row, in the order of the ranking."""
    written = [
        [_write_cell(value, column) for value in ranking[column.name]] for column in columns
    ]
    return [list(row) for row in zip(*written, strict=True)]


def _known_columns() -> list[Column]:
    return [
        Column("rank", "Rank", kind="rank", digits=0),
        Column(
            "change", "Change", kind="change", description="change since the last screen"
        ),
        Column("formula", "Formula", kind="formula"),
        Column("candidate_id", "Candidate"),
        *(column for target in TARGETS.values() for column in _target_columns(target)),
        Column(
            "probability_stable",
            "P(stable)",
            kind="number",
            description="probability of being stable",
            digits=2,
        ),
        Column("score", "Score", kind="number"),
        Column("flags", "Flags", kind="flags"),
        Column("source", "Source"),
        Column("cif", "File", kind="link", description="crystal structure (CIF)"),
    ]


def _target_columns(target: Target) -> list[Column]:
    digits = 1 if target.unit == "GPa" else 3
    title, unit = target.title, target.unit
    return [
        Column(
            target.name,
            title[0].upper() + title[1:],
            target.predicted_unit,
            "number",
            f"predicted {title}",
            digits,
        ),
        Column(
            f"{target.name}_std",
            "\N{PLUS-MINUS SIGN}",
            unit,
            "number",
            f"standard deviation of the {title}",
            digits,
        ),
        Column(f"{target.name}{TRUE}", "true", unit, "number", f"true {title}", digits),
    ]


def _write_cell(value: Any, column: Column) -> Cell:  # noqa: ANN401  a cell of any column
    if _is_missing(value):
        return Cell(Markup('<span class="missing">{}</span>').format(MISSING), "")
    return _WRITERS[column.kind](value, column)


def _is_missing(value: Any) -> bool:  # noqa: ANN401  a cell of any column
    if value is None or value is pd.NA or value is pd.NaT:
        return True
    if isinstance(value, float):
        return not math.isfinite(value)
    return hasattr(value, "__len__") and len(value) == 0


def _write_rank(value: Any, column: Column) -> Cell:  # noqa: ANN401, ARG001  any number
    return Cell(Markup(format_count(int(value))), str(int(value)))


def _write_number(value: Any, column: Column) -> Cell:  # noqa: ANN401  any number
    number = float(value)
    return Cell(Markup(format_number(number, column.digits)), f"{number:.9g}")


def _write_text(value: Any, column: Column) -> Cell:  # noqa: ANN401, ARG001  any text
    return Cell(Markup.escape(str(value)))


def _write_formula(value: Any, column: Column) -> Cell:  # noqa: ANN401, ARG001  any text
    return Cell(formula_markup(str(value)), str(value))


def _write_flags(value: Any, column: Column) -> Cell:  # noqa: ANN401, ARG001  text or list
    flags = re.split(r"[;,|]", value) if isinstance(value, str) else map(str, value)
    badge = Markup('<span class="badge">{}</span>')
    names = [flag.strip().replace("_", " ") for flag in flags if flag.strip()]
    return Cell(Markup(" ").join(badge.format(name) for name in names), "; ".join(names))


def _write_change(value: Any, column: Column) -> Cell:  # noqa: ANN401, ARG001  any text
    text = str(value)
    first = text.split(maxsplit=1)[0].lower() if text.strip() else ""
    style = first if first in {"new", "up", "down"} else "same"
    return Cell(Markup('<span class="change {}">{}</span>').format(style, text))


def _write_link(value: Any, column: Column) -> Cell:  # noqa: ANN401, ARG001  any text
    link = relative_link(str(value))
    if link is None:
        return Cell(Markup('<span class="missing">{}</span>').format(MISSING))
    return Cell(Markup('<a href="{}" download>CIF</a>').format(link))


_WRITERS: dict[CellKind, Callable[[Any, Column], Cell]] = {
    "rank": _write_rank,
    "number": _write_number,
    "text": _write_text,
    "formula": _write_formula,
    "flags": _write_flags,
    "change": _write_change,
    "link": _write_link,
}
