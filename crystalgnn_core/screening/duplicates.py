"""One material under several ids is ranked once."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from pymatgen.analysis.structure_matcher import StructureMatcher

from crystalgnn_core.parallel import without_warnings
from crystalgnn_core.records.crystal import structure_from_crystal
from crystalgnn_core.storage.shards import KEY
from crystalgnn_core.targets import get_target

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from numpy.typing import NDArray
    from pymatgen.core.structure import Structure

    from crystalgnn_core.records.crystal import Crystal

# rounding on the scale of learning (eV, or decades); predictions ignore the choice of cell
SAME_PREDICTION = 1e-4
LENGTH_TOLERANCE = 0.002  # relative
SITE_TOLERANCE = 0.01  # of the cube root of the volume per atom
ANGLE_TOLERANCE = 0.1  # degrees
# volumes of Niggli cells within these tolerances differ by 1.4 % at most: 3 x 0.2 % by the
# lengths, and 3 x 0.26 % by the angles of a cell with the smallest volume of its lengths
VOLUME_TOLERANCE = 0.02
_MATCHER = StructureMatcher(LENGTH_TOLERANCE, SITE_TOLERANCE, ANGLE_TOLERANCE, scale=False)


def find_duplicates(
    predicted: pd.DataFrame,
    targets: Collection[str],
    load: Callable[[Collection[str]], dict[str, Crystal]],
) -> list[int]:
    """Find candidates that are the same crystal as an earlier one.

    A prediction does not depend on lattice choice, supercell, atom order or orientation, so
    only candidates of one formula with equal predictions can be the same crystal. Where
    volumes, lattices and distances agree too, pymatgen's StructureMatcher compares them
    with tight tolerances. A model of the composition tells no polymorphs apart, so that
    many can come this far.

    Args:
        predicted: Columns `formula`, `structure_digest` and the predicted targets, in the
            order in which the first of several is kept.
        targets: Predicted columns that must agree.
        load: Reads the structures with the given digests.

    Returns:
        Index labels of the duplicates, all but the first of each crystal.
    """
    groups = _suspects(predicted, targets)
    labels = [label for group in groups for label in group]
    keys: dict[int, str] = dict(zip(labels, predicted.loc[labels, KEY], strict=True))
    crystals = load(set(keys.values())) if keys else {}
    with without_warnings():  # pymatgen's remarks on electronegativities
        return [label for group in groups for label in _repeats(group, keys, crystals)]


def _suspects(predicted: pd.DataFrame, targets: Collection[str]) -> list[list[int]]:
    """Group the labels of one formula whose predictions follow each other closely.

    Returns:
        Groups of two and more labels, in the order of the frame.
    """
    group = pd.factorize(predicted["formula"])[0]
    for name in targets:
        values = predicted[name].to_numpy(dtype=float)
        target = get_target(name)
        if target.transform == "log10":
            values = np.log10(np.maximum(values, target.minimum))
        order = np.lexsort((values, group))
        is_next = np.diff(values[order]) > SAME_PREDICTION
        is_next |= np.diff(group[order]) != 0
        group[order] = np.concatenate([[0], np.cumsum(is_next)])[: len(order)]
    is_shared = np.bincount(group, minlength=1)[group] > 1
    members = predicted.index[is_shared].to_series().groupby(group[is_shared], sort=False)
    return [labels.to_list() for _, labels in members]


def _repeats(
    group: Sequence[int], keys: Mapping[int, str], crystals: Mapping[str, Crystal]
) -> list[int]:
    """Return the labels of a group whose crystal an earlier one of it has."""
    repeats: list[int] = []
    kept: list[str] = []
    volumes = np.empty(len(group))
    reduced: dict[str, _Reduced] = {}
    for label in group:
        key = keys[label]
        volume = _volume_per_atom(crystals[key])
        ratios = volumes[: len(kept)] / volume
        is_near = np.abs(ratios - 1.0) <= VOLUME_TOLERANCE
        near = [kept[index] for index in np.flatnonzero(is_near)]
        if any(_is_same(key, other, crystals, reduced) for other in near):
            repeats.append(label)
        else:
            volumes[len(kept)] = volume
            kept.append(key)
    return repeats


def _volume_per_atom(crystal: Crystal) -> float:
    return abs(float(np.linalg.det(crystal.lattice))) / len(crystal.atomic_numbers)


def _is_same(
    first: str,
    second: str,
    crystals: Mapping[str, Crystal],
    reduced: dict[str, _Reduced],
) -> bool:
    if first == second:
        return True
    for key in (first, second):
        if key not in reduced:
            reduced[key] = _reduce(crystals[key])
    one, other = reduced[first], reduced[second]
    return one.may_match(other) and _MATCHER.fit(
        one.structure, other.structure, skip_structure_reduction=True
    )


class _Reduced(NamedTuple):
    """A primitive Niggli cell, and lengths that hardly differ between cells that match.

    Attributes:
        structure: The cell.
        edges: Lengths of the cell vectors in order, angstrom, shape (3,).
        distances: Between nearest images of all pairs of sites, angstrom, in order for each
            pair of elements, shape (n_sites * (n_sites - 1) / 2,).
        strain: Largest relative difference of a length between lattices that match.
        shift: Largest difference of a distance by the sites of such cells, angstrom.
    """

    structure: Structure
    edges: NDArray[np.float64]
    distances: NDArray[np.float64]
    strain: float
    shift: float

    def may_match(self, other: _Reduced) -> bool:
        """Return whether nothing excludes that the matcher finds two crystals the same."""
        if len(self.distances) != len(other.distances):
            return False
        strain, shift = max(self.strain, other.strain), max(self.shift, other.shift)
        is_near = np.abs(self.edges - other.edges) <= strain * self.edges
        if not is_near.all():
            return False
        slack = strain * self.distances + shift
        return bool((np.abs(self.distances - other.distances) <= slack).all())


def _reduce(crystal: Crystal) -> _Reduced:
    """Find the primitive cell; one that holds up to the site tolerance only is none."""
    structure = structure_from_crystal(crystal).get_reduced_structure("niggli")
    tolerance = SITE_TOLERANCE * np.cbrt(structure.volume / len(structure))
    structure = structure.get_primitive_structure(tolerance=float(tolerance))
    first, second = np.triu_indices(len(structure), k=1)
    distances = structure.distance_matrix[first, second]
    numbers = np.array(structure.atomic_numbers)
    ends = np.sort([numbers[first], numbers[second]], axis=0)
    return _Reduced(
        structure,
        np.sort(structure.lattice.abc),
        distances[np.lexsort((distances, *ends))],
        _largest_strain(structure.lattice.matrix),
        2.02 * float(tolerance),
    )


def _largest_strain(lattice: NDArray[np.float64]) -> float:
    """Bound the relative difference of any length between lattices that match.

    The Gram matrix of the unit vectors differs by matrices whose rows sum up to `rows` at
    most; squares of lengths differ by that over its smallest eigenvalue, lengths by half as
    much, and terms of higher order by less than a tenth.
    """
    units = lattice / np.linalg.norm(lattice, axis=1)[:, None]
    rows = 4 * LENGTH_TOLERANCE + 2 * np.radians(ANGLE_TOLERANCE)
    return float(0.55 * rows / np.linalg.eigvalsh(units @ units.T)[0])
