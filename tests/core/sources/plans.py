"""The parts of a source that no store knows yet."""

from pathlib import Path
from tempfile import TemporaryDirectory

from crystalgnn_core.sources.ingest.stored import StoredSource


def parts_of(source):
    with TemporaryDirectory() as store:
        return source.plan(StoredSource(Path(store), source.name)).parts
