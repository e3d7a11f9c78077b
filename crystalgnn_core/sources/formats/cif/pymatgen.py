"""Read CIF texts with pymatgen, and refuse those that it would misread without a word."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from pymatgen.core.composition import Composition
from pymatgen.io.cif import CifParser

from crystalgnn_core.errors import RecordError
from crystalgnn_core.records.crystal import composition_of, crystal_from_structure
from crystalgnn_core.sources.formats.parsing import atomic_number_of, parsing, unreadable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crystalgnn_core.records.crystal import Crystal

_SITE_NUMBERS = (*(f"_atom_site_fract_{axis}" for axis in "xyz"), "_atom_site_occupancy")


def crystal_with_pymatgen(block: str) -> Crystal:
    """Read one CIF data block, the cell as given.

    Raises:
        RecordError: The block is damaged, or its sites do not add up to the formula it
            states.
    """
    with parsing("a readable CIF"):
        parser = CifParser.from_str(block, check_cif=False)
        data: Mapping[str, Any] = next(iter(parser.as_dict().values()), {})
        _check_sites(data)
        structure = parser.parse_structures(primitive=False, on_error="raise")[0]
    crystal = crystal_from_structure(structure)
    _check_formula(data.get("_chemical_formula_sum"), crystal)
    return crystal


def _check_sites(data: Mapping[str, Any]) -> None:
    """Refuse what pymatgen misreads: a dot as zero, a lone site letter by letter."""
    if isinstance(data.get("_atom_site_label"), str):
        raise ValueError("the atom site stands outside a loop")
    for key in _SITE_NUMBERS:
        if "." in data.get(key, ()):
            raise ValueError(f"a site has no {key.removeprefix('_atom_site_')}")


def _check_formula(stated: object, crystal: Crystal) -> None:
    """Refuse sites that are no whole multiple of the stated formula: some got lost.

    A file that was cut between two lines parses well, as does one without its hydrogens.
    """
    formula = _whole_formula(str(stated))
    if not formula:
        return
    found = Counter(crystal.atomic_numbers.tolist())
    units, rest = divmod(found.total(), formula.total())
    is_whole = units > 0 and rest == 0
    if not is_whole or any(found[z] != units * count for z, count in formula.items()):
        raise unreadable(
            f"the sites add up to {composition_of(crystal).formula}, but the CIF states "
            f"{stated}; restore the missing sites or correct _chemical_formula_sum"
        )


def _whole_formula(text: str) -> Counter[int]:
    """Read a formula as counts by atomic number; empty unless all are whole numbers."""
    counts: Counter[int] = Counter()
    try:
        amounts = Composition(text).get_el_amt_dict()
        for symbol, amount in amounts.items():  # deuterium and hydrogen add up
            counts[atomic_number_of(symbol)] += round(amount)
    except (ValueError, RecordError):
        return Counter()
    is_whole = all(amount == round(amount) for amount in amounts.values())
    return counts if is_whole else Counter()
