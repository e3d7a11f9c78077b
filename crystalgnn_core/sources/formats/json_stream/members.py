"""The members of a long JSON list or object, one at a time, never the whole file.

The borders between them are found by a scan that knows strings, escapes and nesting, but
checks nothing else: a broken member is one member, and those behind it are whole.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from crystalgnn_core.errors import SourceError
from crystalgnn_core.sources.formats.archives import DamagedFileError, read_blocks
from crystalgnn_core.sources.formats.json_text import load_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from crystalgnn_core.sources.formats.archives import Packed

_LONGEST_MEMBER = 2**28  # bytes; where quotes are missing all the rest would be one member
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
Shape = Literal["list", "object"]
_TRAILING = (
    "the {} ends before byte {:,} and the text goes on; a bracket is missing or one too "
    "many"
)
_CUT_OFF = (
    "the {} does not end in its {:,} bytes; the file is cut off, or a bracket or quote is "
    "missing"
)
SHAPES: dict[bytes, Shape] = {b"[": "list", b"{": "object"}


class Outside(NamedTuple):
    """What holds the members.

    Attributes:
        shape: A list or an object.
        offset: Byte of the unpacked text behind its bracket.
        end: Byte behind its other bracket; None for the end of the file.
    """

    shape: Shape
    offset: int
    end: int | None = None


class Member(NamedTuple):
    """The text of a member of a list or object.

    Attributes:
        offset: Byte of the unpacked text at which it begins.
        text: Its bytes, with the key in an object.
        fault: Why there is none, or nothing behind it; None for a member.
    """

    offset: int
    text: bytes
    fault: str | None = None


class Range(NamedTuple):
    """Some elements of a list.

    Attributes:
        first: Position of the first element.
        n: How many.
        offset: Byte at which the first one begins.
    """

    first: int
    n: int
    offset: int


def outside_of(path: Packed) -> Outside | None:
    """Look up whether a file holds a list or an object; None for anything else."""
    offset = 0
    for block in read_blocks(path):
        rest = (block if offset else block.removeprefix(_BYTE_ORDER_MARK)).lstrip()
        offset += len(block)
        if rest:
            shape = SHAPES.get(rest[:1])
            return None if shape is None else Outside(shape, offset - len(rest) + 1)
    return None


def blocks_within(path: Packed, outside: Outside, offset: int) -> Iterator[bytes]:
    """Yield the text of a list or object from a byte on, in blocks."""
    left = None if outside.end is None else outside.end - offset
    for block in read_blocks(path, offset):
        yield block[:left]
        if left is not None and (left := left - len(block)) <= 0:
            return


def iter_members(
    path: Packed, outside: Outside, offset: int | None = None
) -> Iterator[Member]:
    """Yield the texts of the members, all or from a byte on, and what ails their end."""
    from crystalgnn_core.sources.formats.json_stream import scan

    state = scan.initial_state()
    held: list[bytes] = []
    begin = at = outside.offset if offset is None else offset
    fault = None
    try:
        for block in blocks_within(path, outside, at):
            start = 0
            for border in scan.scan(block, state).tolist():
                text = b"".join([*held, block[start:border]])
                is_only = begin == outside.offset and block[border : border + 1] == b"]"
                if not is_only or text.strip():
                    yield Member(begin, text)
                held.clear()
                start, begin = border + 1, at + border + 1
            held.append(block[start:])
            at += len(block)
            if state[scan.PHASE] == scan.TRAILING:
                yield Member(begin, b"", _TRAILING.format(outside.shape, begin))
                return
            if at - begin > _LONGEST_MEMBER:
                yield Member(begin, b"", "it does not end; a quote or bracket is missing")
                return
    except DamagedFileError as error:
        fault = str(error)
    if fault is not None or state[scan.PHASE] == scan.INSIDE:
        fault = fault or _CUT_OFF.format(outside.shape, at)
        rest = Member(begin, b"".join(held), fault)
        yield from _ending(rest, outside.shape, is_only=begin == outside.offset)


def iter_lines(path: Packed, offset: int = 0) -> Iterator[Member]:
    """Yield the lines of a text from a byte on as members of a list, none that is blank."""
    begin, held = offset, b""
    for block in read_blocks(path, offset):
        *lines, held = (held + block).split(b"\n")
        for line in lines:
            if line.strip():
                yield Member(begin, line.removeprefix(_BYTE_ORDER_MARK))
            begin += len(line) + 1
        if len(held) > _LONGEST_MEMBER:
            yield Member(begin, b"", "the line does not end; the file is no JSON lines")
            return
    if held.strip():
        yield Member(begin, held.removeprefix(_BYTE_ORDER_MARK))


def parse_member(member: Member, shape: Shape) -> tuple[str | None, Any]:
    """Return the key, None in a list, and the value of a member.

    Raises:
        ValueError: It is not valid JSON.
        RecursionError: It is nested too deeply.
    """
    if member.fault is not None:
        raise ValueError(member.fault)
    if shape == "list":
        return None, load_json(member.text)
    found = load_json(b"{" + member.text + b"}")
    if not isinstance(found, dict) or len(found) != 1:  # a wrapped value such as an id
        raise ValueError("a member of the object has no value of its own")
    return next(iter(found.items()))


def find_ranges(path: Path, size: int) -> list[Range]:
    """Find ranges of `size` elements of a JSON list, the last one shorter.

    Raises:
        SourceError: The text is no list, goes on after it, or ends before it does.
    """
    outside = outside_of(path)
    if outside is None or outside.shape != "list":
        raise SourceError("the text is no JSON list: it does not begin with [")
    starts: list[int] = []
    n = 0
    for member in iter_members(path, outside):
        if member.fault is not None:
            raise SourceError(member.fault)
        if n % size == 0:
            starts.append(member.offset)
        n += 1
    firsts = zip(range(0, n, size), starts, strict=True)
    return [Range(first, min(size, n - first), start) for first, start in firsts]


def read_range(path: Path, offset: int, n: int) -> Iterator[bytes]:
    """Yield the texts of the `n` elements of a JSON list from a byte on.

    Raises:
        SourceError: There are fewer, or the file is damaged.
    """
    members = iter_members(path, Outside("list", 0), offset)
    for member in islice(members, n):
        if member.fault is not None:
            raise SourceError(member.fault)
        yield member.text
        n -= 1
    if n:
        raise SourceError(f"the JSON list ends {n} elements too early")


def _ending(rest: Member, shape: Shape, *, is_only: bool) -> Iterator[Member]:
    """Yield what is left when the file ends: of an object its last member and bracket."""
    text = rest.text.rstrip()
    if shape == "object" and text.endswith(b"}"):
        if text[:-1].strip() or not is_only:
            yield rest._replace(text=text[:-1], fault=None)
        return
    try:
        parse_member(rest._replace(fault=None), shape)
    except (ValueError, RecursionError):
        pass
    else:
        yield rest._replace(fault=None)
    yield rest._replace(text=b"")
