"""Read POSCAR, CONTCAR and XDATCAR texts; what may be read in two ways is refused."""

from __future__ import annotations

import re
from functools import partial
from itertools import islice, takewhile
from typing import TYPE_CHECKING

import numpy as np

from crystalgnn_core.errors import RecordError
from crystalgnn_core.records.crystal import Crystal
from crystalgnn_core.records.elements import NUMBER_OF_SYMBOL, SYMBOLS
from crystalgnn_core.sources.formats.objects import fractional_coords
from crystalgnn_core.sources.formats.parsing import quoted, unreadable
from crystalgnn_core.sources.formats.poscar_head import Head, leading_numbers, read_head

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from crystalgnn_core.sources.formats.structure_input import Content

_BLANKS = re.compile(r"\n(?:[ \t]*+\n){2,}+")
_FRAME = re.compile(
    r"\s*(?:(?:direct|cartesian)\s+configuration|konfig)\s*=", re.IGNORECASE
)
_FLAG = re.compile(r"\.?(?:[TF]|TRUE|FALSE)\.?", re.IGNORECASE)
_LABEL = re.compile(r"([A-Z][a-z]?)(?:\d+[+-]?|[+-])?")  # Na, Na1, Na+, O2-


def structures_of_poscar(text: str) -> list[tuple[str, Content]]:
    """Return what reads the structures of a text: one, or the frames of an XDATCAR."""
    lines = _BLANKS.sub("\n\n", text).splitlines()
    marks = [at for at, line in enumerate(lines) if _FRAME.match(line)]
    if len(marks) < 2:
        return [("", partial(_crystal_of, lines, ()))]
    head = lines[: marks[0]]
    n_atoms = _n_atoms(head)
    found: list[tuple[str, Content]] = []
    for mark, end in zip(marks, [*marks[1:], len(lines)], strict=True):
        frame = lines[mark:end]
        size = _end_of(frame, 1, n_atoms)
        has_head = end < len(lines) and _has_head(frame[size:])
        found.append(("", partial(_crystal_of, head, frame[:size] if has_head else frame)))
        if has_head:
            head = frame[size:]
            n_atoms = _n_atoms(head)
    return found


def crystal_from_poscar(text: str) -> Crystal:
    """Read a POSCAR or CONTCAR.

    Raises:
        RecordError: The text is damaged, names no elements, lists more or fewer coordinates
            than it counts, or holds several structures.
    """
    [(_, content), *others] = structures_of_poscar(text)
    if others or isinstance(content, str):
        raise unreadable(f"{len(others) + 1} frames, expected one structure")
    return content()


def _has_head(lines: Sequence[str]) -> bool:
    """Return whether a head stands between two frames, as where the cell changes."""
    first = next((line for line in lines if line.strip()), None)
    return first is not None and len(leading_numbers(first)[0]) < 3


def _n_atoms(head: Sequence[str]) -> int:
    try:
        return sum(read_head(head).counts)
    except RecordError:
        return len(head)  # the frames are refused when they are read


def _end_of(lines: Sequence[str], start: int, n: int) -> int:
    """Return the place behind `n` lines that are not blank."""
    filled = (at for at in range(start, len(lines)) if lines[at].strip())
    return next(islice(filled, n - 1, None), len(lines) - 1) + 1


def _crystal_of(head_lines: Sequence[str], frame: Sequence[str]) -> Crystal:
    lines = [*head_lines, *frame]
    head = read_head(lines)
    n_atoms = sum(head.counts)
    is_cartesian, start = _mode_of(lines, head.mode)
    end = _end_of(lines, start, n_atoms)
    read = [leading_numbers(line) for line in lines[start:end] if line.strip()]
    given = list(takewhile(lambda each: len(each[0]) >= 3, read))
    if len(given) < n_atoms:
        shown = f"; the next line is {quoted(_nth(lines, start, len(given)))}"
        raise unreadable(
            f"the POSCAR counts {n_atoms} atoms but lists {len(given)} coordinates"
            f"{shown if len(given) < len(read) else ''}; correct it"
        )
    _check_rest(lines, end, n_atoms)
    numbers = _numbers_of(head, [_label_of(*each) for each in given])
    coords = np.array([each[:3] for each, _ in given], dtype=np.float64)
    if is_cartesian:
        coords = fractional_coords(head.lattice, coords * head.scale)
    return Crystal(numbers, head.lattice, coords)


