"""The sites that a CIF lists, before symmetry acts on them."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from crystalgnn_core.errors import RecordError
from crystalgnn_core.sources.formats.cif.names import (
    element_of,
    is_group_with_hydrogen,
    is_lettered,
    is_oxygen,
)
from crystalgnn_core.sources.formats.cif.symmetry import ideal
from crystalgnn_core.sources.formats.parsing import unreadable

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

    from crystalgnn_core.sources.formats.cif.items import Items

_FRACTIONS = tuple(f"_atom_site_fract_{axis}" for axis in "xyz")
_CARTESIAN = tuple(f"_atom_site_cartn_{axis}" for axis in "xyz")
_BRACKET = re.compile(r"\([^()]*\)?$")
_RIGHT_ANGLE = 1e-6
_BOUND_TO_HYDROGEN = frozenset({"B", "C", "N", "O", "S"})  # in groups of one name


class Site(NamedTuple):
    """One site.

    Attributes:
        label: Its name in the CIF, for messages.
        type_symbol: As stated, empty if it is not.
        element: Symbol, `D` for deuterium.
        place: Fractional coordinates.
        share: Occupancy.
    """

    label: str
    type_symbol: str
    element: str
    place: tuple[float, ...]
    share: float


def read_sites(
    items: Items,
    lattice: NDArray[np.float64],
    formula: Collection[str] | None,
    *,
    is_checked: bool,
) -> list[Site]:
    """Read the sites of a block; dummies and sites that are stated as empty are left out.

    Args:
        items: The entries of the block.
        lattice: Row vectors in angstrom, shape (3, 3).
        formula: Elements of the stated formula, None without one.
        is_checked: The number of atoms will be compared with a formula.

    Raises:
        RecordError: A site has no place or no element, or hydrogen atoms without places
            are attached to it; sites are alternatives of each other.
    """
    labels, types = _names(items)
    places = _places(items, lattice, labels)
    shares = _shares(items, labels, is_checked=is_checked)
    flags = _column(items, "calc_flag", labels)
    sites = []
    for label, kind, place, share, flag in zip(
        labels, types, places, shares, flags, strict=True
    ):
        if flag.lower() != "dum" and share != 0.0:
            element = element_of(kind, label, formula)
            sites.append(Site(label, kind, element, place, share))
    has_hydrogen = any(site.element in {"H", "D"} for site in sites)
    if not (formula and "H" in formula and has_hydrogen):
        _refuse_attached_hydrogens(items, labels)
    if not has_hydrogen:
        _refuse_names_of_hydrogen(sites, formula)
    _refuse_alternatives(items, labels)
    if not sites:
        raise unreadable("the CIF lists no atom sites; export it with coordinates")
    return sites


def number_in(text: str, what: str) -> float:
    """Read a number, uncertainties such as the (2) in 5.43(2) left out.

    Raises:
        RecordError: It is none, or not finite.
    """
    words = _BRACKET.sub("", text)
    numerator, slash, denominator = words.partition("/")
    try:
        value = float(numerator) / float(denominator) if slash else float(words)
    except (ValueError, ZeroDivisionError):
        value = math.nan
    if not math.isfinite(value):
        raise unreadable(f"{what} is {text[:40]!r}, expected a number")
    return value


def _names(items: Items) -> tuple[list[str], list[str]]:
    """Return labels and type symbols, as long as each other."""
    labels = items.column("_atom_site_label", _place_in(items))
    types = items.column("_atom_site_type_symbol", _place_in(items))
    labels, types = labels or types, types or [""] * len(labels)
    if len(labels) != len(types):
        raise unreadable(
            f"the CIF gives {len(labels)} labels and {len(types)} type symbols of sites; "
            "list them in one loop"
        )
    return labels, ["" if kind in {"?", "."} else kind for kind in types]


def _place_in(items: Items) -> str:
    """Return the entry beside which everything that is told of a site stands."""
    return _FRACTIONS[0] if _FRACTIONS[0] in items.names else _CARTESIAN[0]


def _column(items: Items, name: str, labels: Sequence[str]) -> list[str]:
    """Return a column of the sites; `.` for each if it is not there."""
    words = items.column(f"_atom_site_{name}", _place_in(items)) or ["."] * len(labels)
    if len(words) != len(labels):
        raise unreadable(
            f"the CIF gives {len(labels)} sites and {len(words)} values of "
            f"_atom_site_{name}; list them in one loop"
        )
    return words


def _places(
    items: Items, lattice: NDArray[np.float64], labels: Sequence[str]
) -> list[tuple[float, ...]]:
    names = _FRACTIONS if items.names.issuperset(_FRACTIONS) else _CARTESIAN
    if not items.names.issuperset(names):
        raise unreadable(
            "the CIF has no atom sites with _atom_site_fract_x, _y and _z; export it with "
            "coordinates"
        )
    if len({items.loop_of(name) for name in names}) > 1:
        raise unreadable("the coordinates of the sites stand in several loops; use one")
    columns = [_column(items, name.removeprefix("_atom_site_"), labels) for name in names]
    rows = [
        tuple(
            number_in(word, f"{name} of site {label}")
            for word, name in zip(words, names, strict=True)
        )
        for label, *words in zip(labels, *columns, strict=True)
    ]
    if names == _FRACTIONS:
        return [tuple(ideal(value) for value in row) for row in rows]
    gram = lattice @ lattice.T
    if np.abs(gram - np.diag(np.diag(gram))).max() > _RIGHT_ANGLE * gram.max():
        raise unreadable(
            "the sites have Cartesian coordinates in a cell that is not rectangular, whose "
            "axes may lie in several ways; give fractional coordinates"
        )
    return [tuple(np.array(row) / np.sqrt(np.diag(gram))) for row in rows]


def _shares(items: Items, labels: Sequence[str], *, is_checked: bool) -> list[float]:
    """Read occupancies; where none is stated the site is full, as CIF defines.

    Args:
        items: The entries of the block.
        labels: Of the sites.
        is_checked: The number of atoms will be compared with a formula.
    """
    words = _column(items, "occupancy", labels)
    known = [word not in {"?", "."} for word in words]
    if any(known) and not all(known) and not is_checked:
        label = labels[known.index(False)]
        raise unreadable(
            f"site {label} has no occupancy, others have; state it, or the "
            "formula in whole numbers"
        )
    return [
        number_in(word, f"the occupancy of site {label}") if is_known else 1.0
        for label, word, is_known in zip(labels, words, known, strict=True)
    ]


def _refuse_attached_hydrogens(items: Items, labels: Sequence[str]) -> None:
    attached = _column(items, "attached_hydrogens", labels)
    for label, word in zip(labels, attached, strict=True):
        if word not in {"?", "."} and number_in(word, "_atom_site_attached_hydrogens") > 0:
            raise unreadable(
                f"hydrogen atoms are attached to site {label} without places of their own; "
                "give them coordinates"
            )


def _refuse_names_of_hydrogen(
    sites: Sequence[Site], formula: Collection[str] | None
) -> None:
    """Refuse a site that is named after a group with hydrogen, such as water."""
    labels = {site.label for site in sites}
    for site in sites:
        is_other = is_oxygen(site.label, formula) or is_lettered(site.label, labels)
        may_be = site.element in _BOUND_TO_HYDROGEN and not is_other
        if may_be and is_group_with_hydrogen(site.label):
            raise unreadable(
                f"site {site.label} is called water or a hydroxyl, but the CIF places no "
                "hydrogen; give the hydrogen atoms coordinates"
            )


def _refuse_alternatives(items: Items, labels: Sequence[str]) -> None:
    groups = _column(items, "disorder_group", labels)
    assemblies = _column(items, "disorder_assembly", labels)
    found: dict[str, str] = {}
    for label, assembly, group in zip(labels, assemblies, groups, strict=True):
        other = found.setdefault(assembly, group) if group not in {"?", ".", "0"} else group
        if other != group or group.startswith("-"):
            raise RecordError(
                "disordered_site",
                f"site {label} is one of several alternatives (_atom_site_disorder_group "
                f"{group}); keep one of them",
            )
