"""The records of a CSV file: delimiters, line ends, and quotes of any writer."""

from __future__ import annotations

import codecs
import csv
import re
from functools import partial
from itertools import chain
from typing import IO, TYPE_CHECKING, NamedTuple

from crystalgnn_core.errors import SourceError
from crystalgnn_core.sources.formats.archives import LARGEST_TEXT, opened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

_HEAD = 2**16  # bytes that show how a file is written
_DELIMITERS = frozenset({",", ";", "\t"})
_ESCAPED = re.compile(r'\\(["\\\n])')  # of MySQL a line end, too
_BLANKS = re.compile(r'" +(?=[,;\t\r\n]|$)')  # behind a closing quote
_CUT = "unexpected end of data"  # of Python, for a quote that is not closed
_NOT_CLOSED = "a quote is opened in this row and not closed; the rest of the file is lost"


class Dialect(NamedTuple):
    """How a CSV file is written.

    Attributes:
        start: The byte at which its first line begins.
        delimiter: What stands between cells.
        with_returns: Whether carriage returns alone end the rows.
    """

    start: int
    delimiter: str
    with_returns: bool


def dialect_of(path: Path) -> Dialect:
    """Return how a CSV file is written, by its first line.

    Raises:
        SourceError: It is no text.
    """
    with opened(path) as stream:
        head = stream.read(_HEAD)
    if b"\0" in head:
        line = head.partition(b"\0")[0].count(b"\n") + 1
        raise SourceError(
            f"{path}: line {line} holds a NUL, so it is no text; save it as CSV in UTF-8"
        )
    start = len(codecs.BOM_UTF8) if head.startswith(codecs.BOM_UTF8) else 0
    # what is outside quotes; a decimal comma never stands in the first cell
    unquoted = re.sub(rb'"[^"]*"', b"", head[start:].lstrip())
    end = re.search(rb"\r?\n|\r", unquoted)
    with_returns = end is not None and end[0] == b"\r"
    if stated := re.match(rb"sep=(.)(?:\r?\n|\r)", head[start:]):  # of Excel
        delimiter = stated[1].decode("ascii", errors="replace")
        return Dialect(start + stated.end(), delimiter, with_returns)
    found = re.search(rb"[,;\t\r\n]", unquoted)
    delimiter = "," if found is None else found[0].decode()
    is_known = delimiter in _DELIMITERS
    return Dialect(start, delimiter if is_known else ",", with_returns)


def records_of(
    path: Path, dialect: Dialect, offset: int
) -> Iterator[tuple[int, list[str], str | None]]:
    r"""Yield the byte behind each record, its fields, and why it is none.

    Args:
        path: The file.
        dialect: How it is written.
        offset: Byte of the first record.
    """
    csv.field_size_limit(LARGEST_TEXT)  # CIF texts pass the default of 128 KiB
    read = partial(csv.reader, delimiter=dialect.delimiter, strict=True)
    with opened(path) as stream:
        lines = _Lines(stream, offset, with_returns=dialect.with_returns)
        is_done, width = False, 0
        while not is_done:
            try:
                for fields in read(lines):
                    if fields:
                        width = len(fields)
                        yield lines.end(), fields, None
                    lines.held.clear()
                is_done = True
            except csv.Error as error:  # of one record
                fields, fault = _reread(read, lines, width, error)
                yield lines.end(), fields, fault
                lines.held.clear()


class _Lines:
    """Lines of a CSV file.

    Attributes:
        held: Those of the record that is being read.
    """

    def __init__(self, stream: IO[bytes], offset: int, *, with_returns: bool) -> None:
        stream.seek(offset)
        self.held: list[str] = []
        self._stream = stream
        self._n_ahead = 0  # bytes of the last line that are not read
        # one iterator, so that a reader goes on where the last one was
        self._begin = self._read_parts if with_returns else self._read
        self._texts = self._begin()

    def __iter__(self) -> Iterator[str]:
        return self._texts

    def end(self) -> int:
        """Return the byte behind the lines that were read."""
        return self._stream.tell() - self._n_ahead

    def go_back(self, offset: int, n_held: int) -> None:
        """Go on at a byte behind the first lines of those that are held."""
        del self.held[n_held:]
        self._stream.seek(offset)
        self._n_ahead = 0
        self._texts = self._begin()

    def _read(self) -> Iterator[str]:
        hold = self.held.append
        for line in self._stream:
            text = line.decode("utf-8", errors="replace")
            hold(text)
            yield text

    def _read_parts(self) -> Iterator[str]:
        for line in self._stream:
            self._n_ahead = len(line)
            for part in line.splitlines(keepends=True):
                self._n_ahead -= len(part)
                self.held.append(part.decode("utf-8", errors="replace"))
                yield self.held[-1]


def _reread(
    read: Callable[[Iterable[str]], Iterator[list[str]]],
    lines: _Lines,
    width: int,
    error: csv.Error,
) -> tuple[list[str], str | None]:
    r"""Read a record whose quotes are written as `\"`, or have blanks behind them.

    What is read behind its faulty line is read again unless the record becomes whole.
    """
    has_escapes = any('\\"' in line for line in lines.held)
    plain = partial(_with_plain_quotes, has_escapes=has_escapes)
    end, n_held = lines.end(), len(lines.held)
    try:
        fields = next(read(map(plain, chain(lines.held.copy(), lines))))
    except (csv.Error, StopIteration):
        fields = []
    if fields and width in {0, len(fields)}:
        return fields, None
    lines.go_back(end, n_held)
    if _CUT in str(error):
        return [], _NOT_CLOSED
    left = f"; {n_held} lines are left out with it" if n_held > 1 else ""
    return [], f"not a row of CSV ({_reason(error)}){left}"


def _with_plain_quotes(line: str, *, has_escapes: bool) -> str:
    r"""Double quotes that follow a backslash, as Spark and MySQL write them."""
    if has_escapes:
        line = _ESCAPED.sub(lambda found: found[1] * (1 + (found[1] == '"')), line)
    return _BLANKS.sub('"', line)


def _reason(error: csv.Error) -> str:
    found = str(error)
    if "expected after" in found:
        return "text stands behind a closing quote; double the quotes within a cell"
    if "new-line" in found:
        return "a carriage return stands in a cell without quotes; put the cell in quotes"
    return found
