"""The page of a screen: one HTML file that needs no network and no other file."""

from __future__ import annotations

import base64
import gzip
import hashlib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from crystalgnn_core.records.provenance import is_noncommercial, name_noncommercial
from crystalgnn_core.reporting import text
from crystalgnn_core.reporting.panels import draw_panels
from crystalgnn_core.reporting.reliability import class_scores
from crystalgnn_core.reporting.report import MAX_TABLE_ROWS
from crystalgnn_core.reporting.style import COLORS, DARK, FONT, LIGHT
from crystalgnn_core.reporting.table import table_columns, table_rows
from crystalgnn_core.storage.files import write_text
from crystalgnn_core.targets import TARGETS

if TYPE_CHECKING:
    from pathlib import Path

    from crystalgnn_core.reporting.comparison import Comparison
    from crystalgnn_core.reporting.report import ScreenReport

PACKAGE = "crystalgnn_core.reporting"


def write_report(path: Path, report: ScreenReport) -> None:
    """Render a report and write it atomically."""
    write_text(path, render_report(report))


def render_report(report: ScreenReport) -> str:
    """Render a report as one HTML document.

    The same report always gives the same text. Scripts are admitted by their digests alone,
    and nothing may be fetched (content security policy), so that even a mistake in escaping
    could neither run a script nor send data anywhere.
    """
    ranking = report.ranking.head(MAX_TABLE_ROWS)
    columns = table_columns(ranking)
    panels = draw_panels(report)
    script, (plotly, plotly_digest) = _template_text("report.js"), _packed_plotly()
    return (
        _environment()
        .get_template("report.html")
        .render(
            report=report,
            columns=columns,
            rows=table_rows(ranking, columns),
            panels=panels,
            plot_data={"plots": panels.specs, "dark": dict(COLORS.values())},
            key_numbers=_key_numbers(report),
            examples=_examples_by_reason(report),
            noncommercial=name_noncommercial(use.facts for use in report.data),
            targets=TARGETS,
            suffix=" (synthetic data)" if report.is_synthetic else "",
            light=LIGHT,
            dark=DARK,
            font=Markup(FONT),
            style=Markup(_template_text("report.css")),
            script=Markup(script),
            script_digests=(_script_digest(script), plotly_digest),
            packed_plotly=Markup(plotly),
        )
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader(PACKAGE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {
        "allow_nan": False,
        "separators": (",", ":"),
    }
    environment.filters |= {
        "count": text.format_count,
        "share": text.format_share,
        "seconds": text.format_seconds,
        "formula": text.formula_markup,
        "is_noncommercial": is_noncommercial,
    }
    return environment


def _template_text(name: str) -> str:
    return files(PACKAGE).joinpath("templates", name).read_text(encoding="utf-8")


@cache
def _packed_plotly() -> tuple[str, str]:
    """Return plotly.js as base64 of gzip (2 MB, not 4.8 MB), and its script digest."""
    from plotly.offline import get_plotlyjs

    source = get_plotlyjs()
    packed = gzip.compress(source.encode(), mtime=0)
    return base64.b64encode(packed).decode("ascii"), _script_digest(source)


def _script_digest(source: str) -> str:
    digest = hashlib.sha256(source.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"


def _key_numbers(report: ScreenReport) -> list[tuple[str | Markup, str, str]]:
    """Return value, label and note of the numbers in the header."""
    counts = report.counts
    numbers: list[tuple[str | Markup, str, str]] = [
        (text.format_count(counts.n_in), "candidates in", ""),
        (
            text.format_count(counts.n_scored),
            "scored",
            f"{text.format_share(counts.n_scored, counts.n_in)} of those in",
        ),
    ]
    if len(report.ranking):
        first = report.ranking.iloc[0]
        note = f"score {text.format_number(float(first['score']))}"
        numbers.append((text.formula_markup(str(first["formula"])), "ranked first", note))
    numbers += map(_key_error, report.parity)
    return numbers


def _key_error(data: Comparison) -> tuple[str, str, str]:
    """Return value, label and note of the error of one target."""
    target = TARGETS[data.target]
    if target.is_class:
        word, (value, other) = "AUC", (scores.auc for scores in class_scores(data))
    else:
        word, value = "MAE", data.metrics.mae
        other = data.baseline.mae if data.baseline else None
    note = "" if other is None else f"composition only {text.format_number(other)}"
    shown = target.with_unit(text.format_number(value))
    return shown, f"{data.split} {word}, {target.title}", note


def _examples_by_reason(report: ScreenReport) -> dict[str, list[tuple[str, str]]]:
    examples: dict[str, list[tuple[str, str]]] = {reason: [] for reason in report.rejects}
    for material_id, reason, message in report.reject_examples:
        examples.setdefault(reason, []).append(
            (material_id, message.removeprefix(f"{material_id}:").strip())
        )
    return examples
