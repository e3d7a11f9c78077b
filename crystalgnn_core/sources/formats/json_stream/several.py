"""Whether a text holds several JSON documents: a line each, or one after another."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from crystalgnn_core.sources.formats.archives import read_blocks
from crystalgnn_core.sources.formats.json_text import load_json
from crystalgnn_core.sources.formats.parsing import unreadable

if TYPE_CHECKING:
    from crystalgnn_core.sources.formats.archives import Packed

_LONGEST_LINE = 2**24  # bytes of a document that is parsed to find out what it is
_LONGEST_BEGIN = 2**22  # bytes within which a first document of several ends


def has_lines(source: Packed) -> bool:
    """Return whether the first line is a document and others follow."""
    text = b""
    for block in read_blocks(source):
        text += block
        line, end, rest = text.removeprefix(b"\xef\xbb\xbf").lstrip().partition(b"\n")
        if end and rest.strip():
            try:
                load_json(line)
            except (ValueError, RecursionError):
                return False
            return rest.lstrip().startswith(b"{")
        if len(text) > _LONGEST_LINE:
            return False
    return False


def check_one_document(source: Packed) -> None:
    """Check that no other object follows the first.

    Raises:
        RecordError: One does, as `mongoexport --pretty` and `jq .` write them.
    """
    text = b""
    for block in read_blocks(source):
        text += block
        if len(text) > _LONGEST_BEGIN:
            break
    begin = text.decode(errors="replace").removeprefix("\ufeff").lstrip()
    try:
        end = json.JSONDecoder(strict=False).raw_decode(begin)[1]
    except (ValueError, RecursionError):
        return
    if begin[end:].lstrip(", \t\r\n").startswith("{"):
        raise unreadable(
            "the file holds several JSON documents one after another; write them as one "
            "list, or each on a line of its own without commas"
        )