def _nth(lines: Sequence[str], start: int, n: int) -> str:
    return next(islice((line for line in lines[start:] if line.strip()), n, None), "")


def _mode_of(lines: Sequence[str], at: int) -> tuple[bool, int]:
    """Return whether coordinates are Cartesian, and the line at which they begin."""
    words = [(place, lines[place].strip()) for place in range(at, min(at + 9, len(lines)))]
    words = [(place, line) for place, line in words if line]
    if words and words[0][1][0] in "sS":
        words = words[1:]
    place, line = words[0] if words else (at, "")
    if line[:1].lower() not in {"c", "k", "d", "f"}:
        raise unreadable(
            f"the line behind the atom counts of the POSCAR is {quoted(line)}, expected "
            "Direct or Cartesian"
        )
    is_old_frame = line.lower().startswith("konfig")  # of VASP 4, in fractions
    return line[0] in "cCkK" and not is_old_frame, place + 1


def _label_of(numbers: Sequence[float], words: Sequence[str]) -> str | None:
    """Return the element that is named behind coordinates, if one is.

    Up to three flags of selective dynamics stand before it; fluorine is no flag of its own.
    """
    if not all(number.is_integer() for number in numbers[3:]):
        raise unreadable(f"a line lists {len(numbers)} numbers, expected three coordinates")
    if len(words) > 2 and all(map(_FLAG.fullmatch, words[:3])):
        words = words[3:]
    found = _LABEL.fullmatch(words[0]) if words else None
    return found.group(1) if found and found.group(1) in NUMBER_OF_SYMBOL else None


def _numbers_of(head: Head, labels: Sequence[str | None]) -> NDArray[np.int16]:
    """Return the atomic numbers of all sites, named in the head or behind coordinates."""
    if head.numbers is None:
        named = [NUMBER_OF_SYMBOL[label] for label in labels if label is not None]
        if len(named) < len(labels):
            raise unreadable(
                "the POSCAR names no elements; add the line of element symbols above the "
                "atom counts"
            )
        return np.array(named, dtype=np.int16)
    numbers = np.repeat(head.numbers, head.counts)
    for site, (number, label) in enumerate(zip(numbers.tolist(), labels, strict=True), 1):
        if label is not None and NUMBER_OF_SYMBOL[label] != number:
            raise unreadable(
                f"coordinate {site} of the POSCAR is named {label}, but by the order of "
                f"the head it is {SYMBOLS[number - 1]}; correct one of them"
            )
    return numbers.astype(np.int16)


def _check_rest(lines: Sequence[str], end: int, n_atoms: int) -> None:
    """Refuse more coordinates, or a second structure, behind those that are counted.

    Velocities, of which there are as many, follow a blank line or one that names their
    kind; the grid of a charge density begins with three integers.
    """
    n_more = _n_coordinates(lines, end, n_atoms)
    if n_more == 0:
        start = next((at for at in range(end, len(lines)) if lines[at].strip()), len(lines))
        numbers, _ = leading_numbers(lines[start]) if start < len(lines) else ([], [])
        is_grid = len(numbers) == 3 and all(number > 1 for number in numbers)
        found = _n_coordinates(lines, start, n_atoms)
        n_more = found if found < n_atoms and not is_grid else 0
    if n_more:
        raise unreadable(
            f"the POSCAR counts {n_atoms} atoms but lists {n_atoms + n_more} coordinates; "
            "correct it"
        )
    for at in range(end, len(lines) - 5):
        if len(lines[at + 1].split()) == 1 and _begins_poscar(lines[at : at + 6]):
            raise unreadable(
                f"a second structure begins in line {at + 1} of the POSCAR; give each its "
                "own file"
            )


def _begins_poscar(lines: Sequence[str]) -> bool:
    """Return whether these may be a comment, a scale, a lattice, and symbols or counts."""
    sizes = [len(leading_numbers(line)[0]) for line in lines[1:5]]
    words = lines[5].split()
    is_named = bool(words) and (words[0][0].isalpha() or all(map(str.isdigit, words)))
    return sizes == [1, 3, 3, 3] and is_named


def _n_coordinates(lines: Sequence[str], start: int, most: int) -> int:
    rows = (leading_numbers(line)[0] for line in lines[start : start + most])
    return sum(1 for _ in takewhile(lambda numbers: len(numbers) == 3, rows))
