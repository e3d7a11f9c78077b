"""Energy above the convex hull of a set of compounds and the elements."""

from __future__ import annotations

from collections import defaultdict
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import linprog

from crystalgnn_core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

Fractions = tuple[tuple[str, float], ...]


def energies_above_hull(
    compositions: Sequence[Mapping[str, float]], energies: Sequence[float]
) -> NDArray[np.float64]:
    """Return the distance of every entry to the hull of all of them.

    The elements compete at zero energy without being listed. The hull at a composition is
    the cheapest mixture of entries of its chemical system and of all subsystems, a linear
    program.

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
    keys = [_fractions(composition) for composition in compositions]
    lowest: dict[Fractions, float] = {}
    for key, energy in zip(keys, values.tolist(), strict=True):
        lowest[key] = min(energy, lowest.get(key, np.inf))
    hull = _hull_energies(lowest)
    return np.maximum(values - np.array([hull[key] for key in keys]), 0.0)


def _fractions(composition: Mapping[str, float]) -> Fractions:
    total = sum(composition.values())
    # rounded so that supercells and other multiples fall together
    return tuple(sorted((symbol, round(n / total, 9)) for symbol, n in composition.items()))


def _hull_energies(lowest: dict[Fractions, float]) -> dict[Fractions, float]:
    """Return the energy of the hull in eV/atom at every composition."""
    by_system: dict[tuple[str, ...], list[Fractions]] = defaultdict(list)
    for key in lowest:
        by_system[tuple(symbol for symbol, _ in key)].append(key)
    hull: dict[Fractions, float] = {}
    for system, members in by_system.items():
        rivals = [key for part in _subsystems(system) for key in by_system.get(part, ())]
        matrix = np.zeros((len(system), len(rivals) + len(system)))
        matrix[:, len(rivals) :] = np.eye(len(system))
        for column, key in enumerate(rivals):
            for symbol, fraction in key:
                matrix[system.index(symbol), column] = fraction
        costs = np.array([lowest[key] for key in rivals] + [0.0] * len(system))
        for key in members:
            hull[key] = _cheapest_mixture(costs, matrix, key)
    return hull


def _subsystems(system: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for size in range(1, len(system) + 1):
        yield from combinations(system, size)


def _cheapest_mixture(
    costs: NDArray[np.float64], matrix: NDArray[np.float64], key: Fractions
) -> float:
    target = np.array([fraction for _, fraction in key])
    result = linprog(costs, A_eq=matrix, b_eq=target, method="highs")
    if not result.success:
        raise InputError(f"no hull at {dict(key)}: {result.message}")
    return float(result.fun)
