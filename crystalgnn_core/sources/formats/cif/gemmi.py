"""Read the plain CIF texts with gemmi, some 30 times faster than pymatgen and equally.

Everything that pymatgen might understand differently is left to it: whatever is unusual
makes the reader answer None. The tests compare the two.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np
from gemmi import cif

from crystalgnn_core.records.crystal import Crystal
from crystalgnn_core.sources.formats.cif.agreement import density_ratio, has_units
from crystalgnn_core.sources.formats.cif.cell import lattices_from_parameters
from crystalgnn_core.sources.formats.cif.claims import COMMON_NAMES, NAMES, names_operations
from crystalgnn_core.sources.formats.cif.decimals import read_decimals
from crystalgnn_core.sources.formats.cif.elements import (
    UNRANKED,
    n_formula_units,
    rank_of,
    whole_formula,
)
from crystalgnn_core.sources.formats.cif.groups import has_metric
from crystalgnn_core.sources.formats.cif.items import MAX_ROWS
from crystalgnn_core.sources.formats.cif.names import is_doubtful
from crystalgnn_core.sources.formats.cif.plain import look_through
from crystalgnn_core.sources.formats.cif.symmetry import (
    Operations,
    expand_sites,
    read_operations,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


_CELL = (
    *(f"_cell_length_{axis}" for axis in "abc"),
    *(f"_cell_angle_{angle}" for angle in ("alpha", "beta", "gamma")),
)
_FRACTIONS = tuple(f"_atom_site_fract_{axis}" for axis in "xyz")
_LABEL, _TYPE, _OCCUPANCY = (
    f"_atom_site_{name}" for name in ("label", "type_symbol", "occupancy")
)
_HYDROGENS = "_atom_site_attached_hydrogens"
_CALCULATED = "_atom_site_calc_flag"
_ALTERNATIVES = ("_atom_site_disorder_group", "_atom_site_disorder_assembly")
_SPELLED = frozenset(
    {_LABEL, _TYPE, _OCCUPANCY, _HYDROGENS, _CALCULATED, *_FRACTIONS, *_ALTERNATIVES}
)
_OPERATIONS = ("_symmetry_equiv_pos_as_xyz", "_space_group_symop_operation_xyz")
_FORMULA, _UNITS = "_chemical_formula_sum", "_cell_formula_units_Z"
_DENSITY = "_exptl_crystal_density_diffrn"
_MAX_OPERATIONS = 400
_NONE = frozenset({".", "?"})
_PLACED = frozenset({"d", "c", "calc", ".", "?"})  # dum is a dummy
_FULL = frozenset({"1", "1.0", "1.00", "1.000", "1.0000"})


class _Sites(NamedTuple):
    """Sites as written: ranks of the elements, then all x, all y and all z."""

    ranks: bytes
    fractions: list[str]


class _Draft(NamedTuple):
    """What a text says of its crystal, in words."""

    cell: list[str]
    sites: _Sites
    operations: Operations
    formula: str | None
    units: str | None
    density: str | None

    @property
    def words(self) -> list[str]:
        """All that are numbers."""
        return self.cell + self.sites.fractions


class _Layout(NamedTuple):
    """Where the columns of the sites stand."""

    name: int
    fractions: tuple[int, int, int]
    occupancy: int | None
    calculated: int | None
    alternatives: tuple[int, ...]
    label: int
    elsewhere: tuple[str, ...]  # tags that pymatgen would also read outside of the loop


def crystals_with_gemmi(texts: Sequence[str]) -> list[Crystal | None]:
    """Read CIF texts with one data block each, best some hundred at a time.

    Returns:
        For each the crystal that pymatgen reads from it, or None if that is not certain.
    """
    texts = [text.replace("\r\n", "\n") if "\r" in text else text for text in texts]
    seen = look_through(texts)
    drafts = {
        index: draft
        for index, is_plain in enumerate(seen.are_plain)
        if is_plain
        and (draft := _draft(texts[index], has_rare_names=seen.have_rare_names)) is not None
    }
    found: list[Crystal | None] = [None] * len(texts)
    for index, crystal in _assemble(drafts):
        if _has_stated_contents(drafts[index], crystal):
            found[index] = crystal
    return found


def _draft(text: str, *, has_rare_names: bool) -> _Draft | None:
    """Find the words that describe the crystal, and leave what is not certain."""
    try:
        block = cif.read_string(text).sole_block()
        block.check_empty_loops("")
    except (RuntimeError, ValueError, IndexError):  # the last without a block
        return None
    cell = _find_cell(block)
    sites = _find_sites(block, text)
    operations = _find_operations(block, has_rare_names=has_rare_names)
    if cell is None or sites is None or operations is None:
        return None
    pair = cast("Sequence[str] | None", block.find_pair(_FORMULA))
    if pair is None and block.find_values(_FORMULA):  # in a loop
        return None
    return _Draft(
        cell,
        sites,
        operations,
        None if pair is None else pair[1],
        block.find_value(_UNITS),
        block.find_value(_DENSITY) if has_rare_names else None,
    )


def _assemble(drafts: Mapping[int, _Draft]) -> Iterator[tuple[int, Crystal]]:
    """Turn words into numbers, cells and all sites, many texts in one go.

    Yields:
        The place of a text, and its crystal if that is certain.
    """
    numbers = read_decimals([word for draft in drafts.values() for word in draft.words])
    if numbers is None:
        if len(drafts) == 1:
            return
        for index, draft in drafts.items():  # one text spoils all
            yield from _assemble({index: draft})
        return
    starts = np.cumsum([0, *[len(draft.words) for draft in drafts.values()]])[:-1]
    in_cell = np.zeros(len(numbers), dtype=bool)
    in_cell[starts[:, None] + np.arange(6)] = True
    lattices = lattices_from_parameters(numbers[in_cell].reshape(-1, 6))
    expanded = expand_sites(
        [draft.sites.ranks for draft in drafts.values()],
        numbers[~in_cell],
        [draft.operations for draft in drafts.values()],
    )
    for index, lattice, atoms in zip(drafts, lattices, expanded, strict=True):
        if lattice is None or atoms is None:
            continue
        operations = drafts[index].operations
        if len(operations.rotations) == 1 or has_metric(operations, lattice):
            yield index, Crystal(atoms[0], lattice, atoms[1])


def _find_cell(block: cif.Block) -> list[str] | None:
    values = []
    for tag in _CELL:
        pair = cast("Sequence[str] | None", block.find_pair(tag))
        if pair is None or pair[0] != tag:  # gemmi finds tags in any case
            return None
        values.append(pair[1])
    return values


def _find_operations(block: cif.Block, *, has_rare_names: bool) -> Operations | None:
    names: tuple[str, ...] = NAMES if has_rare_names else COMMON_NAMES
    tag = _OPERATIONS[0]
    if has_rare_names and block.find_values(_OPERATIONS[1]):
        if block.find_values(tag):  # two lists
            return None
        tag = _OPERATIONS[1]
    column = block.find_values(tag)
    if not column or column.tag != tag or len(column) > _MAX_OPERATIONS:
        return None
    texts = tuple(column)
    values = tuple([block.find_value(name) for name in names])
    return read_operations(texts) if names_operations(names, values, texts) else None


def _find_sites(block: cif.Block, text: str) -> _Sites | None:
    loop = block.find_loop(_LABEL).get_loop()
    if loop is None or loop.length() > MAX_ROWS:
        return None
    tags = tuple(loop.tags)
    layout = _layout_of(tags)
    if layout is None or any(tag in text for tag in layout.elsewhere):
        return None
    values, width = loop.values, len(tags)
    if not _are_full_atoms(values, width, layout):
        return None
    ranks = bytes(map(rank_of, values[layout.name :: width]))
    if UNRANKED in ranks:
        return None
    x, y, z = layout.fractions
    fractions = values[x::width] + values[y::width] + values[z::width]
    return _Sites(ranks, fractions)


def _are_full_atoms(values: list[str], width: int, layout: _Layout) -> bool:
    """Return whether no site is partial, a dummy, an alternative or a group of atoms."""
    shares, flags = layout.occupancy, layout.calculated
    if shares is not None and not _FULL.issuperset(values[shares::width]):
        return False
    if flags is not None and not _PLACED.issuperset(values[flags::width]):
        return False
    for column in layout.alternatives:
        if not _NONE.issuperset(values[column::width]):
            return False
    return not any(map(is_doubtful, values[layout.label :: width]))


@lru_cache(maxsize=100)
def _layout_of(tags: tuple[str, ...]) -> _Layout | None:
    if not {_LABEL, *_FRACTIONS}.issubset(tags) or _HYDROGENS in tags:
        return None
    if not _SPELLED.intersection(tag.lower() for tag in tags).issubset(tags):
        return None
    x, y, z = (tags.index(tag) for tag in _FRACTIONS)
    return _Layout(
        tags.index(_TYPE if _TYPE in tags else _LABEL),
        (x, y, z),
        tags.index(_OCCUPANCY) if _OCCUPANCY in tags else None,
        tags.index(_CALCULATED) if _CALCULATED in tags else None,
        tuple(tags.index(tag) for tag in _ALTERNATIVES if tag in tags),
        tags.index(_LABEL),
        tuple(tag for tag in (_TYPE, _OCCUPANCY) if tag not in tags),
    )


def _has_stated_contents(draft: _Draft, crystal: Crystal) -> bool:
    """Return whether the atoms fit formula, Z and density, as far as they are stated."""
    if draft.formula is not None:
        counts = whole_formula(cif.as_string(draft.formula))
        n_units = counts and n_formula_units(crystal.atomic_numbers.tolist(), counts)
        if not counts or not n_units:
            return False
        if draft.units is not None:
            if draft.units == str(n_units):
                return True
            if not has_units(counts, n_units, draft.units):
                return False
    return draft.density is None or density_ratio(crystal, draft.density) in {0.0, 1.0}
