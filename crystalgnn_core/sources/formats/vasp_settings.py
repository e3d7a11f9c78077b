"""How a VASP run was made: its functional, Hubbard U, electrons and other settings."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, NamedTuple
from xml.etree import ElementTree

from crystalgnn_core.errors import RecordError
from crystalgnn_core.sources.formats.archives import opened
from crystalgnn_core.sources.formats.calculation import RunInputs

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pymatgen.io.vasp.outputs import Vasprun

_FAMILIES = {
    "PAW_PBE": "GGA",
    "PAW_GGA": "PW91",
    "US_GGA": "PW91",
    "PAW": "LDA",
    "US": "LDA",
}
_NAMES = {"PBE": "GGA", "R2SCAN": "r2SCAN"}
_BY_POTENTIALS = {"GGA", "unknown"}  # what pymatgen says where no tag chooses
_HYBRIDS = {"HSE03", "HSE06", "B3LYP", "PBEO or other Hybrid Functional"}
_OTHER_HYBRID = "PBEO or other Hybrid Functional"
_PART = re.compile(r"\sH\d?\.\d")  # such as `PAW_PBE H.75 ...`, `PAW_PBE H1.25 ...`
_CHARGE = 1e-3  # electrons
_SMALL_U = 1e-8  # eV


class AtomType(NamedTuple):
    """Atoms with one potential: how many, and electrons that each brings."""

    n_atoms: int
    symbol: str
    valence: float
    title: str


def read_atom_types(path: Path) -> list[AtomType]:
    """Read the atoms of each potential from the head of a run; none where there are none.

    Raises:
        RecordError: `unknown_element`, a potential stands for a part of an atom.
    """
    with opened(path) as stream:
        for _, element in ElementTree.iterparse(stream):
            if element.tag == "array" and element.get("name") == "atomtypes":
                rows = [[c.text or "" for c in row] for row in element.iter("rc")]
                return [_atom_type(row) for row in rows]
            if element.tag == "calculation":
                break
    return []


def _atom_type(row: Sequence[str]) -> AtomType:
    count, symbol, _, valence, title = row
    kind = AtomType(int(count), symbol.strip(), float(valence), title.strip())
    if kind.symbol == "H" and _PART.search(title):
        raise RecordError(
            "unknown_element",
            f"the potential {kind.title} is a part of a hydrogen atom, as at surfaces; "
            "there is no such element",
        )
    return kind


def check_charge(run: Vasprun, types: Sequence[AtomType]) -> None:
    """Refuse a charged cell, whose energy and gap are none of the crystal.

    Raises:
        RecordError: `incompatible_settings`, electrons are missing or too many.
    """
    n_electrons = float(run.parameters.get("NELECT") or 0.0)
    n_neutral = sum(kind.n_atoms * kind.valence for kind in types)
    charge = n_neutral - n_electrons
    if types and n_electrons > 0.0 and abs(charge) > _CHARGE:
        raise RecordError(
            "incompatible_settings",
            f"the cell is charged ({charge:+g}): NELECT is {n_electrons:g}, the atoms "
            f"bring {n_neutral:g}; take the run of the neutral cell",
        )


def run_type_of(run: Vasprun) -> str:
    """Name the functional as the Materials Project does.

    Where no tag chooses one, it is that of the potentials.
    """
    if run.parameters.get("LHFCALC") is False:  # the other tags of hybrids stand idle
        run.parameters.update({"AEXX": 0.0, "HFSCREEN": 0.0})
    has_u = _has_u(run)
    base, *others = str(run.run_type).split("+")
    if base in _BY_POTENTIALS:
        base = _family_of(run.potcar_symbols)
    elif base in _HYBRIDS:
        base = _hybrid(base, run)
    extras = [name for name in others if name not in {"U", "vdW-no-correction"}]
    if run.incar.get("LVDW") is True and not extras:  # of VASP 5.2 and 5.3
        extras = ["vdW-DFT-D2"]
    if run.parameters.get("LSORBIT"):
        extras.append("SOC")
    return "+".join([_NAMES.get(base, base), *["U"] * has_u, *extras])


def _family_of(titles: Sequence[str]) -> str:
    """Name the functional of the potentials."""
    families = list(dict.fromkeys((title.split() or [""])[0] for title in titles))
    if len(families) == 1 and families[0] in _FAMILIES:
        return _FAMILIES[families[0]]
    return f"of {' and '.join(families)}"


def _hybrid(name: str, run: Vasprun) -> str:
    """Name a hybrid; one with another mixing or another base than usual says so."""
    tag = str(run.parameters.get("GGA", "PE")).strip().upper()
    share = float(run.parameters.get("AEXX", 0.25))
    meta = run.incar.get("METAGGA") or "--"
    if name == "B3LYP" and tag in {"B3", "B5"}:
        return name
    name = _OTHER_HYBRID if name == "B3LYP" else name
    details = [f"AEXX={share:g}"] * (not math.isclose(share, 0.25))
    screening = float(run.parameters.get("HFSCREEN") or 0.0)
    details += [f"HFSCREEN={screening:g}"] * (name == _OTHER_HYBRID and screening != 0.0)
    details += [f"GGA={tag}"] * (tag not in {"PE", "--", ""})
    details += [f"METAGGA={meta}"] * (str(meta) not in {"--", "None"})
    return f"{name} ({', '.join(details)})" if details else name


def hubbards_of(run: Vasprun) -> dict[str, float]:
    """Return the Hubbard U - J of each element in eV, 0 where LDAUL leaves it out.

    Raises:
        RecordError: `incompatible_settings`, they are not one for each potential, or
            two potentials of one element have different ones.
    """
    if not run.incar.get("LDAU"):
        return {}
    symbols = [title.split()[1].split("_")[0] for title in run.potcar_symbols]
    given = _of_types(run, "LDAUU", len(symbols))
    values = zip(
        symbols,
        given,
        _of_types(run, "LDAUJ", len(symbols)),
        _of_types(run, "LDAUL", len(symbols), default=2.0),
        strict=True,
    )
    found: dict[str, float] = {}
    for symbol, u, j, orbital in values:
        value = 0.0 if orbital < 0 else u - j
        if found.setdefault(symbol, value) != value:
            raise RecordError(
                "incompatible_settings",
                f"the potentials of {symbol} have Hubbard U - J of {found[symbol]:g} and "
                f"{value:g} eV; there can be one for each element",
            )
    return found


def _of_types(run: Vasprun, name: str, n_types: int, default: float = 0.0) -> list[float]:
    given = run.incar.get(name, run.parameters.get(name))
    values = [] if given is None else given if isinstance(given, list) else [given]
    if len(values) != n_types and (name == "LDAUU" and any(values)):
        raise RecordError(
            "incompatible_settings",
            f"{name} has {len(values)} values for {n_types} potentials; repeat the run",
        )
    if len(values) != n_types:
        return [default] * n_types
    return [float(value) for value in values]


def _has_u(run: Vasprun) -> bool:
    return any(abs(value) > _SMALL_U for value in hubbards_of(run).values())


def inputs_of(run: Vasprun) -> RunInputs:
    """Return the settings that energy corrections take for granted."""
    divisions = run.kpoints.kpts[0] if run.kpoints.kpts else ()
    is_mesh = run.kpoints.style.name in {"Gamma", "Monkhorst", "Automatic"}
    cutoff = run.parameters.get("ENMAX")
    unusual = ["spin-orbit coupling (LSORBIT)"] * bool(run.parameters.get("LSORBIT"))
    kind = run.incar.get("LDAUTYPE", 2)
    unusual += [f"LDAUTYPE = {kind}"] * (_has_u(run) and kind != 2)
    return RunInputs(
        cutoff=None if cutoff is None else float(cutoff),
        n_kpoints=math.prod(divisions) if is_mesh and len(divisions) == 3 else None,
        unusual=tuple(unusual),
    )
