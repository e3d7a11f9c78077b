"""Read the properties of an OPTIMADE structure entry: crystal, labels and dates.

The properties are those of the specification, version 1.2,
https://specification.optimade.org; an entry that describes no fully known, ordered and
periodic crystal is refused with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from crystalgnn_core.errors import RecordError
from crystalgnn_core.records.crystal import OCCUPANCY_TOLERANCE, Crystal
from crystalgnn_core.records.elements import NUMBER_OF_SYMBOL
from crystalgnn_core.sources.formats.objects import fractional_coords
from crystalgnn_core.sources.formats.parsing import (
    as_mapping,
    atomic_number_of,
    describe_cause,
    unreadable,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from crystalgnn_core.errors import RejectReason

PROPERTIES = (
    "lattice_vectors",
    "cartesian_site_positions",
    "species_at_sites",
    "species",
    "nsites",
    "nperiodic_dimensions",
    "dimension_types",
    "structure_features",
    "assemblies",
    "last_modified",
    "immutable_id",
)
_NEEDED = PROPERTIES[:3]
_FEATURES: dict[str, tuple[RejectReason, str]] = {
    "disorder": ("disordered_site", "sites are partially or mixedly occupied"),
    "assemblies": ("disordered_site", "groups of sites are occupied alternatively"),
    "implicit_atoms": ("unreadable_structure", "atoms of the formula have no site"),
    "site_attachments": ("unreadable_structure", "atoms are attached without positions"),
    "unknown_positions": ("unreadable_structure", "sites have no positions"),
}


def crystal_from_entry(entry: Mapping[str, Any]) -> Crystal:
    """Read the crystal of a structure entry.

    Args:
        entry: A resource object of the `structures` endpoint, with `attributes`.

    Raises:
        RecordError: The entry describes no ordered crystal with periodic axes, or its
            properties contradict each other; the reason says which.
    """
    attributes = entry.get("attributes")
    if not isinstance(attributes, Mapping):
        raise unreadable("the entry has no attributes; the provider breaks the standard")
    _refuse_partial_data(entry, attributes)
    _refuse_features(attributes)
    _refuse_open_axes(attributes)
    lattice = _numbers(attributes, "lattice_vectors")
    if lattice.shape != (3, 3):
        raise unreadable(f"lattice_vectors have shape {lattice.shape}, expected (3, 3)")
    names = _names_of_sites(attributes)
    if not names:
        raise RecordError("no_atoms", "the entry lists no sites; the cell is empty")
    positions = _numbers(attributes, "cartesian_site_positions")
    if positions.shape != (len(names), 3):
        raise unreadable(
            f"{len(names)} species_at_sites but cartesian_site_positions of shape "
            f"{positions.shape}; expected three numbers per site"
        )
    n_sites = attributes.get("nsites")
    if n_sites is not None and n_sites != len(names):
        raise unreadable(f"nsites is {n_sites}, but {len(names)} sites are listed")
    known = {name: _atomic_number(name, attributes) for name in dict.fromkeys(names)}
    numbers = np.array([known[name] for name in names], dtype=np.int16)
    return Crystal(numbers, lattice, fractional_coords(lattice, positions))


def property_value(attributes: object, path: str) -> object:
    """Look a property up; dots lead into nested properties.

    Returns:
        The value, or None where a property on the way is missing.

    Raises:
        RecordError: `invalid_label`, something on the way has no parts.
    """
    if attributes is None:
        return None
    if not isinstance(attributes, Mapping):
        raise RecordError(
            "invalid_label",
            f"{repr(attributes)[:40]} has no part {path!r}; fix targets.<target>.column",
        )
    if path in attributes:
        return attributes[path]
    head, _, rest = path.partition(".")
    return property_value(attributes.get(head), rest) if rest else None


def last_updated(attributes: object) -> datetime | None:
    """Read `last_modified`; None where it is missing or no date."""
    text = as_mapping(attributes).get("last_modified")
    try:
        date = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return date.replace(tzinfo=UTC) if date is not None and date.tzinfo is None else date


def _refuse_partial_data(entry: Mapping[str, Any], attributes: Mapping[str, Any]) -> None:
    """Refuse an entry whose properties must be fetched piecewise from elsewhere."""
    links = as_mapping(as_mapping(entry.get("meta")).get("partial_data_links"))
    for name in PROPERTIES:
        if name in links and attributes.get(name) is None:
            raise unreadable(
                f"{name} is given as partial data, being too large for one answer; such "
                "entries are not read"
            )


def _refuse_features(attributes: Mapping[str, Any]) -> None:
    features = attributes.get("structure_features") or []
    if not isinstance(features, list):
        raise unreadable(f"structure_features is {features!r}, expected a list")
    for feature in features:
        if str(feature).startswith("_"):  # of the provider alone, beside the standard ones
            continue
        reason, what = _FEATURES.get(
            str(feature), ("unreadable_structure", "what it means is not known")
        )
        raise RecordError(reason, f"structure_features names {feature}: {what}")
    if attributes.get("assemblies"):
        raise RecordError(*_FEATURES["assemblies"])


def _refuse_open_axes(attributes: Mapping[str, Any]) -> None:
    """Refuse molecules, wires and slabs."""
    types = attributes.get("dimension_types")
    if types is not None and types != [1, 1, 1]:
        raise unreadable(
            f"dimension_types is {types}, expected periodic axes only: [1, 1, 1]"
        )
    n_axes = attributes.get("nperiodic_dimensions")
    if n_axes is not None and n_axes != 3:
        raise unreadable(f"nperiodic_dimensions is {n_axes}, expected 3")


def _numbers(attributes: Mapping[str, Any], name: str) -> NDArray[np.float64]:
    values = _needed(attributes, name)
    rows = values if isinstance(values, list) else [values]
    flat = [x for row in rows for x in (row if isinstance(row, list) else [row])]
    if any(x is None for x in flat):
        raise unreadable(f"{name} hold null, expected numbers along every axis")
    if any(isinstance(x, bool | str) for x in flat):
        raise unreadable(f"{name} hold other things than numbers")
    try:
        return np.array(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise unreadable(f"{name}: {describe_cause(error)}") from error


def _names_of_sites(attributes: Mapping[str, Any]) -> list[str]:
    names = _needed(attributes, "species_at_sites")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise unreadable("species_at_sites is no list of species names")
    return names


def _needed(attributes: Mapping[str, Any], name: str) -> object:
    value = attributes.get(name)
    if value is None:
        missing = [name for name in _NEEDED if attributes.get(name) is None]
        raise unreadable(
            f"the provider gives no {', '.join(missing)}; without {_NEEDED[0]}, "
            f"{_NEEDED[1]} and {_NEEDED[2]} there is no crystal"
        )
    return value


def _atomic_number(name: str, attributes: Mapping[str, Any]) -> int:
    """Return the one element that fully occupies the sites of a species."""
    species = attributes.get("species")
    if species is None:  # optional in the standard; disorder is flagged in any case
        if name not in NUMBER_OF_SYMBOL:
            raise unreadable(
                f"the provider gives no species, and {name!r} in species_at_sites is no "
                "element symbol"
            )
        return NUMBER_OF_SYMBOL[name]
    if not isinstance(species, list):
        raise unreadable("species is no list")
    own = [one for one in species if isinstance(one, Mapping) and one.get("name") == name]
    if len(own) != 1:
        raise unreadable(
            f"species_at_sites names {name!r}, which species describes {len(own)} times"
        )
    return _element(name, own[0])


def _element(name: str, species: Mapping[str, Any]) -> int:
    symbols: Any = species.get("chemical_symbols")
    shares: Any = species.get("concentration")
    if not _is_filled_list(symbols) or not _is_filled_list(shares):
        raise unreadable(f"species {name!r} lacks chemical_symbols or concentration")
    if len(symbols) != len(shares):
        raise unreadable(
            f"species {name!r} has {len(symbols)} chemical_symbols and {len(shares)} "
            "concentrations"
        )
    if species.get("attached") or any(species.get("nattached") or []):
        raise unreadable(f"species {name!r} has attached atoms, which have no positions")
    is_full = isinstance(shares[0], int | float) and (
        abs(shares[0] - 1.0) <= OCCUPANCY_TOLERANCE
    )
    if len(symbols) > 1 or symbols[0] == "vacancy" or not is_full:
        given = ", ".join(f"{a} {b}" for a, b in zip(symbols, shares, strict=True))
        raise RecordError(
            "disordered_site",
            f"species {name!r} is {given}; order the structure (one full element per site)",
        )
    return atomic_number_of(str(symbols[0]))


def _is_filled_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str) and bool(value)
