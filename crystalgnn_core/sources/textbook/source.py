"""About a hundred well-known crystals for examples and checks; no labels.

Lattice constants and free parameters are rounded textbook values, kept in
`crystals.py`; the tests cross-check most of them by density or bond lengths, and
every structure type by the space group of a crystal.
"""

from __future__ import annotations

import difflib
import re
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from crystalgnn_core.base import ADDED_LATER, digest_of
from crystalgnn_core.errors import InputError
from crystalgnn_core.records.crystal import crystal_from_structure, structure_from_crystal
from crystalgnn_core.records.labels import LabelRequirement
from crystalgnn_core.records.schema import RawRecord
from crystalgnn_core.sources.base import (
    SourceConfig,
    SourceName,
    SourcePart,
    SourcePlan,
    in_chunks,
)
from crystalgnn_core.sources.formats.objects import crystal_from_any
from crystalgnn_core.sources.textbook.crystals import CRYSTALS, PROTOTYPES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymatgen.core.structure import Structure

    from crystalgnn_core.sources.ingest.stored import StoredSource

_ROWS = {
    entry.split()[0]: (prototype, origin, entry)
    for prototype, origin, entries in CRYSTALS
    for entry in entries.split("; ")
}
TEXTBOOK_NAMES: tuple[str, ...] = tuple(_ROWS)


class TextbookSource(SourceConfig):
    """The embedded crystals, without labels: never a training or hull set."""

    trainable: ClassVar[bool] = False
    synthetic: ClassVar[bool] = True
    kind: Literal["textbook"] = "textbook"
    name: SourceName = "textbook"
    require_labels: LabelRequirement = "none"
    license: Annotated[None, ADDED_LATER] = None

    def target_names(self) -> tuple[str, ...]:
        """Name no target: the crystals carry no labels."""
        return ()

    def plan(self, stored: StoredSource) -> SourcePlan:  # noqa: ARG002  it is read whole
        """List the parts, `part_size` crystals each."""
        parts = tuple(
            SourcePart(
                index=index, digest=self._digest_of(group), payload={"material_ids": group}
            )
            for index, group in enumerate(in_chunks(TEXTBOOK_NAMES, self.part_size))
        )
        return SourcePlan(parts=parts)

    def read(self, part: SourcePart) -> Iterator[RawRecord]:
        """Yield the crystals of a part."""
        for name in part.payload["material_ids"]:
            crystal = crystal_from_structure(textbook_structure(name))
            version = self._digest_of([name])
            yield RawRecord(name, crystal, source_version=version)

    def _digest_of(self, names: list[str]) -> str:
        # where a number is from does not change the crystal
        rows = [(entry, PROTOTYPES[kind]) for kind, _, entry in map(_row_of, names)]
        return digest_of([self.name, rows])


def textbook_structure(name: str) -> Structure:
    """Build the primitive cell of a textbook crystal.

    Args:
        name: One of `TEXTBOOK_NAMES`, such as `SrTiO3` or `TiO2-rutile`.

    Raises:
        InputError: There is no such crystal; the message names similar ones.
    """
    return _build(name).copy()


def textbook_reference(name: str) -> str:
    """Return the kind of numbers of a textbook crystal, and where to compare them.

    Raises:
        InputError: There is no such crystal.
    """
    return _row_of(name)[1]


def _row_of(name: str) -> tuple[str, str, str]:
    if name not in _ROWS:
        lowered = {known.lower(): known for known in TEXTBOOK_NAMES}
        close = difflib.get_close_matches(name.lower(), lowered, n=5, cutoff=0.4)
        similar = ", ".join(lowered[match] for match in close) or "SrTiO3, Si, NaCl"
        raise InputError(
            f"no textbook crystal {name!r}; similar names are {similar} "
            f"({len(TEXTBOOK_NAMES)} in TEXTBOOK_NAMES)"
        )
    return _ROWS[name]


@cache
def _build(name: str) -> Structure:
    from ase.spacegroup import crystal as ase_crystal

    prototype, _, entry = _row_of(name)
    number, sites = PROTOTYPES[prototype]
    cell, _, free = entry.removeprefix(name).partition("/")
    values = dict(zip("uv", free.split(), strict=False))
    elements = dict(
        zip("ABCD", re.findall("[A-Z][a-z]?", name.partition("-")[0]), strict=False)
    )
    orbits = [site.split() for site in sites.split("; ")]
    # ASE reads its table of space groups; Structure.from_spacegroup multiplies the symmetry
    # operations out again for every crystal, 2 s for a face-centred one
    atoms = ase_crystal(
        [elements[letter] for letter, *_ in orbits],
        [[float(Fraction(values.get(x, x))) for x in place] for _, *place in orbits],
        spacegroup=number,
        cellpar=_cell_parameters(number, [float(length) for length in cell.split()]),
        primitive_cell=True,
    )
    return structure_from_crystal(crystal_from_any(atoms))


def _cell_parameters(number: int, given: list[float]) -> list[float]:
    """Complete the free parameters of a conventional cell: a, b, c, alpha, beta, gamma."""
    beta, gamma = 90.0, 120.0 if 143 <= number < 195 else 90.0
    if number < 16:
        *given, beta = given
    a, b, c = given if len(given) == 3 else (given[0], given[0], given[-1])
    return [a, b, c, 90.0, beta, gamma]
