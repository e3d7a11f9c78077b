"""Short tables and lines for the terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from crystalgnn_core.errors import printable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    import pandas as pd

    from crystalgnn_core.records.gate.report import GateReport
    from crystalgnn_core.reporting.report import StageNote
    from crystalgnn_core.reporting.screen import ReportState
    from crystalgnn_core.screening.result import ScreenResult

PIPED_WIDTH = 110


def console() -> Console:
    """Return a console for results; a pipe gets a fixed width instead of 80 columns."""
    width = None if sys.stdout.isatty() else PIPED_WIDTH
    return Console(width=width, highlight=False, soft_wrap=False)


def show_rows(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    n_whole: int = 0,
) -> None:
    """Print a table; cells may come from users' files, so markup in them is not obeyed.

    The first `n_whole` columns, such as names to be copied, are never folded.
    """
    table = Table(
        title=title, title_justify="left", title_style="bold", header_style="bold"
    )
    for index, column in enumerate(columns):
        is_number = column.startswith(
            ("#", "rank", "seconds", "MAE", "rows", "score", "count")
        )
        table.add_column(
            column.lstrip("#"),
            justify="right" if is_number else "left",
            overflow="fold",
            no_wrap=index < n_whole,
        )
    for row in rows:
        table.add_row(*(Text(printable(str(cell))) for cell in row))
    console().print(table)


def show_line(text: str) -> None:
    """Print one line as it is, never wrapped."""
    console().print(Text(printable(text)), soft_wrap=True)


def show_error(text: str) -> None:
    """Print one line to the error stream."""
    Console(stderr=True, highlight=False).print(
        Text(printable(f"crystalgnn: {' '.join(text.split())}")), soft_wrap=True
    )


def show_stages(title: str, stages: Iterable[StageNote]) -> None:
    """Print what each stage did."""
    rows = [(note.stage, f"{note.seconds:.1f}", note.note) for note in stages]
    show_rows(title, ("stage", "seconds", "what it did"), rows)


def show_suspicious(report: GateReport, store: Path) -> None:
    """Print why a version of a source is suspicious."""
    for reason in report.reasons:
        show_line(f"{report.source} is suspicious: {reason}")
    show_line(
        f"Nothing is trained on {report.source} until it is fixed, or accepted by "
        f"`crystalgnn records accept {report.source} --store {store}`"
    )


def show_rejects(counts: Mapping[tuple[str, str], int]) -> None:
    """Print the rejected rows by stage and reason, or that there are none."""
    rows = [(*stage_and_reason, count) for stage_and_reason, count in counts.items()]
    if rows:
        show_rows("Rejected rows", ("stage", "reason", "count"), rows)
    else:
        show_line("Rejected rows: none")


def show_left_out(names: Collection[str]) -> None:
    """Print how many files of folders were not read, by the ends of their names."""
    from crystalgnn_core.sources.formats.folders import count_left_out

    if names:
        show_line(count_left_out(names))


def show_screen(
    result: ScreenResult,
    report: ReportState,
    targets: Sequence[str],
    *,
    n_top: int,
    label: str,
) -> None:
    """Print the top of a ranking, how good it is where that is known, and where it lies.

    Args:
        result: The screen.
        report: Its report.
        targets: What the criteria of the score judge.
        n_top: Rows to print.
        label: Added to the titles.
    """
    import pandas as pd

    from crystalgnn_core.reporting.facts import novelty_facts
    from crystalgnn_core.reporting.judging import describe_quality
    from crystalgnn_core.targets import get_target

    whole = pd.read_parquet(f"{result.folder}/ranking.parquet")
    ranking = whole.head(n_top)
    headings = [f"#{get_target(name).heading}" for name in targets]
    show_rows(
        f"Top {len(ranking)} of {result.n_scored:,} candidates{label}",
        ("rank", "candidate", "formula", *headings, "score", "flags"),
        _ranking_rows(ranking, targets),
    )
    if report.quality is not None:
        title = f"How good the ranking is, by the known values{label}"
        show_rows(title, ("", "value"), list(describe_quality(report.quality).items()))
    for reason in report.not_judged:
        show_line(f"not judged  {reason}")
    for fact, count in novelty_facts(whole, n_top).items():
        show_line(f"{fact}  {count}")
    show_line(f"ranking  {result.folder}/ranking.csv")
    if result.rejected:
        show_line(f"rejects  {result.folder}/rejects.parquet")
    show_line(f"report   {report.page.path}")


def _ranking_rows(ranking: pd.DataFrame, targets: Sequence[str]) -> list[tuple[str, ...]]:
    return [
        (
            str(row["rank"]),
            str(row["candidate_id"]),
            str(row["formula"]),
            *(f"{row[name]:.3f}" for name in targets),
            f"{row['score']:.4f}",
            str(row["flags"]),
        )
        for row in ranking.to_dict("records")
    ]


def write_frame(output: Path, table: pd.DataFrame) -> None:
    """Write a table as the end of its name says, whole or not at all."""
    from crystalgnn_core.storage.files import atomic_path

    with atomic_path(output, with_checksum=False) as temporary:
        if output.suffix.lower() == ".parquet":
            table.to_parquet(temporary, index=False)
        else:
            table.to_csv(temporary, index=False)
