"""Artifacts that the Prefect pages show: tables and texts of what was done, progress."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

from prefect import task
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

from crystalgnn_core.reporting.report import StageNote
from tasks.options import OPTIONS

if TYPE_CHECKING:
    from uuid import UUID


@task(**OPTIONS)
def publish_summary(key: str, stages: tuple[StageNote, ...], text: str) -> None:
    """Publish what each stage did as a table, and the outcome as markdown.

    Args:
        key: Lower-case letters, digits and dashes; the text's key ends in `-summary`.
        stages: Rows of the table.
        text: Markdown.
    """
    rows = [
        {"stage": note.stage, "seconds": round(note.seconds, 1), "result": note.note}
        for note in stages
    ]
    create_table_artifact(rows, key=key, description="What each stage did")
    create_markdown_artifact(text, key=f"{key}-summary")


class Progress:
    """Rows that are done of those expected, shown once there is more to come.

    Args:
        name: What is under way; also the key, with dashes for all but letters and digits.
        n_expected: Rows in all; None where nobody knows.
    """

    def __init__(self, name: str, n_expected: int | None) -> None:
        self.name = name
        self.n_done = 0
        self._n_expected = n_expected
        self._artifact: UUID | None = None

    def add(self, n_rows: int, *, share: float) -> None:
        """Count rows that are done.

        Args:
            n_rows: How many more.
            share: Part of the steps known so far that is done; 1 when nothing is left.
        """
        self.n_done += n_rows
        if share == 1.0 and self._artifact is None:
            return  # done at a stroke
        if self._n_expected and share < 1.0:
            share = min(0.99, self.n_done / self._n_expected)
        text = f"{self.name}: {self.n_done:,} rows"
        if self._n_expected is not None:
            text += f" of {self._n_expected:,}"
        if self._artifact is None:
            made = create_progress_artifact(
                100 * share, key=artifact_key(self.name), description=text
            )
            self._artifact = cast("UUID", made)  # a coroutine only inside an event loop
        else:
            update_progress_artifact(self._artifact, 100 * share, description=text)


def artifact_key(name: str) -> str:
    """Write a name in the lower-case letters, digits and dashes of a key."""
    return re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")
