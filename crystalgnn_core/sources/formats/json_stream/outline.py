"""What stands where in a long JSON document, found without holding any of it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, NamedTuple

from crystalgnn_core.sources.formats.json_stream.members import (
    SHAPES,
    Outside,
    blocks_within,
)

if TYPE_CHECKING:
    from crystalgnn_core.sources.formats.archives import Packed

_HEAD = 4096  # bytes of a member in which its key ends
_KEY = re.compile(rb'\s*("(?:[^"\\]|\\.)*")\s*:\s*', re.DOTALL)
_SPACE = re.compile(rb"\s*")


class Span(NamedTuple):
    """A member of a list or object.

    Attributes:
        key: Its key; None in a list.
        offset: Byte of the unpacked text at which its value begins.
        end: Byte behind its value.
        inside: The list or object that it is; None for anything else.
    """

    key: str | None
    offset: int
    end: int
    inside: Outside | None


def outline(path: Packed, outside: Outside, limit: int) -> list[Span]:
    """List the first members of a list or object.

    Args:
        path: The file, or its content.
        outside: What holds the members.
        limit: The most members that are listed.

    Raises:
        DamagedFileError: The file cannot be unpacked.
    """
    from crystalgnn_core.sources.formats.json_stream import scan

    spans: list[Span] = []
    state = scan.initial_state()
    head, begin = b"", outside.offset
    at = end = begin
    for block in blocks_within(path, outside, begin):
        start = 0
        for border in scan.scan(block, state).tolist():
            head += block[start : min(border, start + _HEAD)]
            spans.append(_span(head, begin, at + border, outside.shape))
            if len(spans) == limit:
                return spans
            head, start, begin = b"", border + 1, at + border + 1
        head += block[start : start + _HEAD - len(head)]
        end = at + len(block.rstrip()) or end
        at += len(block)
    if state[scan.PHASE] == scan.INSIDE and head.strip() not in {b"", b"}"}:
        spans.append(_span(head, begin, end - 1, outside.shape))  # in front of its brace
    return spans


def _span(head: bytes, begin: int, end: int, shape: str) -> Span:
    found = (_KEY if shape == "object" else _SPACE).match(head)
    if found is None:
        return Span(None, begin, end, None)
    key = json.loads(found[1]) if shape == "object" else None
    offset = begin + found.end()
    first = head[found.end() : found.end() + 1]
    inside = Outside(SHAPES[first], offset + 1, end) if first in SHAPES else None
    return Span(key, offset, end, inside)
