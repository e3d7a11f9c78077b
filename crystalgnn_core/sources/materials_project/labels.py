"""Labels of the Materials Project, and the label scheme of each.

Why these schemes:

* Formation energy and distance to the hull: both are of one hull, whose kind the scheme
  names. PBE and PBE+U share one scale after the MP2020 corrections (Wang et al., Sci. Rep.
  11, 15496 (2021)), so `GGA_GGA+U` is `MP GGA/GGA+U MP2020`; `R2SCAN` has no such
  corrections, `r2SCAN`. The summary shows a mixture of both (Kingsbury et al., npj Comput.
  Mater. 8, 195 (2022)), in which the functional changes from row to row:
  `MP GGA/GGA+U/r2SCAN mixed`.
* Band gap, metal and Fermi energy: Kohn-Sham eigenvalues of PBE or PBE+U, which no energy
  correction touches, `MP GGA/GGA+U`. Batches that name r2SCAN hold calculations of that
  functional alone, `r2SCAN`; a gap of it is some tenths of an eV wider. No document
  states the functional of the gap of other rows.
* Moduli and Poisson ratio: Voigt-Reuss-Hill averages of one elastic tensor, computed with
  PBE (de Jong et al., Sci. Data 2, 150009 (2015)), `MP GGA elastic tensor VRH`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from crystalgnn_core.errors import RecordError
from crystalgnn_core.records.label_schemes import (
    MP_2020,
    MP_BANDS,
    MP_ELASTIC,
    MP_MIXED,
    R2SCAN,
)
from crystalgnn_core.records.labels import label_value
from crystalgnn_core.sources.formats.parsing import as_mapping
from crystalgnn_core.targets import get_target

if TYPE_CHECKING:
    from collections.abc import Iterable

ThermoType = Literal["GGA_GGA+U", "R2SCAN", "GGA_GGA+U_R2SCAN"]
MIXED: ThermoType = "GGA_GGA+U_R2SCAN"
HULL = ("formation_energy_per_atom", "energy_above_hull")  # also the names of fields
ENERGY_SCHEMES: dict[ThermoType, str] = {
    "GGA_GGA+U": MP_2020,
    "R2SCAN": R2SCAN,
    MIXED: MP_MIXED,
}
BANDS = {"band_gap": "band_gap", "fermi_energy": "efermi", "is_metal": "is_metal"}
ELASTIC = {
    "bulk_modulus": "bulk_modulus",
    "shear_modulus": "shear_modulus",
    "poisson_ratio": "homogeneous_poisson",
}
TARGETS = (*HULL, *BANDS, *ELASTIC)
THERMO_FIELDS = ("material_id", "thermo_type", *HULL, "energy_type")
# the client refuses other ids, and with one of them a whole list
_ID = re.compile(r"([a-z]+-)?([0-9]+|[a-z]+)")
Document = Any  # a dictionary, unless it is damaged


class Energy(NamedTuple):
    """What the thermodynamic document of a material says.

    Attributes:
        values: Formation energy and distance to the hull in eV/atom, as sent.
        run_type: Kind of calculation, such as `GGA+U`.
        is_unique: Whether all documents of the material agree.
    """

    values: tuple[object, ...]
    run_type: str | None
    is_unique: bool = True


def id_of(document: Document) -> str:
    """Return the id of a document; empty where it has none that can be asked for."""
    found = as_mapping(document).get("material_id")
    name = str(found).strip()
    return name if found is not None and _ID.fullmatch(name) else ""


def energies_of(
    documents: Iterable[Document], thermo_type: ThermoType
) -> dict[str, Energy]:
    """Collect thermodynamic documents by material; those of another type are left out."""
    energies: dict[str, Energy] = {}
    for document in documents:
        name = id_of(document)
        # the client asks for r2SCAN where R2SCAN is wanted, and either may come back
        if not name or str(document.get("thermo_type")).upper() != thermo_type:
            continue
        run_type = document.get("energy_type")
        values = tuple(document.get(field) for field in HULL)
        found = Energy(values, None if run_type is None else str(run_type))
        if energies.setdefault(name, found).values != found.values:
            energies[name] = found._replace(is_unique=False)
    return energies


def labels_of(
    document: Mapping[str, Any], energy: Energy | None, thermo_type: ThermoType
) -> dict[str, Any]:
    """Return target to value as sent; validation reads the numbers."""
    labels: dict[str, Any] = {}
    if thermo_type == MIXED:
        labels = {name: document.get(name) for name in HULL}
    elif energy is not None:
        labels = dict(zip(HULL, energy.values, strict=True))
    labels |= {target: document.get(field) for target, field in BANDS.items()}
    return labels | _trusted(_elastic(document))


def _trusted(elastic: dict[str, Any]) -> dict[str, Any]:
    """Leave out what seems sound where another number of the same tensor is not.

    Moduli that are negative or beyond those of diamond show that the fit of the tensor has
    failed. They stay: the source's `implausible` says what becomes of them.
    """
    unsound = {name: value for name, value in elastic.items() if _is_unsound(name, value)}
    return unsound or elastic


def _is_unsound(name: str, given: object) -> bool:
    try:
        value = label_value(given)
    except RecordError:
        return True  # no number at all
    target = get_target(name)
    return value is not None and not target.minimum <= value <= target.maximum


def schemes_of(thermo_type: ThermoType, batch: str) -> dict[str, str]:
    """Return target to label scheme for a row of a batch of calculations."""
    bands = R2SCAN if "r2scan" in batch.lower() else MP_BANDS
    return {
        **dict.fromkeys(HULL, ENERGY_SCHEMES[thermo_type]),
        **dict.fromkeys(BANDS, bands),
        **dict.fromkeys(ELASTIC, MP_ELASTIC),
    }


def _elastic(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the averages of Voigt, Reuss and Hill, alone or among the others."""
    found = {target: document.get(field) for target, field in ELASTIC.items()}
    return {
        target: value.get("vrh") if isinstance(value, Mapping) else value
        for target, value in found.items()
    }


JAIN = (
    "A. Jain et al., Commentary: The Materials Project: A materials genome approach to "
    "accelerating materials innovation, APL Materials 1, 011002 (2013), "
    "doi:10.1063/1.4812323"
)
_R2SCAN = (
    "R. Kingsbury et al., Performance comparison of r2SCAN and SCAN metaGGA density "
    "functionals for solid materials via an automated, high-throughput computational "
    "workflow, Phys. Rev. Materials 6, 013801 (2022), "
    "doi:10.1103/PhysRevMaterials.6.013801"
)
_MIXING = (
    "R. Kingsbury et al., A flexible and scalable scheme for mixing computed formation "
    "energies from different levels of theory, npj Comput. Mater. 8, 195 (2022), "
    "doi:10.1038/s41524-022-00881-w"
)
PAPERS: dict[str, tuple[str, ...]] = {
    "GGA_GGA+U": (JAIN,),
    "R2SCAN": (JAIN, _R2SCAN),
    "GGA_GGA+U_R2SCAN": (JAIN, _R2SCAN, _MIXING),
}
