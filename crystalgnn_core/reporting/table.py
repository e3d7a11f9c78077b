"""The table of ranked candidates: which columns it shows and how each cell is written."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
from markupsafe import Markup

from crystalgnn_core.reporting.text import (
    MISSING,
    capitalized,
    format_count,
    format_number,
    formula_markup,
    relative_link,
)
from crystalgnn_core.screening.criteria import TRUE
from crystalgnn_core.targets import HIGH, IF_NONZERO, LOW, NONZERO, STD, TARGETS, Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

CellKind = Literal["rank", "number", "text", "formula", "flags", "change", "link"]


@dataclass(frozen=True)
class Column:
    """One column of the table.

    Attributes:
        name: Column of the ranking.
        header: Visible heading.
        description: Full name, for the tooltip and for assistive technology.
        unit: Unit shown beside the heading, or empty.
        kind: How cells are written and sorted.
        digits: Decimals of a number.
    """

    name: str
    header: str
    description: str = ""
    unit: str = ""
    kind: CellKind = "text"
    digits: int = 3

    @property
    def is_numeric(self) -> bool:
        """Whether the column sorts by number and is set flush right."""
        return self.kind in {"rank", "number"}

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
    number = partial(Column, kind="number")
    return [
        Column("rank", "Rank", kind="rank"),
        Column("change", "Change", "change since the last screen", kind="change"),
        Column("formula", "Formula", kind="formula"),
        Column("candidate_id", "Candidate"),
        number("score", "Score"),
        *(column for target in TARGETS.values() for column in _target_columns(target)),
        number("novelty", "Novelty", "distance from the training rows, 1 is unusual"),
        Column("flags", "Flags", kind="flags"),
        Column("source", "Source"),
        Column("cif", "File", "crystal structure (CIF)", kind="link"),
    ]


def _target_columns(target: Target) -> list[Column]:
    name, title, unit = target.name, target.title, target.unit
    number = partial(Column, kind="number", digits=1 if unit == "GPa" else 3)
    return [
        number(name, capitalized(title), f"predicted {title}", target.predicted_unit),
        Column(f"{name}{NONZERO}", "P > 0", f"probability of a {title} > 0", kind="number"),
        number(f"{name}{IF_NONZERO}", "if > 0", f"predicted {title} if it is not 0", unit),
        number(f"{name}{STD}", "spread", f"spread of the predicted {title}", unit),
        number(f"{name}{LOW}", "from", f"{title}, low end of the 90 % interval", unit),
        number(f"{name}{HIGH}", "to", f"{title}, high end of the 90 % interval", unit),
        number(f"{name}{TRUE}", "true", f"true {title}", unit),
    ]


def _write_cell(value: Any, column: Column) -> Cell:  # noqa: ANN401  a cell of any column
    if _is_missing(value):
        return Cell(_NOTHING, "")
    if column.kind == "number":
        return Cell(Markup(format_number(float(value), column.digits)), f"{value:.9g}")
    return _WRITERS[column.kind](value)


def _is_missing(value: Any) -> bool:  # noqa: ANN401  a cell of any column
    if hasattr(value, "__len__"):
        return len(value) == 0
    return pd.isna(value) or (isinstance(value, float) and math.isinf(value))


def _write_flags(value: str | Iterable[str]) -> Cell:
    flags = re.split(r"[;,|]", value) if isinstance(value, str) else map(str, value)
    badge = Markup('<span class="badge">{}</span>')
    names = [flag.strip().replace("_", " ") for flag in flags if flag.strip()]
    return Cell(Markup(" ").join(badge.format(name) for name in names), "; ".join(names))


def _write_change(text: str) -> Cell:
    first = text.split(maxsplit=1)[0].lower() if text.strip() else ""
    style = first if first in {"new", "up", "down"} else "same"
    return Cell(Markup('<span class="change {}">{}</span>').format(style, text))


def _write_link(text: str) -> Cell:
    link = relative_link(text)
    if link is None:
        return Cell(_NOTHING)
    return Cell(Markup('<a href="{}" download>CIF</a>').format(link))


_NOTHING = Markup('<span class="missing">{}</span>').format(MISSING)
_WRITERS: dict[CellKind, Callable[[Any], Cell]] = {
    "rank": lambda rank: Cell(Markup(format_count(int(rank))), str(int(rank))),
    "text": lambda text: Cell(Markup.escape(str(text))),
    "formula": lambda formula: Cell(formula_markup(str(formula)), str(formula)),
    "flags": _write_flags,
    "change": _write_change,
    "link": _write_link,
}
