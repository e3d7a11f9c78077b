"""A calculated total energy, as files of calculations give it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crystalgnn_core.records.crystal import Crystal


class RunInputs(NamedTuple):
    """Settings of a run that energy corrections take for granted.

    Attributes:
        cutoff: Of the plane waves in eV; None where it is not stated.
        n_kpoints: Points of the whole mesh; None where it is none, or not stated.
        unusual: Others that change energies, in words.
    """

    cutoff: float | None = None
    n_kpoints: int | None = None
    unusual: tuple[str, ...] = ()


class Calculation(NamedTuple):
    """A calculated total energy, and what is needed to correct and compare it.

    Attributes:
        crystal: The structure.
        energy: Energy of the cell in eV, uncorrected.
        run_type: Functional, such as `GGA`, `GGA+U` or `r2SCAN`; None if unknown.
        hubbards: Element to Hubbard U - J in eV.
        potcars: Titles of the potentials, such as `PAW_PBE Na_pv 19Sep2006`.
        correction: Correction of the cell in eV that came with the energy, or None.
        data: What else is known, such as `oxide_type`.
        inputs: Settings of the run.
        remark: Why the run type is as it is, where that has to be said.
    """

    crystal: Crystal
    energy: float
    run_type: str | None = None
    hubbards: Mapping[str, float] = {}
    potcars: tuple[str, ...] = ()
    correction: float | None = None
    data: Mapping[str, Any] = {}
    inputs: RunInputs = RunInputs()
    remark: str = ""
