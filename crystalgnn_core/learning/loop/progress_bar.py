"""The progress bar of a training run, on a terminal only."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def progress_bar(n_steps: int, *, n_done: int) -> Iterator[Callable[[float], None]]:
    """Show a bar while a run of so many steps goes on, some done by an earlier process.

    Yields:
        A function to call after each step with the structures trained on a second.
    """
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    with bar:
        task = bar.add_task("train", total=n_steps, completed=n_done, speed="")
        yield lambda speed: bar.update(task, advance=1, speed=f"{speed:,.0f} structures/s")
