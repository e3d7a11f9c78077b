"""The report of a screen: one HTML file that needs no network and no other file."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from crystalgnn_core.errors import IntegrityError
from crystalgnn_core.records.provenance import is_noncommercial, name_noncommercial
from crystalgnn_core.reporting import text
from crystalgnn_core.reporting.panels import draw_panels
from crystalgnn_core.reporting.reliability import ReliabilityData
from crystalgnn_core.reporting.style import DARK, FONT, LIGHT, dark_colors
from crystalgnn_core.reporting.table import table_columns, table_rows
from crystalgnn_core.storage.files import write_text
from crystalgnn_core.targets import TARGETS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pandas as pd

    from crystalgnn_core.reporting.data_sources import DataUse
    from crystalgnn_core.reporting.parity import ParityData
    from crystalgnn_core.reporting.recovery import RecoveryCurve

MAX_TABLE_ROWS = 1000
PACKAGE = "crystalgnn_core.reporting"


@dataclass(frozen=True, kw_only=True)
class ScreenCounts:
    """What became of every candidate: in = scored + rejected + duplicates + prescreened.

    Raises:
        IntegrityError: The counts do not add up.
    """

    n_in: int
    n_scored: int
    n_rejected: int = 0
    n_duplicates: int = 0
    n_prescreened: int | None = None  # None without a pre-screen

    def __post_init__(self) -> None:
        left_out = self.n_prescreened or 0
        found = self.n_scored + self.n_rejected + self.n_duplicates + left_out
        if found != self.n_in:
            prescreened = f" + {left_out} prescreened" if left_out else ""
            raise IntegrityError(
                f"{self.n_in} candidates in, but {self.n_scored} scored + "
                f"{self.n_rejected} rejected + {self.n_duplicates} duplicates"
                f"{prescreened} = {found}; rerun the screen"
            )


@dataclass(frozen=True, kw_only=True)
class ScreenReport:
    """Everything the page shows; all text may come from users' files and is escaped.

    Attributes:
        title: Heading, such as the screen's name.
        subtitle: One line below it, such as model and screen id.
        created: When the screen was made, as shown.
        counts: What became of every candidate.
        ranking: Columns of the ranking contract; optionally `<target>_true` and
            `energy_above_hull_true` where the truth is known, `cif` with a file path
            relative to the page, and `change` since the last screen. Columns without
            values are not shown, and only the first 1000 rows are.
        n_ranked: Rows of the whole ranking, of which `ranking` may be the first part.
        score_description: How the score is made, in words.
        is_synthetic: Whether the data is made up, which the page then says prominently.
        model: Key facts on the model.
        settings: Settings of the screen.
        versions: Package and data versions.
        gap_window: Wanted band gaps in eV; a bound may be infinite.
        label_schemes: Target to label scheme.
        data: What data models and candidates come from, with licences and citations.
        data_facts: What else is told of the data, such as how far the two overlap.
        funnel: Steps with the number of candidates left, beginning with those that came in.
        rejects: Reject reason to count; adds up to `counts.n_rejected`.
        reject_examples: Id, reason and message of some rejected candidates.
        parity: Predicted against true values, or probabilities against classes, one entry a
            target and split.
        scatter: See `plots.plane_figure`; None without a predicted band gap.
        n_top: Number of leading candidates highlighted in the map.
        quality: How good the ranking is; only where the truth is known.
        not_judged: Why that, or a part of it, is not told although values are known.
        recovery: How early the ranking meets the truly best; only where the truth is known.
        history: Training history, see `history.history_panels`.
        stages: Stage, seconds and note.
        changes: Counts of new, changed, removed and unchanged candidates of a re-screen.
        csv_name: File beside the page that holds the whole ranking; None if there is none.

    Raises:
        IntegrityError: The reject reasons do not add up to the number of rejects.
    """

    title: str
    subtitle: str
    created: str
    counts: ScreenCounts
    ranking: pd.DataFrame
    n_ranked: int
    score_description: str
    is_synthetic: bool = False
    model: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    gap_window: tuple[float, float] | None = None
    label_schemes: Mapping[str, str] = field(default_factory=dict)
    data: Sequence[DataUse] = ()
    data_facts: Mapping[str, str] = field(default_factory=dict)
    funnel: Sequence[tuple[str, int]] = ()
    rejects: Mapping[str, int] = field(default_factory=dict)
    reject_examples: Sequence[tuple[str, str, str]] = ()
    parity: Sequence[ParityData | ReliabilityData] = ()
    scatter: pd.DataFrame | None = None
    n_top: int = 50
    quality: Mapping[str, str] | None = None
    not_judged: Sequence[str] = ()
    recovery: RecoveryCurve | None = None
    history: pd.DataFrame | None = None
    stages: Sequence[tuple[str, float, str]] = ()
    changes: Mapping[str, int] | None = None
    csv_name: str | None = "ranking.csv"

    def __post_init__(self) -> None:
        found = sum(self.rejects.values())
        if found != self.counts.n_rejected:
            raise IntegrityError(
                f"{self.counts.n_rejected} candidates rejected, but the reasons count "
                f"{found}; rerun the screen"
            )


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
            plot_data=_embed_json({"plots": panels.specs, "dark": dark_colors()}),
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


def _embed_json(value: Any) -> Markup:  # noqa: ANN401  any JSON value
    """Write JSON that no text in it can end: `</script>` and `<!--` lose their `<`."""
    document = json.dumps(value, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        document = document.replace(character, f"\\u{ord(character):04x}")
    return Markup(document)


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


def _key_error(data: ParityData | ReliabilityData) -> tuple[str, str, str]:
    """Return value, label and note of the error of one target."""
    target = TARGETS[data.target]
    if isinstance(data, ReliabilityData):
        word, value, other = "AUC", data.scores.auc, data.baseline_scores.auc
    else:
        word, value, other = "MAE", data.mae, data.baseline_mae
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
