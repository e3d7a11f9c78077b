"""Total energies that stand beside the structures of a file."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from crystalgnn_core.errors import RecordError
from crystalgnn_core.records.labels import label_value
from crystalgnn_core.sources.formats.calculation import Calculation
from crystalgnn_core.sources.formats.parsing import as_mapping

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crystalgnn_core.records.crystal import Crystal

_ENERGY_KEYS = ("uncorrected_energy", "energy")
# emmet, the Materials Project's documents, writes some run types in its own way
_RUN_TYPES = {"GGA_U": "GGA+U", "PBE": "GGA", "PBE+U": "GGA+U", "R2SCAN": "r2SCAN"}


def calculation_of(crystal: Crystal, values: Mapping[str, Any]) -> Calculation:
    """Collect a calculation from a structure and what stands beside it.

    Args:
        crystal: The structure.
        values: `uncorrected_energy` or `energy` of the cell in eV; where known
            `correction`, `run_type`, `parameters` and `data` as in pymatgen's entries.

    Raises:
        RecordError: `missing_label`, there is no energy; `invalid_label`, it is no number.
    """
    energy = next(
        (
            found
            for key in _ENERGY_KEYS
            if (found := label_value(values.get(key))) is not None
        ),
        None,
    )
    if energy is None:
        raise RecordError(
            "missing_label",
            f"no total energy ({' or '.join(_ENERGY_KEYS)}) stands beside the structure",
        )
    if math.isinf(energy):
        raise RecordError("invalid_label", f"the total energy is {energy}")
    parameters = as_mapping(values.get("parameters"))
    return Calculation(
        crystal,
        energy,
        run_type=run_type_of(values),
        hubbards=_hubbards(parameters),
        potcars=_titles(parameters),
        correction=label_value(values.get("correction")),
        data=as_mapping(values.get("data")),
    )


def run_type_of(values: Mapping[str, Any]) -> str | None:
    """Return the kind of calculation as the Materials Project writes it, or None."""
    for held in (values, as_mapping(values.get("parameters"))):
        given = held.get("run_type")
        if given is not None and (name := str(given).strip()):  # no truth of an array
            return _RUN_TYPES.get(name, name)
    return None


def _hubbards(parameters: Mapping[str, Any]) -> dict[str, float]:
    given = as_mapping(parameters.get("hubbards"))
    try:
        return {str(element): float(value) for element, value in given.items()}
    except (TypeError, ValueError, OverflowError) as error:
        raise RecordError(
            "incompatible_settings", f"the Hubbard U are {dict(given)}, expected numbers"
        ) from error


def _titles(parameters: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the titles of the potentials, from whichever key holds them."""
    specification, symbols = (
        found if isinstance(found := parameters.get(key), list | tuple) else []
        for key in ("potcar_spec", "potcar_symbols")
    )
    titles = [as_mapping(entry).get("titel") for entry in specification]
    return tuple(str(title) for title in (titles if any(titles) else symbols) if title)
