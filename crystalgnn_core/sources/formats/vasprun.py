"""What a `vasprun.xml` says: structure, energy, functional, gap, and if it converged."""

from __future__ import annotations

import gzip
import math
import re
import shutil
import zlib
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, NamedTuple

from crystalgnn_core.errors import RecordError, SourceError
from crystalgnn_core.records.crystal import crystal_from_structure
from crystalgnn_core.sources.formats.archives import is_packed, opened
from crystalgnn_core.sources.formats.calculation import Calculation
from crystalgnn_core.sources.formats.parsing import describe_cause, parsing, unreadable
from crystalgnn_core.sources.formats.vasp_bands import band_gap
from crystalgnn_core.sources.formats.vasp_settings import (
    check_charge,
    hubbards_of,
    inputs_of,
    read_atom_types,
    run_type_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymatgen.io.vasp.outputs import Vasprun

    from crystalgnn_core.records.crystal import Crystal

_DAMAGE = (SyntaxError, EOFError, gzip.BadGzipFile, zlib.error)  # lxml's are SyntaxErrors
_KBAR_PER_EV = 1602.1766  # an eV per cubic angstrom
_ADDED = 1e-3  # eV per cell that may come to the energy of the last electronic step
_HEAD = 2**22  # bytes in which the atoms of a run are listed
_N_TYPES = re.compile(rb"<types>\s*(\d+)\s*</types>")


class VaspRun(NamedTuple):
    """A converged run.

    Attributes:
        calculation: Final structure and energy (smearing taken to zero), and settings.
        band_gap: From the eigenvalues in eV, 0 for a metal; None if they show none.
        fermi_energy: In eV, as VASP states it; None if it does not.
        no_gap: Why there is no band gap.
    """

    calculation: Calculation
    band_gap: float | None
    fermi_energy: float | None
    no_gap: str = ""


def read_vasp_run(path: Path) -> VaspRun:
    """Read a `vasprun.xml`, compressed or not.

    Raises:
        RecordError: `unreadable_structure`, `not_converged`, or `incompatible_settings` for
            a run whose energy is none of a relaxed or given, neutral structure.
    """
    with _reading():
        types = read_atom_types(path)
        run = _open(path, with_bands=True)
        _check_kind(run)
        _check_convergence(run)
        check_charge(run, types)
        fermi_energy = None if run.efermi is None else float(run.efermi)
        gap, no_gap = _gap_of(run)
        return VaspRun(_calculation_of(run), gap, fermi_energy, no_gap)


def read_final_structure(path: Path) -> Crystal:
    """Read the last structure of a `vasprun.xml`, converged or not.

    Raises:
        RecordError: The file is damaged, or its structure is not usable.
    """
    with _reading():
        read_atom_types(path)  # refuses parts of atoms
        return crystal_from_structure(_open(path, with_bands=False).final_structure)


def may_be_of_one_element(path: Path) -> bool:
    """Return whether the first lines of a run list no two kinds of atoms.

    Those of a damaged file list none, and its reader is to say why.
    """
    try:
        with opened(path) as stream:
            head = stream.read(_HEAD)
    except SourceError:
        return True
    found = _N_TYPES.search(head)
    return found is None or int(found.group(1)) == 1


def _open(path: Path, *, with_bands: bool) -> Vasprun:
    from pymatgen.io.vasp.outputs import Vasprun

    with _as_plain_file(path) as plain:
        return Vasprun(
            plain, parse_dos=with_bands, parse_eigen=with_bands, parse_potcar_file=False
        )


@contextmanager
def _as_plain_file(path: Path) -> Iterator[Path]:
    """Give a run unpacked: pymatgen goes by the end of the name, and has no limit."""
    if path.suffix.lower() == ".xml" and not is_packed(path):
        yield path
        return
    with opened(path) as stream, NamedTemporaryFile(suffix=".xml") as file:
        shutil.copyfileobj(stream, file)
        file.flush()
        yield Path(file.name)


@contextmanager
def _reading() -> Iterator[None]:
    with parsing("a readable vasprun.xml"):
        try:
            yield
        except (*_DAMAGE, SourceError) as error:
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
    if run.incar.get("IMAGES", 0):
        raise RecordError(
            "incompatible_settings",
            "the structure is an image of a path (IMAGES), at no rest",
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
    energy, remark = _energy_of(run)
    is_named = "vdW-" in (run_type := run_type_of(run))
    return Calculation(
        crystal_from_structure(run.ionic_steps[-1]["structure"] or run.final_structure),
        energy,
        run_type=f"{run_type}+vdW?" if remark and not is_named else run_type,
        hubbards=hubbards_of(run),
        potcars=tuple(run.potcar_symbols),
        inputs=inputs_of(run),
        remark="" if is_named else remark,
    )


def _energy_of(run: Vasprun) -> tuple[float, str]:
    """Return the energy of the last step with the smearing taken to zero, without PV.

    Dispersion comes to the energy of the last electronic step, as does PV under PSTRESS, in
    kbar. VASP 5 does not name the first in the file.

    Returns:
        Energy in eV, and what was added to it that the pressure does not explain.
    """
    step = run.ionic_steps[-1]
    electronic = step["electronic_steps"]
    # a step with all terms ends the cycle; those after it are of the response to a field
    whole = [entry for entry in electronic if "ewald" in entry] or electronic
    try:
        total, last = step["e_fr_energy"], whole[-1]
        smearing = last["e_0_energy"] - last["e_fr_energy"]
        added = total - last["e_fr_energy"]
    except (IndexError, KeyError):
        added = math.nan
    if not math.isfinite(added):
        raise RecordError(
            "incompatible_settings",
            "the run has no total energy; is it a GW run, or one of a learned force field?",
        )
    pressure = float(run.parameters.get("PSTRESS", 0.0)) / _KBAR_PER_EV
    if pressure and abs(added) > _ADDED:
        if "vdW-" in run_type_of(run):
            raise RecordError(
                "incompatible_settings",
                "under PSTRESS with dispersion it is not known how much of the energy is "
                "pressure times volume; repeat the last step without PSTRESS",
            )
        work = pressure * float(run.final_structure.volume)
        total, added = total - work, added - work
    energy = round(total + smearing, 8)
    if abs(added) <= _ADDED or _is_explained(run):
        return energy, ""
    return energy, (
        f"the energy of the step ({total:.3f} eV) is not that of its last electronic step "
        f"({last['e_fr_energy']:.3f} eV); no tag names what was added, such as dispersion"
    )


def _is_explained(run: Vasprun) -> bool:
    """Return whether the last electronic step is another, of a response or a potential."""
    is_response = run.parameters.get("IBRION", -1) in {5, 6, 7, 8}
    return is_response or str(run.incar.get("METAGGA", "")).strip().upper() == "MBJ"


def _gap_of(run: Vasprun) -> tuple[float | None, str]:
    """Return the gap of the eigenvalues, or None and why there is none."""
    weights, ismear = run.actual_kpoints_weights, run.parameters.get("ISMEAR", 1)
    try:
        return band_gap(list((run.eigenvalues or {}).values()), weights, ismear), ""
    except RecordError as error:
        return None, str(error)
