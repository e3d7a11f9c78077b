"""When two structures count as one material."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from crystalgnn_core.base import ADDED_LATER, FrozenModel


class LinkConfig(FrozenModel):
    """Tolerances for structures that different functionals and codes relaxed.

    Attributes:
        symprecs: Tolerances in angstrom within which symmetry is sought, ascending. Two
            structures are compared if they agree in space group and atoms of the primitive
            cell at one of them: noise of an optimisation hides symmetry from a small
            tolerance, and a large one takes a slight distortion for none.
        volume_tolerance: Largest relative difference in volume per atom. Functionals differ
            by some percent, by more where van der Waals forces bind.
        length_tolerance: Largest relative difference of the lengths of the cell vectors,
            after both cells are brought to the same volume.
        angle_tolerance: Largest difference of the cell angles, degrees.
        site_tolerance: Largest distance of two sites, in units of the cube root of the
            volume per atom.
        within_sources: Link rows of one source with each other, too; otherwise only those
            that a row of another source connects.
        after_ingest: Link the records at the end of each ingest flow, too. The time grows
            with the square of the structures of one formula.
    """

    symprecs: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)] = (
        0.01,
        0.1,
    )
    volume_tolerance: Annotated[float, Field(gt=0)] = 0.2
    length_tolerance: Annotated[float, Field(gt=0, lt=1)] = 0.1
    angle_tolerance: Annotated[float, Field(gt=0)] = 5.0
    site_tolerance: Annotated[float, Field(gt=0, lt=1)] = 0.2
    within_sources: bool = False
    after_ingest: Annotated[bool, ADDED_LATER] = False

    @field_validator("symprecs")
    @classmethod
    def _ascend(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        if list(values) != sorted(set(values)):
            raise ValueError("they do not ascend; give the smallest tolerance first")
        return values

    def result_digest(self) -> str:
        """Return a digest of what decides which rows are linked."""
        return self.settings_digest(exclude=("after_ingest",))

    def matching_digest(self) -> str:
        """Return a digest of what decides whether two structures match."""
        return self.settings_digest(exclude=("within_sources", "after_ingest"))
