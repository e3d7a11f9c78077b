"""Read the plain CIF texts with gemmi, some 30 times faster than pymatgen and equally.

Everything that pymatgen might understand differently is left to it: whatever is unusual
makes the reader answer None. `tests/core/sources/test_gemmi_cif.py` compares the two.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, cast

from gemmi import cif

from crystalgnn_core.records.crystal import Crystal
from crystalgnn_core.records.elements import SYMBOLS
from crystalgnn_core.sources.cell import lattice_from_parameters
from crystalgnn_core.sources.decimals import read_decimals
from crystalgnn_core.sources.element_order import (
    UNRANKED,
    rank_of,
    whole_formula,
)
from crystalgnn_core.sources.symmetry import (
    Operations,
    expand_sites,
    read_operations,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


_PRINTABLE = bytes(range(32, 127)) + b"\n\t"
_QUOTE_BEFORE_HASH = re.compile(r"^[^#\n]*['\"][^#\n]*#", re.MULTILINE)
_BLOCK_START = re.compile(r"^\s*(data_)", re.MULTILINE | re.IGNORECASE)
# frames and old keywords, magnetic structures, oxidation states, implicit hydrogen, and
# a block that pymatgen skips; long words are found faster than short ones
_UNUSUAL = (
    "save_",
    "stop_",
    "_magn",
    "_atom_site_moment",
    "_atom_type_oxidation_number",
    "powder_pattern",
)
_CELL = (
    *(f"_cell_length_{axis}" for axis in "abc"),
    *(f"_cell_angle_{angle}" for angle in ("alpha", "beta", "gamma")),
)
_FRACTIONS = tuple(f"_atom_site_fract_{axis}" for axis in "xyz")
_LABEL, _TYPE, _OCCUPANCY = (
    f"_atom_site_{name}" for name in ("label", "type_symbol", "occupancy")
)
_HYDROGENS = "_atom_site_attached_hydrogens"
# in pymatgen's order, which takes the first that is there
_OPERATIONS = (
    "_symmetry_equiv_pos_as_xyz",
    "_symmetry_equiv_pos_as_xyz_",
    "_space_group_symop_operation_xyz",
    "_space_group_symop_operation_xyz_",
)
_FULL = frozenset({"1", "1.0", "1.00", "1.000", "1.0000"})


class _Sites(NamedTuple):
    """Sites as written: ranks of the elements, then all x, all y and all z."""

    ranks: bytes
    fractions: list[str]


class _Layout(NamedTuple):
    """Where the columns of the sites stand."""

    name: int
    fractions: tuple[int, int, int]
    occupancy: int | None
    elsewhere: tuple[str, ...]  # tags that pymatgen would also read outside of the loop


def crystal_with_gemmi(text: str) -> Crystal | None:
    """Read a CIF text with one data block.

    Returns:
        The crystal that pymatgen reads from the text, or None if that is not certain.
    """
    if "\r" in text:
        text = text.replace("\r\n", "\n")
    if not _is_plain(text):
        return None
    try:
        block = cif.read_string(text).sole_block()
        block.check_empty_loops("")
    except (RuntimeError, ValueError):
        return None
    cell = _find_cell(block)
    sites = _find_sites(block, text)
    operations = _find_operations(block, text)
    if cell is None or sites is None or operations is None:
        return None
    numbers = read_decimals(cell + sites.fractions)
    if numbers is None:
        return None
    lattice = lattice_from_parameters(numbers[:6].tolist())
    expanded = expand_sites(sites.ranks, numbers[6:], operations)
    if lattice is None or expanded is None:
        return None
    crystal = Crystal(expanded[0], lattice, expanded[1])
    return crystal if _has_stated_formula(block, crystal) else None


def _is_plain(text: str) -> bool:
    """Say whether both parsers cut a text into the same words."""
    if not text.isascii() or text.encode().translate(None, _PRINTABLE):
        return False
    lower = text.lower()
    return (
        _has_one_block(text, lower)
        and lower.count("loop_") == text.count("loop_")
        and not any(word in lower for word in _UNUSUAL)
        and (text.rfind("#") <= 0 or not _QUOTE_BEFORE_HASH.search(text))
        and (";" not in text or "\n;;" not in text)
    )


def _has_one_block(text: str, lower: str) -> bool:
    if lower.count("data_") == 1:
        return "data_" in text
    return _BLOCK_START.findall(text) == ["data_"]  # other names hold the word, too


def _find_cell(block: cif.Block) -> list[str] | None:
    if block.find_value("_eof") is not None:  # pymatgen stops reading there
        return None
    values = []
    for tag in _CELL:
        pair = cast("Sequence[str] | None", block.find_pair(tag))
        if pair is None or pair[0] != tag:  # gemmi finds tags in any case
            return None
        values.append(pair[1])
    return values


def _find_operations(block: cif.Block, text: str) -> Operations | None:
    for tag in _OPERATIONS:
        if tag in text:
            column = block.find_values(tag)
            if not column or column.tag != tag:
                return None
            return read_operations(tuple(column))
    return None


def _find_sites(block: cif.Block, text: str) -> _Sites | None:
    loop = block.find_loop(_LABEL).get_loop()
    if loop is None:
        return None
    tags = tuple(loop.tags)
    layout = _layout_of(tags)
    if layout is None or any(tag in text for tag in layout.elsewhere):
        return None
    values, width = loop.values, len(tags)
    if layout.occupancy is not None and not _FULL.issuperset(
        values[layout.occupancy :: width]
    ):
        return None
    ranks = bytes(map(rank_of, values[layout.name :: width]))
    if UNRANKED in ranks:
        return None
    x, y, z = layout.fractions
    fractions = values[x::width] + values[y::width] + values[z::width]
    return _Sites(ranks, fractions)


@lru_cache(maxsize=100)
def _layout_of(tags: tuple[str, ...]) -> _Layout | None:
    if not {_LABEL, *_FRACTIONS}.issubset(tags) or _HYDROGENS in tags:
        return None
    x, y, z = (tags.index(tag) for tag in _FRACTIONS)
    return _Layout(
        tags.index(_TYPE if _TYPE in tags else _LABEL),
        (x, y, z),
        tags.index(_OCCUPANCY) if _OCCUPANCY in tags else None,
        tuple(tag for tag in (_TYPE, _OCCUPANCY) if tag not in tags),
    )


def _has_stated_formula(block: cif.Block, crystal: Crystal) -> bool:
    """Say whether the sites are a whole multiple of the formula, if one is stated."""
    stated = block.find_values("_chemical_formula_sum")
    if not stated:
        return True
    if len(stated) > 1:
        return False
    formula = cif.as_string(stated[0])
    numbers = crystal.atomic_numbers.tolist()
    found = {z: numbers.count(z) for z in dict.fromkeys(numbers)}
    if formula == " ".join([f"{SYMBOLS[z - 1]}{n}" for z, n in found.items()]):
        return True  # as pymatgen writes it
    counts = whole_formula(formula)
    if counts is None:
        return False
    units, rest = divmod(len(numbers), sum(counts.values()))
    return rest == 0 and found == {z: units * n for z, n in counts.items()}
