"""Errors of unit, sign and scale by which labels of a source are known to go wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from crystalgnn_core.records.gate.distribution import QUANTILES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crystalgnn_core.records.gate.distribution import Distribution

Values = NDArray[np.float64]
Conversion = Callable[[Values, Values], Values]  # of labels and atoms per cell, both (n,)
TOLERANCE = 1e-3  # relative; sources round their labels
SMALLEST = 1e-6  # labels nearer to zero say nothing about a factor
MUCH_NEARER = 0.5  # of the distance to what was stored before

PER_ATOM = ("formation_energy_per_atom", "energy_above_hull")
ENERGIES = (*PER_ATOM, "band_gap", "fermi_energy")
MODULI = ("bulk_modulus", "shear_modulus")
SIGNED = ("formation_energy_per_atom", "fermi_energy", "poisson_ratio")
KJ_PER_MOL = 96.48533212  # 1 eV, CODATA 2018
KCAL_PER_MOL = 23.06054783
HARTREE = 27.211386245988  # eV
GPA_OF_EV_PER_A3 = 160.1766208


class UnitError(NamedTuple):
    """A known way in which labels go wrong.

    Attributes:
        name: What happened, as in "eV instead of eV/atom".
        relation: How a wrong label follows from the right one.
        targets: Targets to which it can happen.
        apply: Makes a wrong label of the right one.
        undo: Makes the right label of a wrong one.
    """

    name: str
    relation: str
    targets: tuple[str, ...]
    apply: Conversion
    undo: Conversion


def _factor(name: str, factor: float, targets: tuple[str, ...]) -> UnitError:
    return UnitError(
        name,
        f"new/old = {factor:.6g}",
        targets,
        lambda values, _: values * factor,
        lambda values, _: values / factor,
    )


UNIT_ERRORS: tuple[UnitError, ...] = (
    UnitError(
        "eV instead of eV/atom",
        "new/old = n_sites",
        PER_ATOM,
        lambda values, n_sites: values * n_sites,
        lambda values, n_sites: values / n_sites,
    ),
    UnitError(
        "eV/atom divided by the atoms once more",
        "new/old = 1/n_sites",
        PER_ATOM,
        lambda values, n_sites: values / n_sites,
        lambda values, n_sites: values * n_sites,
    ),
    _factor("meV instead of eV", 1e3, ENERGIES),
    _factor("keV instead of eV, or eV taken for meV", 1e-3, ENERGIES),
    _factor("kJ/mol instead of eV", KJ_PER_MOL, ENERGIES),
    _factor("eV taken for kJ/mol", 1 / KJ_PER_MOL, ENERGIES),
    _factor("kcal/mol instead of eV", KCAL_PER_MOL, ENERGIES),
    _factor("eV taken for kcal/mol", 1 / KCAL_PER_MOL, ENERGIES),
    _factor("hartree instead of eV", 1 / HARTREE, ENERGIES),
    _factor("eV taken for hartree", HARTREE, ENERGIES),
    _factor("rydberg instead of eV", 2 / HARTREE, ENERGIES),
    _factor("eV taken for rydberg", HARTREE / 2, ENERGIES),
    _factor("kbar instead of GPa", 10.0, MODULI),
    _factor("GPa taken for kbar", 0.1, MODULI),
    _factor("Mbar instead of GPa", 0.01, MODULI),
    _factor("GPa taken for Mbar", 100.0, MODULI),
    _factor("MPa instead of GPa", 1e3, MODULI),
    _factor("GPa taken for MPa", 1e-3, MODULI),
    _factor("eV/A^3 instead of GPa", 1 / GPA_OF_EV_PER_A3, MODULI),
    _factor("GPa taken for eV/A^3", GPA_OF_EV_PER_A3, MODULI),
    UnitError(
        "log10(GPa) instead of GPa",
        "new = log10(old)",
        MODULI,
        lambda values, _: np.log10(np.maximum(values, SMALLEST)),
        lambda values, _: 10.0 ** np.minimum(values, 12.0),
    ),
    _factor("sign turned", -1.0, SIGNED),
    UnitError(
        "classes exchanged",
        "new = 1 - old",
        ("is_metal",),
        lambda values, _: 1.0 - values,
        lambda values, _: 1.0 - values,
    ),
)


class ExplainedPairs(NamedTuple):
    """A unit error that explains changed labels, and how many of them."""

    unit_error: UnitError
    n_explained: int


def find_unit_error_of_pairs(
    target: str, old: Values, new: Values, n_sites: Values
) -> ExplainedPairs | None:
    """Find the unit error that explains most of some changed labels, row by row.

    Labels, each new one other than the old, and atoms in the cell have shape (n,).

    Returns:
        The unit error; None if there is none that explains any label.
    """
    best = None
    for unit_error in _unit_errors_of(target):
        wrong = unit_error.apply(old, n_sites)
        is_telling = (np.abs(old) > SMALLEST) | (unit_error.relation == "new = 1 - old")
        near = np.abs(new - wrong) <= TOLERANCE * np.maximum(np.abs(wrong), SMALLEST)
        n_explained = int((near & is_telling).sum())
        if n_explained > (0 if best is None else best.n_explained):
            best = ExplainedPairs(unit_error, n_explained)
    return best


def find_unit_error_of_values(
    target: str, values: Values, n_sites: Values, known: Distribution
) -> UnitError | None:
    """Find the unit error without which labels would look like those known.

    Labels, which do not look like those, and atoms in the cell have shape (n,).

    Returns:
        The unit error whose undoing brings the labels nearest to those known; None
        unless it brings them much nearer.
    """
    best, nearest = None, MUCH_NEARER * distance(values, known)
    for unit_error in _unit_errors_of(target):
        found = distance(unit_error.undo(values, n_sites), known)
        if found < nearest:
            best, nearest = unit_error, found
    return best


def distance(values: Values, known: Distribution) -> float:
    """Return the largest difference of two cumulative distributions.

    It is that of Kolmogorov and Smirnov, taken at the known quantiles.
    """
    ordered, at = np.sort(values), np.array(known.quantiles)
    below = np.searchsorted(ordered, at, side="left") / len(ordered)
    up_to = np.searchsorted(ordered, at, side="right") / len(ordered)
    wanted = np.array(QUANTILES)
    # the first and last are of 1 row, and an equal value counts on either side
    inner = np.maximum(below - wanted, wanted - up_to)[1:-1]
    return float(max(inner.max(), 0.0))


def _unit_errors_of(target: str) -> Sequence[UnitError]:
    return [unit_error for unit_error in UNIT_ERRORS if target in unit_error.targets]
