"""JSON lines: each line of a file is the document of one material."""

from __future__ import annotations

from crystalgnn_core.sources.formats.json_layout import Layout
from crystalgnn_core.sources.formats.json_rows import JsonFile


class JsonLines(JsonFile):
    """A file of one JSON document a line, by its name; see `JsonFile`."""

    kind = "JSON lines"

    def _layout(self) -> Layout:
        return Layout(is_lines=True)
