"""Whether the atoms of a cell are those that a CIF states: formula, Z and density."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import gemmi
import numpy as np

from crystalgnn_core.records.crystal import composition_of
from crystalgnn_core.records.elements import NUMBER_OF_SYMBOL
from crystalgnn_core.records.formulas import read_formula
from crystalgnn_core.sources.formats.cif.elements import n_formula_units
from crystalgnn_core.sources.formats.parsing import unreadable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crystalgnn_core.errors import RecordError
    from crystalgnn_core.records.crystal import Crystal
    from crystalgnn_core.sources.formats.cif.items import Items

_FORMULA = "_chemical_formula_sum"
_UNITS = "_cell_formula_units_z"
_DENSITY = "_exptl_crystal_density_diffrn"
_GRAMS = 1.66053907  # g/cm3 of one atomic mass unit per cubic angstrom
_DENSITY_TOLERANCE = 0.1  # relative; stated densities include what has no place
_WEIGHTS = np.array([gemmi.Element(number).weight for number in range(119)])
_AMOUNT_TOLERANCE = 0.05  # relative, of an element in a formula with fractions
_TRACE = 0.05  # of a formula unit, which dopants may be


class Contents(NamedTuple):
    """What a CIF states of the contents of its cell.

    Attributes:
        formula: As written, empty if there is none that can be read.
        amounts: Of each element in the formula, by symbol; deuterium counts as hydrogen.
        units: Formula units per cell (Z), as written.
        density: In g/cm3, as written.
    """

    formula: str
    amounts: dict[str, float]
    units: str
    density: str

    @property
    def elements(self) -> frozenset[str] | None:
        """Elements of the formula, deuterium beside hydrogen; None without a formula."""
        if not self.amounts:
            return None
        return frozenset(self.amounts) | ({"D"} if "H" in self.amounts else set())

    @property
    def counts(self) -> dict[int, int]:
        """Whole amounts by atomic number; empty if one is not whole."""
        if any(amount != round(amount) for amount in self.amounts.values()):
            return {}
        return {NUMBER_OF_SYMBOL[symbol]: round(n) for symbol, n in self.amounts.items()}


def read_contents(items: Items) -> list[Contents]:
    """Read formula, Z and density; of a formula in capitals both readings, C O and Co."""
    formula = items.value(_FORMULA) or ""
    words = formula.replace(",", " ")
    readings = [read_formula(words)]
    if words.isupper():
        readings.append(read_formula(words.title()))
    return [
        Contents(formula, amounts, items.value(_UNITS) or "", items.value(_DENSITY) or "")
        for number, amounts in enumerate(readings)
        if number == 0 or (amounts and amounts != readings[0])
    ]


def check_contents(crystal: Crystal, contents: Contents) -> bool:
    """Compare atoms with what is stated of them.

    Returns:
        Whether Z or the density confirm the number of atoms, and the formula their kinds.

    Raises:
        RecordError: They are no whole multiple of the formula, elements are missing, or
            Z or the density is another one by a whole factor.
    """
    n_units = _count_units(crystal, contents)
    of_density = density_ratio(crystal, contents.density)
    units = _positive(contents.units)
    if n_units and units:
        if n_units == units or of_density == 1.0:
            return True
        if not has_units(contents.counts, n_units, contents.units):
            raise _other_units(n_units, contents)
    if of_density and of_density != 1.0:
        raise unreadable(
            f"the density is {of_density:.3g} times the {contents.density} g/cm3 that the "
            "CIF states; correct the symmetry operations, the space group or the cell"
        )
    return of_density == 1.0


def _other_units(n_units: int, contents: Contents) -> RecordError:
    return unreadable(
        f"the operations and sites make {n_units} formula units of {contents.formula} "
        f"in the cell, but the CIF states Z = {contents.units}; correct the symmetry "
        "operations, the space group or Z"
    )


def _count_units(crystal: Crystal, contents: Contents) -> int:
    """Return the formula units, 0 without a whole formula; refuse what does not add up."""
    if not contents.amounts:
        return 0
    numbers = crystal.atomic_numbers.tolist()
    n_units = n_formula_units(numbers, contents.counts) if contents.counts else 0
    if not (n_units or (not contents.counts and _has_amounts(crystal, contents))):
        raise unreadable(
            f"the sites add up to {composition_of(crystal).formula}, but the CIF states "
            f"{contents.formula}; restore the missing sites or correct {_FORMULA}"
        )
    return n_units


def _has_amounts(crystal: Crystal, contents: Contents) -> bool:
    """Return whether atoms have the shares of a formula, its traces left out."""
    found = np.bincount(crystal.atomic_numbers, minlength=119).astype(np.float64)
    stated = np.zeros(len(found))
    for symbol, amount in contents.amounts.items():
        stated[NUMBER_OF_SYMBOL[symbol]] = amount
    is_trace = (stated > 0.0) & (stated < _TRACE)
    if found[is_trace].sum() > _AMOUNT_TOLERANCE * found.sum():
        return False
    stated[is_trace] = found[is_trace] = 0.0
    if not (stated.any() and found.any()):
        return False
    stated, found = stated / stated.sum(), found / found.sum()
    return bool((np.abs(found - stated) <= _AMOUNT_TOLERANCE * stated).all())


def has_units(counts: Mapping[int, int], n_units: int, stated: str) -> bool:
    """Return whether a number of formulas does not contradict the stated one (Z).

    The formula may also be that of the whole cell, as programs write it; then Z says
    nothing of the number of atoms, and does not confirm it.
    """
    units = _positive(stated)
    return (
        not units
        or n_units == units
        or (n_units == 1 and not any(count % units for count in counts.values()))
    )


def density_ratio(crystal: Crystal, stated: str) -> float:
    """Return how many times the stated density the atoms make.

    Args:
        crystal: The atoms and their cell.
        stated: Density in g/cm3, as a CIF gives it.

    Returns:
        1 if they agree, a whole number or the inverse of one if they contradict each
        other, 0 if nothing is stated or neither is clear.
    """
    density = _positive(stated)
    if not density:
        return 0.0
    volume = abs(float(np.linalg.det(crystal.lattice)))
    ratio = float(_WEIGHTS[crystal.atomic_numbers].sum()) * _GRAMS / volume / density
    if not 1e-2 < ratio < 1e2:  # in other units
        return 0.0
    nearest = round(ratio) if ratio > 1.0 else 1.0 / round(1.0 / ratio)
    return float(nearest) if abs(ratio / nearest - 1.0) < _DENSITY_TOLERANCE else 0.0


def _positive(text: str) -> float:
    try:
        value = float(text.strip("'\"").partition("(")[0])
    except ValueError:
        return 0.0
    return value if math.isfinite(value) and value > 0.0 else 0.0
