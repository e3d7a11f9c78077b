"""Sets of symmetry operations: whether they are a group, and whether a cell has them."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import gemmi
import numpy as np

from crystalgnn_core.parallel import without_warnings
from crystalgnn_core.records.crystal import structure_from_crystal
from crystalgnn_core.sources.formats.cif.symbols import Setting, settings_of_hall
from crystalgnn_core.sources.formats.cif.symmetry import Operations

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from crystalgnn_core.records.crystal import Crystal

_METRIC_TOLERANCE = 0.02  # relative, of the products of cell vectors
_EXACT_TOLERANCE = 1e-3
# of two cells without symmetry and with nothing in common
_UNRELATED_METRICS = (
    np.array([[4.0, 0.7, -0.9], [0.7, 9.0, 1.9], [-0.9, 1.9, 15.0]]),
    np.array([[11.0, -2.3, 1.3], [-2.3, 5.0, -0.4], [1.3, -0.4, 7.0]]),
)
_SYMMETRY_PRECISION = 0.05  # angstrom
_PARTS = 120  # translations are multiples of 1/120 of a cell vector
_DIGITS = 7  # entries of rotations go from -3 to 3
_MAX_COMPARED = 400  # operations of which all products are formed


def keys_of(operations: Operations) -> frozenset[int] | None:
    """Return a number for each operation, equal for equal ones up to whole cells.

    Returns:
        The numbers, None if a translation is no simple fraction.
    """
    parts = operations.translations * _PARTS
    if np.abs(parts - np.rint(parts)).max() > 0.02:
        return None
    return frozenset(_encode(operations.rotations, np.rint(parts)).tolist())


def is_group(operations: Operations) -> bool:
    """Return whether the products of operations are among them, as far as can be said."""
    rotations = operations.rotations
    keys = keys_of(operations)
    if keys is None or len(rotations) > _MAX_COMPARED:
        return True
    parts = np.rint(operations.translations * _PARTS)
    for rotation, part in zip(rotations, parts, strict=True):
        product = _encode(rotation @ rotations, parts @ rotation.T + part)
        if not keys.issuperset(product.tolist()):
            return False
    return True


def number_of(operations: Operations) -> int:
    """Return the number of the space group of operations on any axes, 0 if unknown."""
    known = _numbers_by_keys().get(keys_of(operations) or frozenset(), 0)
    if known:
        return known
    import spglib

    with without_warnings():
        try:
            found = spglib.get_spacegroup_type_from_symmetry(
                np.rint(operations.rotations).astype(np.intc), operations.translations
            )
        except spglib.SpglibError:
            return 0
    return found.number if found is not None else 0


def number_of_atoms(crystal: Crystal) -> int:
    """Return the number of the space group that the atoms have."""
    from pymatgen.symmetry.analyzer import SpacegroupAnalyzer, SymmetryUndeterminedError

    with without_warnings():
        try:
            structure = structure_from_crystal(crystal)
            return SpacegroupAnalyzer(
                structure, _SYMMETRY_PRECISION
            ).get_space_group_number()
        except (SymmetryUndeterminedError, ValueError, TypeError):
            return 0


def has_metric(operations: Operations, lattice: NDArray[np.float64]) -> bool:
    """Return whether operations keep the lengths and angles of a cell."""
    return _metric_error(operations, lattice) <= _METRIC_TOLERANCE


def fixed_angles(operations: Operations) -> frozenset[int]:
    """Return which of alpha, beta and gamma operations fix, as 0, 1 and 2."""
    rotations = operations.rotations
    means = [
        (np.swapaxes(rotations, 1, 2) @ gram @ rotations).mean(axis=0)
        for gram in _UNRELATED_METRICS
    ]
    cosines = [mean / np.sqrt(np.outer(np.diag(mean), np.diag(mean))) for mean in means]
    is_fixed = np.abs(cosines[0] - cosines[1]) < _EXACT_TOLERANCE
    return frozenset(angle for angle in range(3) if is_fixed[angle - 2, angle - 1])


def _metric_error(operations: Operations, lattice: NDArray[np.float64]) -> float:
    """Return by how much operations change lengths and angles of a cell, relatively."""
    gram = lattice @ lattice.T
    turned = np.swapaxes(operations.rotations, 1, 2) @ gram @ operations.rotations
    lengths = np.sqrt(np.diag(gram))
    return float((np.abs(turned - gram) / np.outer(lengths, lengths)).max())


@lru_cache(maxsize=600)
def in_pymatgens_order(setting: Setting) -> Operations:
    """Return the operations of a setting in the order in which pymatgen generates them.

    The order of atoms follows from it, by which stored structures are recognised. Settings
    that pymatgen does not know have the order of the table.
    """
    from pymatgen.symmetry.groups import SYMM_DATA, SpaceGroup

    operations = setting.operations
    symbol = setting.name.partition(":")[0].replace(" ", "")
    known = {name.replace("_", ""): name for name in SYMM_DATA["space_group_encoding"]}
    if symbol not in known:
        return operations
    with without_warnings():
        affine = np.array(
            [op.affine_matrix for op in SpaceGroup(known[symbol]).symmetry_ops]
        )
    theirs = Operations(
        np.ascontiguousarray(affine[:, :3, :3]), np.ascontiguousarray(affine[:, :3, 3])
    )
    return theirs if keys_of(theirs) == keys_of(operations) else operations


def fitting(settings: Iterable[Setting], lattice: NDArray[np.float64]) -> list[Setting]:
    """Keep the settings that a cell has, those of the lowest rank, each set once."""
    errors = {setting: _metric_error(setting.operations, lattice) for setting in settings}
    for tolerance in (_EXACT_TOLERANCE, _METRIC_TOLERANCE):
        kept = [setting for setting, error in errors.items() if error <= tolerance]
        if kept:
            rank = min(setting.rank for setting in kept)
            distinct = {
                keys_of(setting.operations): setting
                for setting in reversed(kept)
                if setting.rank == rank
            }
            return [setting for setting in kept if setting in distinct.values()]
    return []


@lru_cache(maxsize=1)
def _numbers_by_keys() -> dict[frozenset[int], int]:
    numbers = {}
    for group in gemmi.spacegroup_table():
        [setting] = settings_of_hall(group.hall) or []
        numbers[keys_of(setting.operations) or frozenset()] = group.number
    return numbers


def _encode(
    rotations: NDArray[np.float64], parts: NDArray[np.float64]
) -> NDArray[np.int64]:
    digits = np.rint(rotations).reshape(len(rotations), 9).astype(np.int64) % _DIGITS
    code = digits @ (_DIGITS ** np.arange(9))
    return (code * _PARTS**3) + parts.astype(np.int64) % _PARTS @ (_PARTS ** np.arange(3))
