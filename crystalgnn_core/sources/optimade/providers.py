"""Shipped settings for well-known OPTIMADE providers, and how each was checked.

None was asked while this was written: addresses are those of the providers' index
(https://providers.optimade.org), property names those that published clients and documents
name, so a provider may have moved on. A property that is gone leaves its label missing.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from crystalgnn_core.base import FrozenModel
from crystalgnn_core.records.label_schemes import (
    ALEXANDRIA_PBE,
    ALEXANDRIA_PBESOL,
    JARVIS_OPTB88VDW,
    MP_2020,
    OQMD,
)
from crystalgnn_core.sources.formats.columns import TargetColumn
from crystalgnn_core.wording import did_you_mean

_INDEX = (
    "address: the index of providers, src/index-metadbs of Materials-Consortia/providers"
)
_SHARED = "address, ids and cells: answers recorded for the OPTIMADE papers' examples"
_CLIENTS = "properties and units: published clients that read them"


class OptimadeProvider(FrozenModel):
    """What is known of a provider.

    Attributes:
        title: Name of the database.
        url: Base address.
        targets: Target name to the property that holds it.
        missing: Numbers that stand for a missing label.
        license: Licence as the database states it; None where it was not found.
        citation: What the database asks to cite.
        checked: How each of these is known.
    """

    title: str
    url: str
    targets: dict[str, TargetColumn] = Field(default_factory=dict)
    missing: tuple[float, ...] = ()
    license: str | None = None
    citation: str
    checked: tuple[str, ...]

    def settings(self) -> dict[str, Any]:
        """Return what a source takes from the provider where nothing else is given."""
        return self.model_dump(exclude={"title", "checked"})


def _columns(scheme: str, **properties: str) -> dict[str, TargetColumn]:
    return {
        name: TargetColumn(column=column, label_scheme=scheme)
        for name, column in properties.items()
    }


def _alexandria(functional: str, scheme: str) -> OptimadeProvider:
    return OptimadeProvider(
        title=f"Alexandria ({functional})",
        url=f"https://alexandria.icams.rub.de/{functional.lower()}",
        targets=_columns(
            scheme,
            formation_energy_per_atom="_alexandria_formation_energy_per_atom",
            band_gap="_alexandria_band_gap",
            energy_above_hull="_alexandria_hull_distance",
        ),
        license="CC-BY-4.0",
        citation="J. Schmidt et al., Adv. Mater. 35, 2210788 (2023), "
        "doi:10.1002/adma.202210788",
        checked=(
            _INDEX,
            _CLIENTS,
            "licence: atomind/alexandria, a mirror, quotes the database's page",
        ),
    )


PROVIDERS: dict[str, OptimadeProvider] = {
    "alexandria-pbe": _alexandria("PBE", ALEXANDRIA_PBE),
    "alexandria-pbesol": _alexandria("PBEsol", ALEXANDRIA_PBESOL),
    "cod": OptimadeProvider(
        title="Crystallography Open Database",
        url="https://www.crystallography.net/cod/optimade",
        license="public domain",
        citation="S. Grazulis et al., Nucleic Acids Res. 40, D420 (2012)",
        checked=(
            _INDEX,
            "licence: its developers, in issue 102 of Materials-Consortia/OPTIMADE",
        ),
    ),
    "jarvis": OptimadeProvider(
        title="JARVIS-DFT",
        url="https://jarvis.nist.gov/optimade/jarvisdft",
        targets=_columns(
            JARVIS_OPTB88VDW,
            formation_energy_per_atom="_jarvis_formation_energy_peratom",
            band_gap="_jarvis_optb88vdw_bandgap",
            bulk_modulus="_jarvis_bulk_modulus_kv",
            shear_modulus="_jarvis_shear_modulus_gv",
            energy_above_hull="_jarvis_ehull",
        ),
        missing=(-99999.0,),
        citation="K. Choudhary et al., npj Comput. Mater. 6, 173 (2020)",
        checked=(
            _INDEX,
            _CLIENTS,
            "-99999 for missing, 20 rows per page in any case: published clients",
            "it holds slabs (dft_2d) beside crystals: published clients",
        ),
    ),
    "mp": OptimadeProvider(
        title="Materials Project",
        url="https://optimade.materialsproject.org",
        targets=_columns(
            MP_2020,
            formation_energy_per_atom=("_mp_stability.gga_gga+u.formation_energy_per_atom"),
        ),
        license="CC-BY-4.0",
        citation="A. Jain et al., APL Mater. 1, 011002 (2013), doi:10.1063/1.4812323",
        checked=(
            _SHARED,
            "property: a published record of an answer, which has no band gap",
            "licence: that of the Materials Project; rows of GNoME are CC BY-NC",
        ),
    ),
    "odbx": OptimadeProvider(
        title="Open Database of Xtals",
        url="https://optimade.odbx.science",
        citation="M. L. Evans and A. J. Morris, J. Open Source Softw. 5, 2563 (2020)",
        checked=(
            "address: answers recorded for the OPTIMADE papers' examples, without rows",
            "no properties are taken; licence not found",
        ),
    ),
    "oqmd": OptimadeProvider(
        title="Open Quantum Materials Database",
        url="https://oqmd.org/optimade",
        targets=_columns(
            OQMD,
            formation_energy_per_atom="_oqmd_delta_e",
            band_gap="_oqmd_band_gap",
            energy_above_hull="_oqmd_stability",
        ),
        license="CC-BY-4.0",
        citation=(
            "J. E. Saal et al., JOM 65, 1501 (2013); "
            "S. Kirklin et al., npj Comput. Mater. 1, 15010 (2015)"
        ),
        checked=(
            _SHARED,
            _CLIENTS,
            "names without prefix: https://static.oqmd.org/static/docs/restful.html",
            "_oqmd_stability is below zero under the hull of others: a published client",
            "licence: the database's page, as others quote it",
        ),
    ),
}


def known_provider(name: str) -> str:
    """Return the name of a shipped provider.

    Raises:
        ValueError: There is none of that name.
    """
    if name not in PROVIDERS:
        raise ValueError(
            f"unknown provider {name!r}; shipped are {', '.join(PROVIDERS)}; give the "
            f"url of another{did_you_mean(name, PROVIDERS)}"
        )
    return name
