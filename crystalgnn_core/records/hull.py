"""Energy above the convex hull of a set of compounds and the elements."""

from __future__ import annotations

from collections import defaultdict
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
from pymatgen.core.composition import Composition

from crystalgnn_core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray
    from pymatgen.core.periodic_table import DummySpecies, Element, Species

    System = frozenset[Element | Species | DummySpecies]


def energies_above_hull(
    compositions: Sequence[Mapping[str, float]], energies: Sequence[float]
) -> NDArray[np.float64]:
    """Return the distance of every entry to the hull of all of them.

    The elements compete at zero energy without being listed. Every chemical system gets a
    phase diagram of pymatgen with the entries of the system and of its subsystems: one
    diagram of all elements together has too many dimensions.

    Args:
        compositions: Element symbol to amount, one mapping an entry.
        energies: Formation energies in eV/atom, one an entry.

    Returns:
        Energies above hull in eV/atom, shape (n_entries,), not negative.

    Raises:
        InputError: The arguments differ in length, or an energy is not finite.
    """
    values = np.asarray(energies, dtype=np.float64)
    if len(compositions) != len(values) or not np.isfinite(values).all():
        raise InputError(
            f"{len(compositions)} compositions and {len(values)} energies, "
            f"{int((~np.isfinite(values)).sum())} of them not finite; give one finite "
            "formation energy for every composition"
        )
    entries = [
        _entry(Composition(composition), energy)
        for composition, energy in zip(compositions, values.tolist(), strict=True)
    ]
    by_system: dict[System, list[int]] = defaultdict(list)
    for index, entry in enumerate(entries):
        by_system[frozenset(entry.composition.elements)].append(index)
    distances = np.empty(len(entries))
    for system, members in by_system.items():
        rivals = [_entry(Composition({element: 1}), 0.0) for element in system]
        for part in _subsystems(system):
            rivals += [entries[index] for index in by_system.get(part, ())]
        diagram = PhaseDiagram(rivals)
        distances[members] = [diagram.get_e_above_hull(entries[i]) for i in members]
    return np.maximum(distances, 0.0)


def _entry(composition: Composition, energy_per_atom: float) -> PDEntry:
    return PDEntry(composition, energy_per_atom * composition.num_atoms)


def _subsystems(system: System) -> Iterator[System]:
    for size in range(1, len(system) + 1):
        yield from map(frozenset, combinations(system, size))
