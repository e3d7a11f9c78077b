"""The task that links rows of several sources that are the same material."""

from __future__ import annotations

from pathlib import Path

from prefect import task

from crystalgnn_core.records.links.config import LinkConfig
from crystalgnn_core.records.links.linking import link_records
from crystalgnn_core.records.links.table import LinkReport
from tasks.options import OPTIONS


@task(**OPTIONS)
def link_sources(store: Path, linking: LinkConfig) -> LinkReport:
    """Link the records; structures that are known already are not compared again."""
    return link_records(store, linking)
