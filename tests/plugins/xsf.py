"""XSF files of XCrySDen: a periodic structure with Cartesian coordinates."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from crystalgnn_core.records.crystal import Crystal
from crystalgnn_core.sources.formats.objects import fractional_coords
from crystalgnn_core.sources.formats.parsing import atomic_number_of, parsing

if TYPE_CHECKING:
    from crystalgnn_core.sources.formats.structure_input import Content


def structures_of_xsf(text: str) -> list[tuple[str, Content]]:
    """Return what reads the one structure of a text, which gives it no id."""
    return [("", partial(crystal_from_xsf, text))]


def crystal_from_xsf(text: str) -> Crystal:
    """Read the cell and its atoms.

    Raises:
        RecordError: The text is damaged, or names no element.
    """
    words = [line.split() for line in text.splitlines()]
    with parsing("a readable XSF"):
        cell = words.index(["PRIMVEC"]) + 1
        lattice = np.array(words[cell : cell + 3], dtype=np.float64).reshape(3, 3)
        atoms = words.index(["PRIMCOORD"]) + 2
        rows = words[atoms : atoms + int(words[atoms - 1][0])]
        positions = np.array([row[1:4] for row in rows], dtype=np.float64)
        symbols = [row[0] for row in rows]
        numbers = [int(s) if s.isdigit() else atomic_number_of(s) for s in symbols]
        coords = fractional_coords(lattice, positions.reshape(-1, 3))
    return Crystal(np.array(numbers, dtype=np.int16), lattice, coords)
