"""Compare pairs of structures that may be the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from crystalgnn_core.parallel import without_warnings
from crystalgnn_core.records.links.symmetry import primitive_cell

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pymatgen.analysis.structure_matcher import StructureMatcher
    from pymatgen.core.structure import Structure

    from crystalgnn_core.records.crystal import Crystal
    from crystalgnn_core.records.links.config import LinkConfig


class Pair(NamedTuple):
    """Two structures that have a fingerprint in common.

    Attributes:
        first: Digest of a structure.
        second: Digest of another one, greater than the first.
        symprec: Tolerance at which their fingerprints agree, angstrom.
    """

    first: str
    second: str
    symprec: float


def compare_pairs(
    pairs: Sequence[Pair], crystals: Mapping[str, Crystal], config: LinkConfig
) -> list[float | None]:
    """Compare primitive cells by pymatgen's StructureMatcher.

    The cells are brought to the same volume first, so that functionals that differ in the
    lattice constant do not matter.

    Returns:
        For each pair the root mean square distance of its sites in angstrom, or None where
        the two do not match.
    """
    from pymatgen.analysis.structure_matcher import StructureMatcher

    matcher = StructureMatcher(
        ltol=config.length_tolerance,
        stol=config.site_tolerance,
        angle_tol=config.angle_tolerance,
        primitive_cell=False,  # done once for each structure, and faster, by spglib
        scale=True,
    )
    cells: dict[tuple[str, float], Structure] = {}
    with without_warnings():  # pymatgen on electronegativities, spglib on errors
        return [_compare(pair, crystals, matcher, cells) for pair in pairs]


def _compare(
    pair: Pair,
    crystals: Mapping[str, Crystal],
    matcher: StructureMatcher,
    cells: dict[tuple[str, float], Structure],
) -> float | None:
    from crystalgnn_core.records.crystal import structure_from_crystal

    for digest in (pair.first, pair.second):
        if (digest, pair.symprec) not in cells:
            cell = primitive_cell(crystals[digest], pair.symprec)
            cells[digest, pair.symprec] = structure_from_crystal(cell)
    first, second = (cells[digest, pair.symprec] for digest in pair[:2])
    found = matcher.get_rms_dist(first, second)  # type: ignore[no-untyped-call]
    if found is None:
        return None
    n_atoms = len(first)
    length = np.cbrt((first.volume + second.volume) / (2 * n_atoms))
    return float(found[0] * length)
