"""The head of a POSCAR: lattice, elements and counts, in the dialects that people write."""

from __future__ import annotations

import re
from math import gcd
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from crystalgnn_core.errors import RecordError
from crystalgnn_core.records.elements import NUMBER_OF_SYMBOL
from crystalgnn_core.sources.formats.parsing import atomic_number_of, quoted, unreadable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

MAX_ATOMS = 2**18  # four times as many as a graph may have
_LONGEST_LINE = 1000  # letters in which the numbers of a line stand
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eEdD][+-]?\d+)?")
_GLUED = re.compile(r"(?<=[\d.])(?=-[\d.])")  # of a fixed format: -0.5-0.5-0.5
_REMARK = re.compile(r"[!#].*")
_FORMULA = re.compile(r"([A-Z][a-z]?)(\d*)")


class Head(NamedTuple):
    """What stands above the coordinates.

    Attributes:
        lattice: Row vectors in angstrom, shape (3, 3).
        scale: Factors of Cartesian x, y and z, shape (3,).
        counts: Atoms of each kind.
        numbers: Atomic number of each kind; None where only the coordinates may name them.
        mode: Line, from 0, behind the counts.
    """

    lattice: NDArray[np.float64]
    scale: NDArray[np.float64]
    counts: list[int]
    numbers: list[int] | None
    mode: int


def read_head(lines: Sequence[str]) -> Head:
    """Read the lines up to the counts; blank ones between them do not count.

    Raises:
        RecordError: They are not those of a POSCAR, or name what is no element.
    """
    places = _places(lines)
    comment = next(places, 0)
    scale = leading_numbers(_line(lines, places))[0]
    vectors = [leading_numbers(_line(lines, places))[0] for _ in range(3)]
    if any(len(vector) != 3 for vector in vectors):
        raise unreadable(
            f"the lattice vectors of the POSCAR hold "
            f"{', '.join(str(len(v)) for v in vectors)} numbers, expected three each"
        )
    lattice = np.array(vectors, dtype=np.float64)
    factors = _factors(scale, lattice)
    words: list[str] = []
    found, at = _first_counts(lines, places, words)
    counts, mode = _all_counts(lines, at, found, len(words))
    numbers = _numbers(words, lines[comment], counts)
    return Head(lattice * factors, factors, counts, numbers, mode)


def leading_numbers(line: str) -> tuple[list[float], list[str]]:
    """Return the numbers with which a line begins, and the words behind them.

    Remarks behind `!` and `#` are left out, negative numbers that touch are taken apart.
    """
    words = _REMARK.sub("", line[:_LONGEST_LINE]).split()
    if not all(map(_NUMBER.fullmatch, words[:3])) or len(words) < 3:
        words = _GLUED.sub(" ", " ".join(words)).split()
    numbers: list[float] = []
    for word in words:
        if not _NUMBER.fullmatch(word):
            break
        numbers.append(float(word.lower().replace("d", "e")))
    return numbers, words[len(numbers) :]


def _places(lines: Sequence[str]) -> Iterator[int]:
    """Yield the places of the comment, which may be blank, and of lines that are not."""
    filled = [at for at, line in enumerate(lines) if line.strip()]
    if filled and filled[0] > 0 and leading_numbers(lines[filled[0]])[0]:
        yield 0  # a blank comment
    yield from filled


def _line(lines: Sequence[str], places: Iterator[int]) -> str:
    at = next(places, None)
    if at is None:
        raise unreadable("the POSCAR ends in its head; it is cut off")
    return lines[at]


