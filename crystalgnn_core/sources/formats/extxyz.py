"""Extended XYZ files: frames with a lattice, and labels in the line of comments."""

from __future__ import annotations

import io
import re
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from crystalgnn_core.errors import RecordError
from crystalgnn_core.sources.formats.archives import opened
from crystalgnn_core.sources.formats.objects import crystal_from_any
from crystalgnn_core.sources.formats.parsing import parsing, refuse, unreadable
from crystalgnn_core.sources.formats.row_file import RowFile, cut
from crystalgnn_core.sources.formats.structure_input import StructureInput

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import IO

    from ase import Atoms

_HEADER_MARKS = (b"lattice=", b"properties=")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_LONGEST_COUNT, _LONGEST_LINE = 10, 2**24  # digits and bytes
_KEY_AND_TEXT = re.compile(r"""([^\s="']+)\s*=\s*(?:"([^"]*)"|'([^']*)'|(\S+))""")


class _Frame(NamedTuple):
    """Lines of a frame and where they begin; `fault` says why they are none."""

    offset: int
    lines: list[bytes]
    fault: str | None = None


class XyzFile(RowFile):
    """An extended XYZ file, read frame by frame.

    Values are the keys of the comment line, the energy among them.
    """

    kind = "extended XYZ"

    def slices(self, size: int) -> list[dict[str, Any]]:
        """List ranges of frames with the byte at which the first begins."""
        with opened(self.path) as stream:
            return cut((("offset", frame.offset) for frame in _frames(stream)), size)

    def rows(
        self, part: Mapping[str, Any], id_key: str | None = None
    ) -> Iterator[StructureInput]:
        """Yield the frames of a range."""
        with opened(self.path) as stream:
            stream.seek(part["offset"])
            frames = zip(range(part["n_rows"]), _frames(stream), strict=False)
            for index, frame in frames:
                row = part["row"] + index
                where = f"{self.path.name} frame {row + 1}"
                try:
                    atoms = _atoms_of(frame)
                except RecordError as error:
                    content, values = partial(refuse, str(error)), {}
                else:
                    content, values = partial(crystal_from_any, atoms), _values_of(atoms)
                names = _texts_of(frame) | {
                    key: value for key, value in values.items() if isinstance(value, str)
                }
                name = self.id_of(part, names, row + 1, id_key)
                yield StructureInput(name, where, content, values)


def _frames(stream: IO[bytes]) -> Iterator[_Frame]:
    """Cut a file into frames; a damaged one ends where the next header begins."""
    lines = _Lines(stream)
    while (first := lines.take()) is not None:
        offset, line = first
        if not line.strip():
            continue
        n_atoms = _count_of(line)
        if n_atoms is None:
            yield _Frame(offset, [], f"the frame begins with {_quote(line)}, not a count")
            lines.skip_to_header()
            continue
        found = [line]
        for _ in range(n_atoms + 1):
            if len(found) > 1 and lines.is_at_header():
                break
            following = lines.take()
            if following is None:
                break
            found.append(following[1])
        n_found = max(len(found) - 2, 0)
        is_short = n_found < n_atoms or len(found) < 2
        fault = (
            f"the frame counts {n_atoms} atoms but lists {n_found}" if is_short else None
        )
        yield _Frame(offset, found, fault)


class _Lines:
    """Lines of a file with a look ahead of two."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._ahead: list[tuple[int, bytes]] = []

    def take(self) -> tuple[int, bytes] | None:
        """Return the next line and the byte at which it begins; None at the end."""
        self._look(1)
        return self._ahead.pop(0) if self._ahead else None

    def is_at_header(self) -> bool:
        """Return whether a count and a line of keys come next."""
        self._look(1)
        if not self._ahead or _count_of(self._ahead[0][1]) is None:
            return False
        self._look(2)
        return len(self._ahead) > 1 and _is_comment(self._ahead[1][1])

    def skip_to_header(self) -> None:
        """Leave out lines until a header comes next, or the end."""
        while not self.is_at_header() and self.take() is not None:
            pass

    def _look(self, n_lines: int) -> None:
        while len(self._ahead) < n_lines:
            offset = self._stream.tell()
            line = self._stream.readline(_LONGEST_LINE)
            if not line:
                return
            self._ahead.append((offset, line))


def _count_of(line: bytes) -> int | None:
    text = line.removeprefix(_BYTE_ORDER_MARK).strip()
    return int(text) if text.isdigit() and len(text) < _LONGEST_COUNT else None


def _is_comment(line: bytes) -> bool:
    lowered = line.lower()
    return any(mark in lowered for mark in _HEADER_MARKS)


def _quote(line: bytes) -> str:
    return repr(line.decode("utf-8", errors="replace").strip()[:40])


def _atoms_of(frame: _Frame) -> Atoms:
    if frame.fault is not None:
        raise unreadable(f"{frame.fault}; fix the file")
    from ase.io.extxyz import read_xyz

    text = b"".join(frame.lines).decode("utf-8-sig", errors="replace")
    with parsing("a readable frame of extended XYZ"):
        return next(read_xyz(io.StringIO(text), index=slice(0, 1)))


def _values_of(atoms: Atoms) -> dict[str, Any]:
    results = {} if atoms.calc is None else atoms.calc.results
    return results | atoms.info


def _texts_of(frame: _Frame) -> dict[str, str]:
    """Return the values of a comment line as they are written, even of a broken frame.

    ASE turns the identifier 007 into a number, and T into a truth value.
    """
    comment = b"".join(frame.lines[1:2]).decode("utf-8", errors="replace")
    return {key: "".join(texts) for key, *texts in _KEY_AND_TEXT.findall(comment)}
