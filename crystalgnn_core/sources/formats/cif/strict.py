"""Read any CIF that describes one crystal, or say why it does not."""

from __future__ import annotations

import logging
import re
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from crystalgnn_core.errors import RecordError
from crystalgnn_core.sources.formats.cif.agreement import read_contents
from crystalgnn_core.sources.formats.cif.building import Description
from crystalgnn_core.sources.formats.cif.cell import lattices_from_parameters
from crystalgnn_core.sources.formats.cif.claims import (
    hint_of_symmetry,
    read_claims,
    refuse_other_names,
)
from crystalgnn_core.sources.formats.cif.items import Items, read_items
from crystalgnn_core.sources.formats.cif.listed import listed_operations
from crystalgnn_core.sources.formats.cif.order import in_order
from crystalgnn_core.sources.formats.cif.resolve import resolve
from crystalgnn_core.sources.formats.cif.sites import number_in, read_sites
from crystalgnn_core.sources.formats.parsing import parsing, unreadable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from crystalgnn_core.records.crystal import Crystal
    from crystalgnn_core.sources.formats.cif.agreement import Contents

logger = logging.getLogger(__name__)

_LENGTHS = tuple(f"_cell_length_{axis}" for axis in "abc")
_ANGLES = tuple(f"_cell_angle_{angle}" for angle in ("alpha", "beta", "gamma"))
_DIMENSION = "_cell_modulation_dimension"
_MODULATED = re.compile(
    r".*_ssg(?:_|$)|_cell_(?:wave_vector|subsystem|commen)_"
    r"|_atom_site_.*(?:fourier|special_func|legendre)"
)
_KIND_OF_STRUCTURE = "_exptl_crystal_type_of_structure"
_MODULATED_KINDS = ("mod", "comp")
_SITE_IS_MODULATED = "_atom_site_displace_modulation_flag"


def crystal_of_block(block: str) -> Crystal:
    """Read one CIF data block, the cell as given.

    Raises:
        RecordError: The block is damaged, contradicts itself, or describes no ordered
            crystal whose atoms all have places.
    """
    with parsing("a readable CIF"):
        items = read_items(block)
        _refuse_modulated(items)
        errors = []
        for lattice, contents in product(_lattices(items), read_contents(items)):
            try:
                return resolve(_describe(items, lattice, contents))
            except RecordError as error:
                errors.append(error)
    raise errors[0]


def _describe(
    items: Items, lattice: NDArray[np.float64], contents: Contents
) -> Description:
    claims, operations = read_claims(items), listed_operations(items)
    if operations is None:
        refuse_other_names(items, claims)
    sites = read_sites(items, lattice, contents.elements, is_checked=bool(contents.counts))
    return Description(
        sites=in_order(sites, items),
        lattice=lattice,
        contents=contents,
        claims=claims,
        operations=operations,
        unknown_angles=_unknown_angles(items),
        hint="" if claims or operations else hint_of_symmetry(items),
    )


def _unknown_angles(items: Items) -> tuple[int, ...]:
    """Return which of alpha, beta and gamma are not stated."""
    known = items.values(_ANGLES)
    return tuple(place for place, name in enumerate(_ANGLES) if name not in known)


def _refuse_modulated(items: Items) -> None:
    dimension = items.value(_DIMENSION)
    named = [name for name in items.names if _MODULATED.match(name) and items.has(name)]
    if (items.value(_KIND_OF_STRUCTURE) or "").lower().startswith(_MODULATED_KINDS):
        named.append(_KIND_OF_STRUCTURE)
    if any(word.lower() in {"yes", "y"} for word in items.column(_SITE_IS_MODULATED)):
        named.append(_SITE_IS_MODULATED)
    if named or (dimension and number_in(dimension, _DIMENSION) > 0):
        raise unreadable(
            f"the structure is modulated ({min(named, default=_DIMENSION)}): it has no "
            "unit cell of its own; give a commensurate approximant"
        )
    if any(name.startswith("_atom_site_moment") for name in items.names):
        logger.info("the moments of a magnetic CIF were left out")


def _lattices(items: Items) -> list[NDArray[np.float64]]:
    """Return the cell as row vectors; without its last angle, the two that it may be.

    CIF defines that an angle that is not stated is 90 degrees; files of hexagonal groups
    leave their 120 degrees out, too. Where the group leaves it open it is refused later.
    """
    values = items.values([*_LENGTHS, *_ANGLES])
    for name in _LENGTHS:
        if name not in values:
            raise unreadable(f"the CIF states no {name}; export it with its cell")
    numbers = {name: number_in(text, name) for name, text in values.items()}
    cells = [
        [numbers.get(name, 90.0) for name in (*_LENGTHS, *_ANGLES[:2])]
        + [numbers.get(_ANGLES[2], gamma)]
        for gamma in ((90.0,) if _ANGLES[2] in numbers else (90.0, 120.0))
    ]
    lattices = [
        lattice
        for lattice in lattices_from_parameters(np.array(cells))
        if lattice is not None
    ]
    if not lattices or min(cells[0][:3]) <= 0.0:
        cell = " ".join(f"{value:g}" for value in cells[0])
        raise unreadable(
            f"there is no cell with the lengths and angles {cell}; correct _cell_length_* "
            "and _cell_angle_*"
        )
    return lattices
