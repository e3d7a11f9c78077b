"""Extended XYZ files: frames with a lattice, and labels in the line of comments."""

from __future__ import annotations

import io
import re
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from crystalgnn_core.errors import RecordError
from crystalgnn_core.records.crystal import OCCUPANCY_TOLERANCE
from crystalgnn_core.records.elements import NUMBER_OF_SYMBOL
from crystalgnn_core.sources.formats.archives import merge_if_packed, opened
from crystalgnn_core.sources.formats.objects import crystal_from_any
from crystalgnn_core.sources.formats.parsing import (
    parsing,
    quoted,
    read_row,
    refuse,
    unreadable,
)
from crystalgnn_core.sources.formats.row_file import RowFile, cut
from crystalgnn_core.sources.formats.structure_input import StructureInput

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import IO

    from ase import Atoms

_HEADER_MARKS = (b"lattice=", b"properties=")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_LONGEST_COUNT, _LONGEST_LINE = 10, 2**20  # digits and bytes
_MAX_ATOMS = 2**18  # four times as many as a graph may have
_KEY_AND_TEXT = re.compile(
    r"""(?<![^\s="'])([^\s="']+)\s*=\s*(?:"([^"]*)"|'([^']*)'|(\S+))"""
)
_ATOM = re.compile(rb"\s*[A-Za-z]\w*(?:\s+[-+]?\.?\d[-+.\deEdD]*){3}")
_PLAIN = ["species", "S", "1", "pos", "R", "3"]
_KEYS = {"lattice": "Lattice", "properties": "Properties", "pbc": "pbc"}
_OCCUPANCIES = ("occupancy", "occupancies", "occ")
_READABLE = "readable frame of extended XYZ"


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
            parts = cut((("offset", frame.offset) for frame in _frames(stream)), size)
        return merge_if_packed(self.path, parts)

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
                found = read_row(partial(_atoms_of, frame), f"a {_READABLE}")
                if isinstance(found, RecordError):
                    content, values = partial(refuse, found), {}
                else:
                    content, values = partial(crystal_from_any, found), _values_of(found)
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
        if n_atoms > _MAX_ATOMS:
            most = f"the frame counts {n_atoms} atoms, expected {_MAX_ATOMS} at most"
            yield _Frame(offset, [], most)
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
        fault = None
        if n_found < n_atoms or len(found) < 2:
            fault = f"the frame counts {n_atoms} atoms but lists {n_found}"
        elif lines.goes_on():
            fault = f"the frame counts {n_atoms} atoms but lists more"
            lines.skip_to_header()
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

    def goes_on(self) -> bool:
        """Return whether an atom is next: a word and three numbers."""
        self._look(1)
        return bool(self._ahead) and _ATOM.match(self._ahead[0][1]) is not None

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
    count, comment, *rows = text.split("\n")
    comment, properties = _with_known_keys(comment)
    columns = properties.split(":") if properties else _PLAIN
    if not {"pos", "positions"} & set(columns[::3]):
        raise unreadable(f"Properties name no column pos: {quoted(properties)}")
    if properties and rows and rows[0].strip():
        _check_width(properties, columns, rows[0])
    frame_text = io.StringIO("\n".join([count, comment, *rows]))
    with parsing(f"a {_READABLE}"):
        try:
            atoms = next(read_xyz(frame_text, index=slice(0, 1)))
        except KeyError as error:  # of its table of elements
            raise unreadable(
                f"a site is named {error}, no element symbol; correct it"
            ) from error
    _check_columns(atoms, columns, rows)
    return atoms


def _with_known_keys(comment: str) -> tuple[str, str]:
    """Return a comment with Lattice, Properties and pbc in ASE's letters, and Properties.

    Raises:
        RecordError: One of them stands twice.
    """
    found: dict[str, str] = {}
    pieces, end = [], 0
    others: dict[str, str] = {}
    for match in _KEY_AND_TEXT.finditer(comment):
        key = _KEYS.get(match.group(1).lower())
        if key is None:
            name, value = match.group(1), "".join(filter(None, match.groups()[1:]))
            if others.setdefault(name, value) != value:
                raise unreadable(f"the line of keys gives {name} twice; correct it")
            continue
        if key in found:
            raise unreadable(f"the line of keys gives {key} twice; correct it")
        found[key] = "".join(filter(None, match.groups()[1:]))
        pieces += [comment[end : match.start(1)], key]
        end = match.end(1)
    return "".join([*pieces, comment[end:]]), found.get("Properties", "")


def _check_width(properties: str, columns: Sequence[str], row: str) -> None:
    """Refuse more columns than an atom has words; ASE takes memory for what is stated."""
    stated = sum(float(width) for width in columns[2::3] if width.isdecimal())
    if stated > (found := len(row.split())):
        raise unreadable(
            f"Properties name more columns than the {found} of the first atom: "
            f"{quoted(properties)}"
        )


def _check_columns(atoms: Atoms, columns: Sequence[str], rows: Sequence[str]) -> None:
    """Refuse what ASE reads in silence: two elements for a site, and shares of sites."""
    for name in _OCCUPANCIES:
        shares = np.asarray(atoms.arrays.get(name, 1.0), dtype=np.float64)
        if not np.all(np.abs(shares - 1.0) <= OCCUPANCY_TOLERANCE):
            raise RecordError(
                "disordered_site",
                f"the column {name} holds shares below 1; order the structure first",
            )
    names = columns[::3]
    if not ({"species", "symbols"} & set(names) and {"Z", "numbers"} & set(names)):
        return
    place = next(at for at, name in enumerate(names) if name in {"species", "symbols"})
    column = sum(int(width) for width in columns[2 : 3 * place : 3])
    for site, number in enumerate(atoms.numbers.tolist()):
        symbol = rows[site].split()[column]
        if NUMBER_OF_SYMBOL.get(symbol.capitalize()) != number:
            raise unreadable(
                f"site {site + 1} is named {quoted(symbol)} but has the atomic number "
                f"{number}; correct one of them"
            )


def _values_of(atoms: Atoms) -> dict[str, Any]:
    results = {} if atoms.calc is None else atoms.calc.results
    return results | atoms.info


def _texts_of(frame: _Frame) -> dict[str, str]:
    """Return the values of a comment line as they are written, even of a broken frame.

    ASE turns the identifier 007 into a number, and T into a truth value.
    """
    comment = b"".join(frame.lines[1:2]).decode("utf-8", errors="replace")
    return {key: "".join(texts) for key, *texts in _KEY_AND_TEXT.findall(comment)}
