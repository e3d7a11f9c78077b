"""Read POSCAR texts, and refuse those whose counts do not fit their coordinates."""

from __future__ import annotations

from itertools import dropwhile, takewhile
from typing import TYPE_CHECKING

from crystalgnn_core.records.crystal import crystal_from_structure
from crystalgnn_core.sources.formats.parsing import parsing, unreadable

if TYPE_CHECKING:
    from crystalgnn_core.records.crystal import Crystal


def crystal_from_poscar(text: str) -> Crystal:
    """Read a POSCAR or CONTCAR.

    Raises:
        RecordError: The text is damaged, names no elements, or lists more or fewer
            coordinates than it counts.
    """
    from pymatgen.io.vasp.inputs import Poscar

    lines = [line.split() for line in text.splitlines()]
    counts = _first_counts(lines)
    if sum(counts) > len(lines):  # pymatgen would allocate them all
        raise unreadable(f"the POSCAR counts {sum(counts)} atoms in {len(lines)} lines")
    with parsing("a readable POSCAR"):
        poscar = Poscar.from_str(text, read_velocities=False)
    if not poscar.true_names:
        raise unreadable("the POSCAR names no elements; add the line of element symbols")
    n_atoms, n_lines = len(poscar.structure), _count_coordinate_lines(lines)
    if n_lines is not None and n_lines != n_atoms:
        raise unreadable(
            f"the POSCAR counts {n_atoms} atoms but lists {n_lines} coordinates; correct it"
        )
    return crystal_from_structure(poscar.structure)


def _first_counts(lines: list[list[str]]) -> list[int]:
    """Return the atom counts of a POSCAR, which may take several lines."""
    rest = dropwhile(lambda words: not _integers(words), lines[5:])
    return [count for words in takewhile(_integers, rest) for count in _integers(words)]


def _count_coordinate_lines(lines: list[list[str]]) -> int | None:
    """Count the coordinate lines of a POSCAR; None if its mode line cannot be found."""
    for index in range(6, len(lines)):
        mode, before = lines[index], lines[index - 1]
        if not mode or not before or mode[0][0] not in "cCkKdD":
            continue
        if _integers(before) or before[0][0] in "sS":
            return sum(1 for _ in takewhile(_is_coordinates, lines[index + 1 :]))
    return None


def _integers(words: list[str]) -> list[int]:
    """Read a line of integers; empty if it is another one."""
    try:
        return [int(word) for word in words]
    except ValueError:
        return []


def _is_coordinates(words: list[str]) -> bool:
    try:
        return len([float(word) for word in words[:3]]) == 3
    except ValueError:
        return False
