"""Whether readers found the same crystal, and which kind of difference it is if not."""

import warnings
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.scan_parsers import Atoms, Found

SAME, EQUIVALENT = "same", "equivalent"
DISTANCE = 0.02  # angstrom; files with four digits of a 40 angstrom axis are within it
VOLUME = 1e-3  # relative
MAX_MATCHED = 300  # atoms; beyond, pymatgen's matcher takes minutes

KINDS = {
    "all agree": "all that read it agree, ours among them",
    "we refuse, others agree": "two or more of the others agree",
    "we refuse, others differ": "two or more of the others read it, and none agree",
    "we differ from two that agree": "two of the others agree, and not with ours",
    "others differ": "one of the others agrees with ours, one does not",
    "none agree": "ours and another read it, and no two agree",
    "only ours": "none of the others reads it",
    "only one of the others": "ours and the rest refuse it",
    "none reads it": "all refuse it",
}


def relate(first: Atoms, second: Atoms) -> str:
    """Compare two crystals, whatever the order of atoms and the orientation.

    Returns:
        `same` for one cell with one set of places, up to lattice translations;
        `equivalent` where pymatgen's matcher finds one crystal in other cells or with
        another origin; else what differs: `composition`, `volume` (per atom) or `places`.
    """
    n_first, n_second = len(first.numbers), len(second.numbers)
    counts = [np.bincount(each.numbers, minlength=120) for each in (first, second)]
    if (counts[0] * n_second != counts[1] * n_first).any():
        return "composition"
    volumes = [
        abs(np.linalg.det(each.lattice)) / len(each.numbers) for each in (first, second)
    ]
    if abs(volumes[0] / volumes[1] - 1) > VOLUME:
        return "volume"
    if n_first == n_second and _are_same(first, second):
        return SAME
    if max(n_first, n_second) > MAX_MATCHED:
        return "places (not matched: too large)"
    return EQUIVALENT if _match(first, second) else "places"


def sort_kind(found: dict[str, Found], relations: dict[tuple[str, str], str]) -> str:
    """Return the kind of a block by who read it and who agrees with whom."""
    readers = [name for name, each in found.items() if not isinstance(each, str)]
    others = [name for name in readers if name != "ours"]
    agree = {pair for pair, relation in relations.items() if relation in (SAME, EQUIVALENT)}
    among_others = [pair for pair in agree if "ours" not in pair]
    if "ours" not in readers:
        if len(others) < 2:
            return "only one of the others" if others else "none reads it"
        return f"we refuse, others {'agree' if among_others else 'differ'}"
    if not others:
        return "only ours"
    if len(agree) == len(relations):
        return "all agree"
    with_ours = {name for pair in agree if "ours" in pair for name in pair}
    if any(with_ours.isdisjoint(pair) for pair in among_others):
        return "we differ from two that agree"
    return "others differ" if with_ours else "none agree"


def relate_all(found: dict[str, Found]) -> dict[tuple[str, str], str]:
    """Compare all pairs of readers that found atoms."""
    atoms = {name: each for name, each in found.items() if isinstance(each, Atoms)}
    return {
        (first, second): relate(atoms[first], atoms[second])
        for first, second in combinations(atoms, 2)
    }


def _are_same(first: Atoms, second: Atoms) -> bool:
    """Compare cells by their metric, and then every place of every element."""
    metrics = [each.lattice @ each.lattice.T for each in (first, second)]
    scale = np.sqrt(np.outer(np.diag(metrics[0]), np.diag(metrics[0])))
    if (np.abs(metrics[0] - metrics[1]) > 2 * VOLUME * scale).any():
        return False
    return all(
        _are_one_set(
            first.coords[first.numbers == number],
            second.coords[second.numbers == number],
            first.lattice,
        )
        for number in np.unique(first.numbers)
    )


def _are_one_set(first: NDArray[Any], second: NDArray[Any], lattice: NDArray[Any]) -> bool:
    if len(first) != len(second):
        return False
    free = np.ones(len(second), dtype=bool)
    for place in first:
        offset = second - place
        distance = np.linalg.norm((offset - np.rint(offset)) @ lattice, axis=1)
        distance[~free] = np.inf
        nearest = int(distance.argmin())
        if not distance[nearest] <= DISTANCE:
            return False
        free[nearest] = False
    return True


def _match(first: Atoms, second: Atoms) -> bool:
    from pymatgen.analysis.structure_matcher import StructureMatcher
    from pymatgen.core.lattice import Lattice
    from pymatgen.core.structure import Structure

    matcher = StructureMatcher(
        ltol=0.01,
        stol=0.005,
        angle_tol=0.5,
        scale=False,
        primitive_cell=False,  # it would average places within 0.25 angstrom
        attempt_supercell=len(first.numbers) != len(second.numbers),
    )
    pair = [
        Structure(Lattice(each.lattice), each.numbers.tolist(), each.coords)
        for each in (first, second)
    ]
    with warnings.catch_warnings(action="ignore"):  # spglib on how its errors will change
        return matcher.fit(pair[0], pair[1])
