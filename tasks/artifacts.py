"""Artifacts that the Prefect pages show: one table and one text at the end of a flow."""

from __future__ import annotations

from prefect import task
from prefect.artifacts import create_markdown_artifact, create_table_artifact

from crystalgnn_core.reporting.screen import StageNote
from tasks.options import OPTIONS


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
