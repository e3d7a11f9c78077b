"""The order in which pymatgen lists atoms, by which stored structures are recognised."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from crystalgnn_core.errors import RecordError
from crystalgnn_core.records.crystal import Crystal
from crystalgnn_core.records.elements import ELECTRONEGATIVITY, PLACE_OF_SYMBOL, SYMBOLS
from crystalgnn_core.sources.formats.cif.sites import number_in

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crystalgnn_core.sources.formats.cif.items import Items
    from crystalgnn_core.sources.formats.cif.sites import Site

_CHARGE = re.compile(r"\d?[+,-]?$")


class _Key:
    """Compares as pymatgen's sites do: comparing NaN, noble gases have no fixed place."""

    def __init__(self, name: str, electronegativity: float) -> None:
        self._name, self._electronegativity = name, electronegativity

    def __lt__(self, other: _Key) -> bool:
        if self._electronegativity < other._electronegativity:
            return True
        if self._electronegativity > other._electronegativity:
            return False
        return self._name < other._name


def in_order(sites: Sequence[Site], items: Items) -> list[Site]:
    """Sort sites by electronegativity and name; those of one species keep their order.

    Those with noble gases go in the order in which pymatgen starts to sort the atoms.
    """
    if any(math.isnan(_electronegativity(site.element)) for site in sites):
        return sorted(sites, key=lambda site: -PLACE_OF_SYMBOL.get(site.element, 0))
    charges = _charges(items)
    return sorted(
        sites,
        key=lambda site: (_electronegativity(site.element), _species_name(site, charges)),
    )


def with_noble_gases_in_order(crystal: Crystal) -> Crystal:
    """Sort the atoms of a crystal with noble gases."""
    symbols = [SYMBOLS[number - 1] for number in crystal.atomic_numbers.tolist()]
    if not any(math.isnan(ELECTRONEGATIVITY[symbol]) for symbol in set(symbols)):
        return crystal
    keys = [_Key(symbol, ELECTRONEGATIVITY[symbol]) for symbol in symbols]
    order = sorted(range(len(keys)), key=keys.__getitem__)
    return Crystal(
        crystal.atomic_numbers[order], crystal.lattice, crystal.frac_coords[order]
    )


def _electronegativity(element: str) -> float:
    return ELECTRONEGATIVITY["H" if element == "D" else element]


def _charges(items: Items) -> dict[str, float]:
    """Return the oxidation numbers that a CIF lists, by its names of atom types."""
    names = items.column("_atom_type_symbol")
    numbers = items.column("_atom_type_oxidation_number")
    if not numbers or len(names) != len(numbers):
        return {}
    try:
        charges = [number_in(word, "an oxidation number") for word in numbers]
    except RecordError:  # pymatgen ignores them all, too
        return {}
    listed = dict(zip(names, charges, strict=True))
    return listed | {
        _CHARGE.sub("", name): charge for name, charge in zip(names, charges, strict=True)
    }


def _species_name(site: Site, charges: dict[str, float]) -> str:
    if not charges:
        return site.element
    from pymatgen.core.periodic_table import Species

    charge = charges.get(site.element, 0)
    return str(Species(site.element, charges.get(site.type_symbol, charge)))
