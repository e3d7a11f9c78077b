"""The members of a long JSON list or object, one at a time, never the whole file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from crystalgnn_core.sources.formats.archives import DAMAGE, read_blocks
from crystalgnn_core.sources.formats.json_stream.scan import (
    INSIDE,
    PHASE,
    initial_state,
    scan,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LONGEST_MEMBER = 2**28  # bytes; where quotes are missing all the rest would be one member
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
Shape = Literal["list", "object"]


class Outside(NamedTuple):
    """What holds the members.

    Attributes:
        shape: A list or an object.
        offset: Byte of the unpacked text behind its bracket.
    """

    shape: Shape
    offset: int


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


def outside_of(path: Path) -> Outside | None:
    """Tell a list from an object by its first bracket; None for anything else."""
    head = next(_blocks(path, 0), b"")
    rest = head.removeprefix(_BYTE_ORDER_MARK).lstrip()
    shapes: dict[bytes, Shape] = {b"[": "list", b"{": "object"}
    shape = shapes.get(rest[:1])
    return None if shape is None else Outside(shape, len(head) - len(rest) + 1)


def iter_members(path: Path, shape: Shape, offset: int) -> Iterator[Member]:
    """Yield the texts of the members of a list or object.

    The borders between them are found by brackets and quotes alone, so a broken member is
    one, and those behind it are whole.

    Args:
        path: The file, in gzip, zip or plain.
        shape: What holds the members.
        offset: Byte at which a member begins.
    """
    state = initial_state(INSIDE)
    held: list[bytes] = []
    begin = at = offset
    is_first = True
    for block in _blocks(path, offset):
        start = 0
        for border in scan(block, state).tolist():
            member = Member(begin, b"".join([*held, block[start:border]]))
            is_end = state[PHASE] != INSIDE and block[border : border + 1] == b"]"
            if not (is_first and is_end and not member.text.strip()):
                yield member
            held.clear()
            start, begin, is_first = border + 1, at + border + 1, False
        if state[PHASE] != INSIDE:
            return
        held.append(block[start:])
        at += len(block)
        if at - begin > _LONGEST_MEMBER:
            yield Member(begin, b"", "it does not end; a quote or bracket is missing")
            return
    yield from _ending(Member(begin, b"".join(held)), shape, is_first=is_first)


def parse_member(member: Member, shape: Shape) -> tuple[str | None, Any]:
    """Return the key, None in a list, and the value of a member.

    Raises:
        ValueError: It is not valid JSON.
        RecursionError: It is nested too deeply.
    """
    if member.fault is not None:
        raise ValueError(member.fault)
    if shape == "list":
        return None, json.loads(member.text)
    [found] = json.loads(b"{" + member.text + b"}").items()
    return found


def _ending(rest: Member, shape: Shape, *, is_first: bool) -> Iterator[Member]:
    """Yield what is left when the file ends: of an object its last member and bracket."""
    text = rest.text.rstrip()
    if shape == "object" and text.endswith(b"}"):
        if text[:-1].strip() or not is_first:
            yield rest._replace(text=text[:-1])
        return
    if _is_whole(rest, shape):
        yield rest
    yield Member(rest.offset, b"", f"the {shape} breaks off here")


def _is_whole(member: Member, shape: Shape) -> bool:
    try:
        parse_member(member, shape)
    except (ValueError, RecursionError):
        return False
    return True


def _blocks(path: Path, offset: int) -> Iterator[bytes]:
    """Yield the text of a file in blocks; a damaged archive ends where it is damaged."""
    try:
        yield from read_blocks(path, offset)
    except DAMAGE as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of the disk, not of the archive
