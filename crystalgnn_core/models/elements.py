"""What is known of the elements: the 92-number table and named properties."""

from __future__ import annotations

import importlib.resources
import json
from functools import cache
from typing import TYPE_CHECKING, Literal

import numpy as np
from pymatgen.core.composition import Composition
from pymatgen.core.periodic_table import Element

from crystalgnn_core.parallel import without_warnings
from crystalgnn_core.records.elements import N_NUMBERS

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from crystalgnn_core.models.base import ElementProperty

N_ELEMENT_FEATURES = 92


@cache
def element_table() -> NDArray[np.float32]:
    """Return the CGCNN element features, shape (101, 92), one row an atomic number.

    The one-hot groups encode group, period, electronegativity, covalent radius, valence
    electrons, first ionisation energy, electron affinity, block and atomic volume (Xie &
    Grossman, Phys. Rev. Lett. 120, 145301 (2018), Table S2); read from jarvis-tools, which
    ships the table of the authors' code. Rows without data (0) are zero.
    """
    text = importlib.resources.files("jarvis.core").joinpath("atom_init.json").read_text()
    table = np.zeros((101, N_ELEMENT_FEATURES), dtype=np.float32)
    for number, features in json.loads(text).items():
        table[int(number)] = features
    return table


def feature_table(
    features: Literal["table"] | tuple[ElementProperty, ...],
) -> NDArray[np.float32]:
    """Return what a network knows of each element.

    Args:
        features: The 92-number table, or names of properties. Each property is shifted and
            scaled to mean 0 and deviation 1 over the elements that have it; it is 0 where
            it is unknown; another column says so.

    Returns:
        Shape (n_numbers, n_features), one row an atomic number from 0. Properties come
        first, then, in the same order, 1 where they are known. The row of an element of
        which nothing is known is zero.
    """
    if features == "table":
        return element_table()
    values = np.stack([property_of_elements(name) for name in features], axis=1)
    is_known = np.isfinite(values)
    scaled = (values - np.nanmean(values, axis=0)) / np.nanstd(values, axis=0)
    filled = np.where(is_known, scaled, 0.0)
    return np.concatenate((filled, is_known), axis=1).astype(np.float32)


def elements_in(table: NDArray[np.float32]) -> tuple[int, ...]:
    """Return the atomic numbers of which a table of features knows anything."""
    return tuple(np.flatnonzero(table.any(axis=1)).tolist())


@cache
def property_of_elements(name: ElementProperty) -> NDArray[np.float64]:
    """Return a property of each element, shape (119,), by atomic number; NaN if unknown.

    Radii are in angstrom, energies in eV, masses in u, melting points in kelvin.
    """
    read = _PROPERTIES[name]
    values = np.full(N_NUMBERS, np.nan)
    with without_warnings():  # pymatgen warns for every property it lacks
        for number in range(1, N_NUMBERS):
            value = read(Element.from_Z(number))
            values[number] = np.nan if value is None else float(value)
    return values


def _covalent_radius(element: Element) -> float | None:
    """Return the radius of Cordero et al., Dalton Trans. 2832 (2008)."""
    from pymatgen.analysis.molecule_structure_comparator import CovalentRadius

    return CovalentRadius.radius.get(element.symbol)


def _ionic_radius(element: Element) -> float | None:
    """Return the mean of the radii of the element's ions; pymatgen has 0 for none."""
    return float(element.average_ionic_radius) or None


def _oxidation_state(element: Element) -> float | None:
    """Return the state that is met most often in the ICSD, by pymatgen's count.

    Where that count lacks the element, its only common state, if there is one alone.
    """
    counts = _icsd_counts().get(element.symbol)
    if counts:
        return max(counts, key=lambda state: (counts[state], state))
    common = element.common_oxidation_states
    return common[0] if len(common) == 1 else None


@cache
def _icsd_counts() -> dict[str, dict[float, int]]:
    """Return symbol to oxidation state to number of ICSD entries."""
    Composition("NaCl").oxi_state_guesses()  # the first guess reads the counts
    counts: dict[str, dict[float, int]] = {}
    for species, count in (Composition.oxi_prob or {}).items():
        counts.setdefault(species.symbol, {})[float(species.oxi_state)] = int(count)
    return counts


def _electron_affinity(element: Element) -> float | None:
    try:
        return element.electron_affinity
    except KeyError:  # pymatgen lacks the entry for the heaviest elements
        return None


def _valence_electrons(element: Element) -> int:
    """Count the electrons outside the noble-gas core, full d and f shells left out."""
    if element.block == "p" and element.row > 1:  # pymatgen has helium there, too
        return element.group - 10
    cores = (0, 2, 10, 18, 36, 54, 86)
    outside = element.Z - max(core for core in cores if core < element.Z)
    return outside - 14 if outside > 16 else outside


_PROPERTIES: dict[ElementProperty, Callable[[Element], float | None]] = {
    "atomic_number": lambda element: element.Z,
    "atomic_mass": lambda element: element.atomic_mass,
    "group": lambda element: element.group,
    "row": lambda element: element.row,
    "mendeleev_number": lambda element: element.mendeleev_no,
    "electronegativity": lambda element: element.X,
    "atomic_radius": lambda element: element.atomic_radius,
    "covalent_radius": _covalent_radius,
    "ionic_radius": _ionic_radius,
    "oxidation_state": _oxidation_state,
    "valence_electrons": _valence_electrons,
    "ionization_energy": lambda element: element.ionization_energy,
    "electron_affinity": _electron_affinity,
    "melting_point": lambda element: element.melting_point,
}
