"""The crystal that the sites of a CIF make under symmetry operations."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from crystalgnn_core.errors import RecordError
from crystalgnn_core.sources.formats.cif.agreement import check_contents
from crystalgnn_core.sources.formats.cif.expansion import expand
from crystalgnn_core.sources.formats.cif.merging import ROUNDED

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from crystalgnn_core.records.crystal import Crystal
    from crystalgnn_core.sources.formats.cif.agreement import Contents
    from crystalgnn_core.sources.formats.cif.claims import Claim
    from crystalgnn_core.sources.formats.cif.sites import Site
    from crystalgnn_core.sources.formats.cif.symmetry import Operations

_COARSE = 0.25  # angstrom: two digits of a special position; the formula must confirm it


class Description(NamedTuple):
    """What a data block says of a crystal.

    Attributes:
        sites: In pymatgen's order.
        lattice: Row vectors in angstrom, shape (3, 3).
        contents: Formula, Z and density.
        claims: Names of the space group.
        operations: Those that are listed, None without any.
        unknown_angles: Which of alpha, beta and gamma are not stated, as 0, 1 and 2.
        hint: What says that there is symmetry, though neither a group is named nor
            operations are listed; empty for none.
    """

    sites: list[Site]
    lattice: NDArray[np.float64]
    contents: Contents
    claims: list[Claim]
    operations: Operations | None
    unknown_angles: tuple[int, ...]
    hint: str


class Built(NamedTuple):
    """A crystal, and whether Z or the density confirm the number of its atoms."""

    crystal: Crystal
    is_confirmed: bool


def build(found: Description, operations: Operations) -> Built:
    """Expand the sites and compare what comes of it with the stated contents."""
    try:
        return _build_within(found, operations, ROUNDED)
    except RecordError:
        if not found.contents.counts:
            raise
        try:
            return _build_within(found, operations, _COARSE)
        except RecordError:
            pass
        raise


def _build_within(found: Description, operations: Operations, rounded: float) -> Built:
    crystal = expand(
        found.sites,
        operations,
        found.lattice,
        rounded,
        has_formula=bool(found.contents.counts),
    )
    return Built(crystal, check_contents(crystal, found.contents))
