"""Read CIF texts with pymatgen, and refuse those that it would misread without a word."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pymatgen.io.cif import CifParser

from crystalgnn_core.records.crystal import composition_of, crystal_from_structure
from crystalgnn_core.records.elements import NUMBER_OF_SYMBOL
from crystalgnn_core.records.formulas import read_formula
from crystalgnn_core.sources.formats.cif.elements import is_multiple
from crystalgnn_core.sources.formats.parsing import parsing, unreadable

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
    if formula and not is_multiple(crystal.atomic_numbers.tolist(), formula):
        raise unreadable(
            f"the sites add up to {composition_of(crystal).formula}, but the CIF states "
            f"{str(stated)[:80]}; restore the missing sites or correct the formula "
            "(_chemical_formula_sum)"
        )


def _whole_formula(text: str) -> dict[int, int]:
    """Read a formula as counts by atomic number; empty unless all are whole numbers."""
    amounts = read_formula(text)
    if not all(amount.is_integer() for amount in amounts.values()):
        return {}
    return {NUMBER_OF_SYMBOL[name]: int(amount) for name, amount in amounts.items()}
