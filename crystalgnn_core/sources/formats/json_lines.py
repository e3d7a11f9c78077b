"""JSON lines: each line of a file is the document of one structure."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

from crystalgnn_core.sources.formats.archives import opened
from crystalgnn_core.sources.formats.columns import ID_COLUMNS
from crystalgnn_core.sources.formats.objects import crystal_from_any
from crystalgnn_core.sources.formats.parsing import as_mapping, read_row, refuse, unreadable
from crystalgnn_core.sources.formats.row_file import RowFile, cut, merge_if_packed
from crystalgnn_core.sources.formats.structure_input import StructureInput

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import IO

    from crystalgnn_core.sources.formats.structure_input import Content

_LONGEST_LINE = 2**28  # bytes


class JsonLines(RowFile):
    """A file of one JSON document a line; values are what stands beside the structure."""

    kind = "JSON lines"
    id_keys = (*ID_COLUMNS, "jid", "entry_id")

    def slices(self, size: int) -> list[dict[str, Any]]:
        """List ranges of lines with the byte at which the first begins."""
        with opened(self.path) as stream:
            parts = cut((("offset", offset) for offset, _ in _lines(stream)), size)
        return merge_if_packed(self.path, parts)

    def rows(
        self, part: Mapping[str, Any], id_key: str | None = None
    ) -> Iterator[StructureInput]:
        """Yield the documents of a range."""
        with opened(self.path) as stream:
            stream.seek(part["offset"])
            lines = zip(range(part["n_rows"]), _lines(stream), strict=False)
            for row, (_, line) in enumerate((each for _, each in lines), part["row"] + 1):
                found = read_row(partial(_document, line), "a line of JSON")
                values: Mapping[str, Any] = {}
                content: Content = partial(refuse, str(found))
                if isinstance(found, dict):
                    content, values = _content_of(found), found
                name = self.id_of(part, values, row, id_key)
                yield StructureInput(name, f"{self.path.name} line {row}", content, values)


def _lines(stream: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that are not blank, each with the byte at which it begins."""
    offset = stream.tell()
    while line := stream.readline(_LONGEST_LINE):
        if line.removeprefix(b"\xef\xbb\xbf").strip():
            yield offset, line
        offset += len(line)


def _document(line: bytes) -> dict[str, Any]:
    value = json.loads(line.decode("utf-8-sig"))
    if not isinstance(value, dict):
        raise unreadable(
            f"the line holds a JSON {type(value).__name__}, expected an object"
        )
    return value


def _content_of(document: Mapping[str, Any]) -> Content:
    inner = as_mapping(document.get("structure")) or document
    return partial(crystal_from_any, inner)
