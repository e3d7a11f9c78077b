"""The energy corrections of the Materials Project, and whether settings fit them."""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Any

from crystalgnn_core.errors import RecordError
from crystalgnn_core.records.crystal import structure_from_crystal
from crystalgnn_core.sources.formats.parsing import parsing

if TYPE_CHECKING:
    from pymatgen.entries.compatibility import MaterialsProject2020Compatibility

    from crystalgnn_core.sources.formats.calculation import Calculation

_MESH = 0.9  # share of the k-points that suffices, as in the Materials Project's own check
_ROUNDING = 1e-3  # eV
_FAMILY = "PAW_PBE"  # potentials of other functionals have the same symbols
# as in old entries of the Materials Project
_OLD_NAMES = {"PBE": _FAMILY}
_KNOWN_DATA = ("oxide_type", "sulfide_type", "oxidation_states")


def mp2020_correction(calculation: Calculation) -> float:
    """Return the MP2020 correction of a cell in eV.

    Wang et al., Sci. Rep. 11, 15496 (2021), as pymatgen computes it, of a cell that
    `correction_of` checked. Run type, potentials and Hubbard U must be those of the
    Materials Project; where they are stated, cut-off and k-points must be no fewer than its
    own, and nothing else may change energies.

    Raises:
        RecordError: `incompatible_settings`, the settings are others.
    """
    from pymatgen.entries.compatibility import CompatibilityError
    from pymatgen.entries.computed_entries import ComputedStructureEntry

    _check_potentials(calculation)
    _check_inputs(calculation)
    structure = structure_from_crystal(calculation.crystal)
    parameters: dict[str, Any] = {
        "run_type": calculation.run_type,
        "hubbards": dict(calculation.hubbards),
        "potcar_symbols": list(calculation.potcars),
    }
    data = {key: calculation.data[key] for key in _KNOWN_DATA if calculation.data.get(key)}
    entry = ComputedStructureEntry(
        structure, calculation.energy, parameters=parameters, data=data
    )
    with parsing("a structure with MP2020 corrections"):
        try:
            adjustments = _scheme().get_adjustments(entry)
        except CompatibilityError as error:
            message = str(error).partition(" for {")[0]  # what follows is the whole entry
            raise RecordError(
                "incompatible_settings",
                f"{message}; repeat the calculation with the Materials Project's settings",
            ) from error
    return float(sum(adjustment.value for adjustment in adjustments))


@cache
def _scheme() -> MaterialsProject2020Compatibility:
    from pymatgen.entries.compatibility import MaterialsProject2020Compatibility

    return MaterialsProject2020Compatibility()


def _check_inputs(calculation: Calculation) -> None:
    """Check the settings of a run by those of the Materials Project's relaxations."""
    from pymatgen.io.vasp.inputs import Kpoints
    from pymatgen.io.vasp.sets import MPRelaxSet

    inputs, found = calculation.inputs, list(calculation.inputs.unusual)
    cutoff = float(MPRelaxSet.CONFIG["INCAR"]["ENCUT"])
    if inputs.cutoff is not None and inputs.cutoff < cutoff - _ROUNDING:
        found.append(f"the cut-off is {inputs.cutoff:g} eV, below {cutoff:g}")
    if inputs.n_kpoints is not None:
        structure = structure_from_crystal(calculation.crystal)
        density = MPRelaxSet.CONFIG["KPOINTS"]["reciprocal_density"]
        with parsing("a cell with k-points"):
            mesh = Kpoints.automatic_density_by_vol(structure, density).kpts[0]
        least = math.floor(_MESH * math.prod(mesh))
        if inputs.n_kpoints < least:
            found.append(f"the mesh has {inputs.n_kpoints} k-points, fewer than {least}")
    if found:
        raise RecordError(
            "incompatible_settings",
            f"MP2020 corrections take other settings: {'; '.join(found)}; repeat the "
            "calculation with the Materials Project's settings",
        )


def _check_potentials(calculation: Calculation) -> None:
    """Check family and symbols of the potentials, which a user's settings can disable."""
    from pymatgen.io.vasp.sets import MPRelaxSet

    if not calculation.potcars:
        raise RecordError(
            "incompatible_settings",
            "the potentials are not stated, so MP2020 corrections cannot be applied; give "
            "potcar_symbols or potcar_spec",
        )
    crystal = calculation.crystal
    elements = structure_from_crystal(crystal).composition.elements
    valid = MPRelaxSet.CONFIG["POTCAR"]
    expected = {f"{_FAMILY} {valid.get(element.symbol)}" for element in elements}
    named = (title.split()[:2] for title in calculation.potcars)
    found = {" ".join(_OLD_NAMES.get(word, word) for word in words) for words in named}
    if found != expected:
        raise RecordError(
            "incompatible_settings",
            f"the potentials are {', '.join(sorted(found))}, expected "
            f"{', '.join(sorted(expected))}; repeat the calculation with these",
        )
