"""Writes `vasprun.xml` files in VASP's own layout, as far as pymatgen reads it.

The layout was taken from the two real files among ASE's tests, which the tests of the
reader read as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pymatgen.core.structure import Structure

MP_TITLES = {
    "Na": "PAW_PBE Na_pv 19Sep2006",
    "Cl": "PAW_PBE Cl 06Sep2000",
    "Fe": "PAW_PBE Fe_pv 02Aug2007",
    "O": "PAW_PBE O 08Apr2002",
}
VALENCES = {"Na": 7, "Cl": 7, "Fe": 14, "O": 6}  # of these potentials
# one valence and one conduction band at two k-points: a gap of 3.5 eV
BANDS = ((-1.0, 4.0), (-2.0, 2.5))
PARAMETERS: dict[str, Any] = {
    "NELM": 60,
    "NSW": 0,
    "IBRION": -1,
    "ISPIN": 1,
    "ICHARG": 2,
    "LDAU": False,
    "GGA": "PE",
    "LHFCALC": False,
    "AEXX": 0.0,
    "HFSCREEN": 0.0,
    "ENMAX": 520.0,
}


def vasprun_text(
    structure: Structure,
    energy: float,
    *,
    titles: Mapping[str, str] = MP_TITLES,
    bands: Sequence[Sequence[float]] = BANDS,
    shares: Sequence[Sequence[float]] | None = None,
    fermi: float = 0.5,
    added: float = 0.0,
    n_electronic: int = 12,
    n_ionic: int = 1,
    hubbard: Mapping[str, float] | None = None,
    incar: Mapping[str, Any] | None = None,
    **parameters: Any,
) -> str:
    """Write the text of a run.

    Args:
        structure: Last structure, sites of an element together.
        energy: Energy of the cell in eV in the last step.
        titles: Element to title of its potential.
        bands: For each k-point the energies of its bands in eV.
        shares: How far each of them is filled; None fills those below the Fermi energy.
        fermi: Fermi energy in eV.
        added: Part of the energy in eV that came after the electronic steps.
        n_electronic: Electronic steps of every ionic step.
        n_ionic: Ionic steps.
        hubbard: Element to U in eV.
        incar: Settings of the INCAR file that show nowhere else, such as METAGGA.
        parameters: Settings as VASP used them.
    """
    symbols = [element.symbol for element in structure.composition.elements]
    given = dict(incar or {})
    if hubbard is not None:
        parameters["LDAU"] = given["LDAU"] = True
        values = [hubbard.get(symbol, 0.0) for symbol in symbols]
        given = {"LDAUU": values, "LDAUJ": [0.0 for _ in symbols]} | given
    if shares is None:
        shares = [[float(value < fermi) for value in values] for values in bands]
    parameters.setdefault(
        "NELECT", sum(float(VALENCES.get(site.specie.symbol, 1)) for site in structure)
    )
    ends = [""] * (n_ionic - 1) + [_eigenvalues(bands, shares, fermi)]
    steps = "".join(
        _calculation(structure, energy, energy - added, n_electronic, ending)
        for ending in ends
    )
    return (
        '<?xml version="1.0" encoding="ISO-8859-1"?>\n<modeling>\n <generator>\n'
        '  <i name="program" type="string">vasp </i>\n'
        '  <i name="version" type="string">6.3.0  </i>\n </generator>\n'
        f" <incar>\n{_settings(given)} </incar>\n{_kpoints(len(bands))}"
        f" <parameters>\n{_settings(PARAMETERS | parameters)} </parameters>\n"
        f"{_atoms(structure, symbols, titles)}"
        f"{_structure(structure, 'initialpos')}{steps}{_structure(structure, 'finalpos')}"
        "</modeling>\n"
    )


def _settings(values: Mapping[str, Any]) -> str:
    lines = []
    for name, value in values.items():
        if isinstance(value, bool):
            text, kind = (" T  " if value else " F  "), ' type="logical"'
        elif isinstance(value, int):
            text, kind = f"{value:6d}", ' type="int"'
        elif isinstance(value, str):
            text, kind = value, ' type="string"'
        elif isinstance(value, list):
            numbers = "".join(f"{number:16.8f}" for number in value)
            lines.append(f'  <v name="{name}">{numbers}</v>\n')
            continue
        else:
            text, kind = f"{value:16.8f}", ""
        lines.append(f'  <i{kind} name="{name}">{text}</i>\n')
    return "".join(lines)


def _rows(name: str, rows: Any) -> str:
    lines = "".join(
        "  <v>" + "".join(f"{value:17.8f}" for value in np.atleast_1d(row)) + " </v>\n"
        for row in rows
    )
    return f' <varray name="{name}" >\n{lines} </varray>\n'


def _kpoints(n_kpoints: int) -> str:
    return (
        ' <kpoints>\n <generation param="Gamma">\n'
        '  <v type="int" name="divisions">       9        9        9 </v>\n'
        '  <v name="usershift">      0.00000000       0.00000000       0.00000000 </v>\n'
        " </generation>\n"
        f"{_rows('kpointlist', [[0.5 * k, 0.0, 0.0] for k in range(n_kpoints)])}"
        f"{_rows('weights', [1 / n_kpoints] * n_kpoints)} </kpoints>\n"
    )


def _atoms(structure: Structure, symbols: Sequence[str], titles: Mapping[str, str]) -> str:
    atoms = "".join(
        f"<rc><c>{site.specie.symbol:2}</c><c>{symbols.index(site.specie.symbol) + 1:4d}"
        "</c></rc>\n"
        for site in structure
    )
    types = "".join(
        f"<rc><c>{structure.composition[symbol]:4.0f}</c><c>{symbol:2}</c><c>1.0</c>"
        f"<c>{VALENCES.get(symbol, 1):11.8f}</c><c>  {titles[symbol]:38}</c></rc>\n"
        for symbol in symbols
    )
    return (
        f" <atominfo>\n  <atoms> {len(structure):7d} </atoms>\n"
        f"  <types> {len(symbols):7d} </types>\n"
        f'  <array name="atoms" >\n<set>\n{atoms}</set>\n</array>\n'
        f'  <array name="atomtypes" >\n<set>\n{types}</set>\n</array>\n </atominfo>\n'
    )


def _structure(structure: Structure, name: str | None) -> str:
    label = "" if name is None else f' name="{name}" '
    volume = f' <i name="volume">{structure.volume:16.8f} </i>\n'
    return (
        f" <structure{label}>\n <crystal>\n{_rows('basis', structure.lattice.matrix)}"
        f"{volume} </crystal>\n{_rows('positions', structure.frac_coords)} </structure>\n"
    )


def _energies(energy: float) -> str:
    names = ("e_fr_energy", "e_wo_entrp", "e_0_energy")
    lines = "".join(f'  <i name="{name}">{energy:16.8f} </i>\n' for name in names)
    return f" <energy>\n{lines} </energy>\n"


def _calculation(
    structure: Structure,
    energy: float,
    electronic: float,
    n_electronic: int,
    ending: str,
) -> str:
    steps = f" <scstep>\n{_energies(electronic)} </scstep>\n" * n_electronic
    zeros = np.zeros((len(structure), 3))
    return (
        f" <calculation>\n{steps}{_structure(structure, None)}{_rows('forces', zeros)}"
        f"{_rows('stress', np.zeros((3, 3)))}{_energies(energy)}{ending} </calculation>\n"
    )


def _eigenvalues(
    bands: Sequence[Sequence[float]], shares: Sequence[Sequence[float]], fermi: float
) -> str:
    points = "".join(
        f'<set comment="kpoint {number}">\n'
        + "".join(
            f"<r> {value:9.4f} {share:9.4f} </r>\n"
            for value, share in zip(*point, strict=True)
        )
        + "</set>\n"
        for number, point in enumerate(zip(bands, shares, strict=True), start=1)
    )
    grid = "".join(f"<r> {value:9.4f}  0.0 0.0 </r>\n" for value in (-5.0, 0.0, 5.0))
    return (
        ' <eigenvalues>\n<array>\n<set>\n<set comment="spin 1">\n'
        f"{points}</set>\n</set>\n</array>\n </eigenvalues>\n"
        f' <dos>\n  <i name="efermi">{fermi:16.8f} </i>\n'
        f'<total>\n<array>\n<set>\n<set comment="spin 1">\n{grid}</set>\n</set>\n</array>\n'
        "</total>\n </dos>\n"
    )