def _factors(scale: Sequence[float], lattice: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return three factors; a single negative number is the volume of the cell."""
    if len(scale) not in {1, 3}:
        raise unreadable(
            f"line 2 of the POSCAR holds {len(scale)} numbers, expected one scale "
            "factor or three"
        )
    if 0.0 in scale or (len(scale) == 3 and min(scale) < 0):
        raise unreadable(
            f"the scale factors of the POSCAR are {scale}, expected one that is not "
            "zero, or three above zero"
        )
    factor = scale[0]
    if factor < 0:
        volume = abs(float(np.linalg.det(lattice)))
        if volume == 0.0:
            raise RecordError(
                "degenerate_cell", "the lattice vectors lie in a plane; give a cell"
            )
        factor = (-factor / volume) ** (1 / 3)
    return np.array(scale if len(scale) == 3 else [factor] * 3, dtype=np.float64)


def _first_counts(
    lines: Sequence[str], places: Iterator[int], words: list[str]
) -> tuple[list[int], int]:
    """Find the first line of counts; what stands before it joins the `words`."""
    for at in places:
        found, _ = _counts_of(lines[at])
        if found:
            return found, at
        words += _REMARK.sub("", lines[at]).split()
    raise unreadable("the POSCAR has no line of atom counts; it is no POSCAR, or cut off")


def _all_counts(
    lines: Sequence[str], at: int, counts: list[int], n_names: int
) -> tuple[list[int], int]:
    """Join the counts of several lines, and return the line behind them."""
    is_whole = _counts_of(lines[at])[1]
    at += 1
    while is_whole and at < len(lines) and len(counts) != n_names:
        found, is_whole = _counts_of(lines[at])
        if not found or not is_whole:
            break
        counts, at = counts + found, at + 1
    total = sum(counts)
    if min(counts) < 0 or total == 0:
        shown = " ".join(map(str, counts[:9]))
        raise RecordError(
            "no_atoms",
            f"the atom counts of the POSCAR are {shown}, expected some such as 1 1",
        )
    if total > MAX_ATOMS:
        raise unreadable(f"the POSCAR counts {total} atoms, expected {MAX_ATOMS} at most")
    if total > len(lines):  # before memory is taken for them
        raise unreadable(f"the POSCAR counts {total} atoms in {len(lines)} lines")
    return counts, at


def _counts_of(line: str) -> tuple[list[int], bool]:
    """Return the integers with which a line begins, and whether there is nothing else."""
    words = _REMARK.sub("", line).split()
    found: list[int] = []
    for word in words:
        digits = word.removeprefix("-")
        if len(digits) > 12 or not (digits.isascii() and digits.isdigit()):
            break
        found.append(int(word))
    return found, len(found) == len(words)


def _numbers(words: Sequence[str], comment: str, counts: Sequence[int]) -> list[int] | None:
    if not words:
        return _numbers_of_comment(comment, counts)
    numbers = [_number_of(word) for word in words]
    if len(numbers) != len(counts):
        raise unreadable(
            f"the POSCAR names {len(words)} elements ({quoted(' '.join(words))}) but has "
            f"{len(counts)} counts; correct it"
        )
    return numbers


def _number_of(word: str) -> int:
    """Return the atomic number of a name such as Na, NA, Fe_pv or O/1a2b3c."""
    symbol = re.split("[/_]", word)[0]
    if symbol not in NUMBER_OF_SYMBOL and symbol.capitalize() in NUMBER_OF_SYMBOL:
        symbol = symbol.capitalize()
    try:
        return atomic_number_of(symbol)
    except RecordError as error:
        raise RecordError(
            error.reason, f"the POSCAR names {quoted(word)}, which is no element symbol"
        ) from error


def _numbers_of_comment(comment: str, counts: Sequence[int]) -> list[int] | None:
    """Read the elements of VASP 4 from the comment, if it is nothing but their symbols.

    They stand there one by one, `Na Cl`, or as a formula with the ratios of the counts.
    """
    words = comment.split()
    found = _FORMULA.findall("".join(words))
    symbols = [symbol for symbol, _ in found]
    if (
        "".join(map("".join, found)) != "".join(words)
        or len(found) != len(counts)
        or not NUMBER_OF_SYMBOL.keys() >= set(symbols)
    ):
        return None
    if words != symbols:
        amounts = [int(amount[:9] or 1) for _, amount in found]
        if len(set(symbols)) < len(symbols) or _reduced(amounts) != _reduced(counts):
            return None
    return [NUMBER_OF_SYMBOL[symbol] for symbol in symbols]


def _reduced(counts: Sequence[int]) -> list[int]:
    divisor = gcd(*counts) or 1
    return [count // divisor for count in counts]
