"""What a `vasprun.xml` says: structure, energy, functional, gap, and if it converged."""

from __future__ import annotations

import gzip
import math
import re
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from crystalgnn_core.errors import RecordError, SourceError
from crystalgnn_core.records.crystal import crystal_from_structure
from crystalgnn_core.sources.formats.archives import opened
from crystalgnn_core.sources.formats.calculation import Calculation
from crystalgnn_core.sources.formats.parsing import describe_cause, parsing, unreadable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pymatgen.io.vasp.outputs import Vasprun

    from crystalgnn_core.records.crystal import Crystal

_DAMAGE = (SyntaxError, EOFError, gzip.BadGzipFile, zlib.error)  # lxml's are SyntaxErrors
_FAMILIES = {
    "PAW_PBE": "GGA",
    "PAW_GGA": "PW91",
    "US_GGA": "PW91",
    "PAW": "LDA",
    "US": "LDA",
}
_NAMES = {"PBE": "GGA", "R2SCAN": "r2SCAN"}
_KBAR_PER_EV = 1602.1766  # an eV per cubic angstrom
_HEAD = 2**22  # bytes in which the atoms of a run are listed
_N_TYPES = re.compile(rb"<types>\s*(\d+)\s*</types>")


class VaspRun(NamedTuple):
    """A converged run.

    Attributes:
        calculation: Final structure and energy (smearing taken to zero), and settings.
        band_gap: From the eigenvalues in eV, 0 for a metal; None if there are none.
        fermi_energy: In eV, as VASP states it; None if it does not.
    """

    calculation: Calculation
    band_gap: float | None
    fermi_energy: float | None


def read_vasp_run(path: Path) -> VaspRun:
    """Read a `vasprun.xml`, compressed or not.

    Raises:
        RecordError: `unreadable_structure`, `not_converged`, or `incompatible_settings` for
            a run whose energy is none of a relaxed or given structure.
    """
    with _reading():
        run = _open(path, with_bands=True)
        _check_kind(run)
        _check_convergence(run)
        fermi_energy = None if run.efermi is None else float(run.efermi)
        return VaspRun(_calculation_of(run), _band_gap(run), fermi_energy)


def read_final_structure(path: Path) -> Crystal:
    """Read the last structure of a `vasprun.xml`, converged or not.

    Raises:
        RecordError: The file is damaged, or its structure is not usable.
    """
    with _reading():
        return crystal_from_structure(_open(path, with_bands=False).final_structure)


def is_of_one_element(path: Path) -> bool:
    """Return whether the first lines of a run list one kind of atom; damaged is not."""
    try:
        with opened(path) as stream:
            head = stream.read(_HEAD)
    except SourceError:
        return False
    found = _N_TYPES.search(head)
    return found is not None and int(found.group(1)) == 1


def _open(path: Path, *, with_bands: bool) -> Vasprun:
    from pymatgen.io.vasp.outputs import Vasprun

    return Vasprun(
        path, parse_dos=with_bands, parse_eigen=with_bands, parse_potcar_file=False
    )


@contextmanager
def _reading() -> Iterator[None]:
    with parsing("a readable vasprun.xml"):
        try:
            yield
        except _DAMAGE as error:
            raise unreadable(
                f"not a whole vasprun.xml ({describe_cause(error)}); was the run cut off?"
            ) from error


def _check_kind(run: Vasprun) -> None:
    """Refuse runs whose last energy is not that of a relaxed or given structure."""
    ibrion, nsw = run.parameters.get("IBRION", -1), run.parameters.get("NSW", 0)
    if ibrion == 0 and nsw > 1:
        raise RecordError(
            "not_converged", "a run of molecular dynamics has no final structure"
        )
    if ibrion in {5, 6} and nsw > 0:
        raise RecordError(
            "incompatible_settings", "the last structure is a displaced one (IBRION 5 or 6)"
        )
    if run.parameters.get("ICHARG", 0) >= 10:
        raise RecordError(
            "incompatible_settings",
            "the charge density was kept (ICHARG >= 10), so the energy is none to compare; "
            "take the self-consistent run before it",
        )


def _check_convergence(run: Vasprun) -> None:
    if not run.ionic_steps:
        raise RecordError("not_converged", "no step was finished; continue the run")
    if not run.converged_electronic:
        raise RecordError(
            "not_converged",
            f"the electrons did not converge in NELM = {run.parameters.get('NELM')} steps; "
            "continue the run",
        )
    if not run.converged_ionic:
        raise RecordError(
            "not_converged",
            f"the ions did not converge in NSW = {run.parameters.get('NSW')} steps; "
            "continue the run from the last structure",
        )


def _calculation_of(run: Vasprun) -> Calculation:
    energy = float(run.final_energy) - _pressure_times_volume(run)
    if not math.isfinite(energy):
        raise RecordError(
            "incompatible_settings", "the run has no total energy; is it a GW run?"
        )
    return Calculation(
        crystal_from_structure(run.final_structure),
        energy,
        run_type=_run_type(run),
        hubbards={str(key): float(value) for key, value in run.hubbards.items()},
        potcars=tuple(run.potcar_symbols),
    )


def _pressure_times_volume(run: Vasprun) -> float:
    """Return in eV what VASP adds to the energy of a step under PSTRESS, in kbar."""
    pressure = float(run.parameters.get("PSTRESS", 0.0))
    if pressure == 0.0:
        return 0.0  # also for a cell that is not a number, which is refused as such
    return pressure / _KBAR_PER_EV * float(run.final_structure.volume)


def _run_type(run: Vasprun) -> str:
    """Name the functional as the Materials Project does.

    Where no tag chooses one, it is that of the potentials, which pymatgen takes for a GGA.
    """
    base, *others = str(run.run_type).split("+")
    if base == "GGA":
        family = (run.potcar_symbols[0].split() or [""])[0]
        base = _FAMILIES.get(family, f"of {family}")
    extras = [name for name in others if name != "U"]
    return "+".join([_NAMES.get(base, base), *(["U"] if run.is_hubbard else []), *extras])


def _band_gap(run: Vasprun) -> float | None:
    """Return the gap of the eigenvalues, which partial occupation does not close."""
    if not run.eigenvalues or run.efermi is None:
        return None
    fermi = run.calculate_efermi()
    bands = np.concatenate([spin[:, :, 0].T for spin in run.eigenvalues.values()])
    is_above = bands > fermi
    if is_above.all() or not is_above.any():
        return None  # too few bands for a gap
    if (is_above.any(axis=1) & ~is_above.all(axis=1)).any():
        return 0.0
    return float(bands[is_above].min() - bands[~is_above].max())
