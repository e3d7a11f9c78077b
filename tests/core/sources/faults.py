"""A catalogue of bad rows, written down once for all sources.

A row is told in plain terms (`Row`); the test of each source writes it in the form of that
source and serves it. What a form cannot express is left out by name, so nothing is skipped
by accident.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from crystalgnn_core.records.table.store import RecordStore
from crystalgnn_core.sources.ingest.run import ingest_source

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from crystalgnn_core.sources.base import SourceConfig

A = 5.64  # angstrom, NaCl
PRIMITIVE = ((0.0, A / 2, A / 2), (A / 2, 0.0, A / 2), (A / 2, A / 2, 0.0))
NAN, INFINITY = float("nan"), float("inf")


@dataclass(frozen=True)
class Row:
    """A material as any database would tell it.

    Attributes:
        material_id: Identifier; None stands for a missing one.
        species: Symbol to occupancy for each site.
        lattice: Row vectors in angstrom.
        coords: Fractional coordinates, three a site.
        labels: Target to value in the unit of the target.
        is_empty: There is no structure at all.
        content: In place of the whole row.
    """

    material_id: str | None = "good"
    species: tuple[dict[str, float], ...] = ({"Na": 1.0}, {"Cl": 1.0})
    lattice: Any = PRIMITIVE
    coords: Any = ((0.0, 0.0, 0.0), (0.5, 0.5, 0.5))
    labels: dict[str, Any] = field(
        default_factory=lambda: {"formation_energy_per_atom": -2.1, "band_gap": 5.0}
    )
    is_empty: bool = False
    content: Any = None


class Fault(NamedTuple):
    """A kind of bad row: how it comes of a good one, and the reason of its reject."""

    spoil: Callable[[Row], Row]
    reason: str


def _set(**changes: Any) -> Callable[[Row], Row]:
    return lambda row: replace(row, **changes)


def _label(**changes: Any) -> Callable[[Row], Row]:
    return lambda row: replace(row, labels={**row.labels, **changes})


def _sites(*species: dict[str, float]) -> Callable[[Row], Row]:
    return lambda row: replace(row, species=species)


def _scaled(factor: float) -> Callable[[Row], Row]:
    return lambda row: replace(
        row, lattice=[[factor * x for x in vector] for vector in row.lattice]
    )


FAULTS: dict[str, Fault] = {
    "id missing": Fault(_set(material_id=None), "missing_id"),
    "id empty": Fault(_set(material_id=""), "missing_id"),
    "id of blanks": Fault(_set(material_id="  "), "missing_id"),
    "id of another row": Fault(_set(material_id="good-0"), "duplicate_id"),
    "structure missing": Fault(_set(is_empty=True), "unreadable_structure"),
    "row is null": Fault(_set(content=[None]), "unreadable_structure"),
    "row is a text": Fault(_set(content=["NaCl"]), "unreadable_structure"),
    "no atoms": Fault(_set(species=(), coords=()), "no_atoms"),
    "more coordinates than species": Fault(
        _set(coords=((0.0, 0.0, 0.0), (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))),
        "unreadable_structure",
    ),
    "coordinates in two dimensions": Fault(
        _set(coords=((0.0, 0.0), (0.5, 0.5))), "unreadable_structure"
    ),
    "coordinate is NaN": Fault(
        _set(coords=((0.0, 0.0, 0.0), (0.5, NAN, 0.5))), "unreadable_structure"
    ),
    "coordinate is infinite": Fault(
        _set(coords=((0.0, 0.0, 0.0), (0.5, INFINITY, 0.5))), "unreadable_structure"
    ),
    "coordinate is a word": Fault(
        _set(coords=((0.0, 0.0, 0.0), (0.5, "half", 0.5))), "unreadable_structure"
    ),
    "lattice missing": Fault(_set(lattice=None), "unreadable_structure"),
    "lattice of two vectors": Fault(_set(lattice=PRIMITIVE[:2]), "unreadable_structure"),
    "lattice entry is NaN": Fault(
        _set(lattice=((NAN, 1.0, 1.0), *PRIMITIVE[1:])), "unreadable_structure"
    ),
    "lattice entry is a word": Fault(
        _set(lattice=(("a", 1.0, 1.0), *PRIMITIVE[1:])), "unreadable_structure"
    ),
    "cell is flat": Fault(_set(lattice=(*PRIMITIVE[:2], PRIMITIVE[0])), "degenerate_cell"),
    "cell is zero": Fault(_set(lattice=((0.0,) * 3,) * 3), "degenerate_cell"),
    "cell in nanometres": Fault(_scaled(0.1), "degenerate_cell"),
    "cell in picometres": Fault(_scaled(100.0), "degenerate_cell"),
    "cell of micrometres": Fault(_scaled(1e4), "degenerate_cell"),
    "cell in bohr, named angstrom": Fault(_scaled(1 / 0.529177), "degenerate_cell"),
    "sodium within chlorine": Fault(  # 0.98 angstrom
        _set(coords=((0.0, 0.0, 0.0), (0.1, 0.1, 0.1))), "overlapping_atoms"
    ),
    "atoms on top of each other": Fault(
        _set(coords=((0.0, 0.0, 0.0), (0.01, 0.0, 0.0))), "overlapping_atoms"
    ),
    "atom meets its image": Fault(
        _set(lattice=((0.3, 0.0, 0.0), (0.0, 20.0, 0.0), (0.0, 0.0, 20.0))),
        "overlapping_atoms",
    ),
    "site is partly empty": Fault(_sites({"Na": 0.5}, {"Cl": 1.0}), "disordered_site"),
    "site is mixed": Fault(_sites({"Na": 0.5, "K": 0.5}, {"Cl": 1.0}), "disordered_site"),
    "element unknown": Fault(_sites({"Qq": 1.0}, {"Cl": 1.0}), "unknown_element"),
    "element is a vacancy": Fault(_sites({"X": 1.0}, {"Cl": 1.0}), "unknown_element"),
    "energy is a word": Fault(_label(formation_energy_per_atom="low"), "invalid_label"),
    "energy is a list": Fault(_label(formation_energy_per_atom=[-2.1]), "invalid_label"),
    "energy is true": Fault(_label(formation_energy_per_atom=True), "invalid_label"),
    "energy with a comma": Fault(_label(formation_energy_per_atom="-2,1"), "invalid_label"),
    "energy with an underscore": Fault(
        _label(formation_energy_per_atom="-2_1"), "invalid_label"
    ),
    "energy in per cent": Fault(_label(formation_energy_per_atom="5 %"), "invalid_label"),
    "energy with its unit": Fault(
        _label(formation_energy_per_atom="-2.1 eV"), "invalid_label"
    ),
    "energy is an error of a spreadsheet": Fault(
        _label(formation_energy_per_atom="#DIV/0!"), "invalid_label"
    ),
    "energy is infinite": Fault(
        _label(formation_energy_per_atom=-INFINITY), "invalid_label"
    ),
    "energy of the whole crystal": Fault(
        _label(formation_energy_per_atom=-104.2), "implausible_label"
    ),
    "gap below zero": Fault(_label(band_gap=-0.4), "implausible_label"),
    "gap in meV": Fault(_label(band_gap=5000.0), "implausible_label"),
    "coordinate is missing": Fault(
        _set(coords=((0.0, 0.0, 0.0), (0.5, None, 0.5))), "unreadable_structure"
    ),
    "coordinates in four dimensions": Fault(
        _set(coords=((0.0,) * 4, (0.5,) * 4)), "unreadable_structure"
    ),
    "lattice of four vectors": Fault(
        _set(lattice=(*PRIMITIVE, PRIMITIVE[0])), "unreadable_structure"
    ),
    "lattice vector of two numbers": Fault(
        _set(lattice=(*PRIMITIVE[:2], PRIMITIVE[2][:2])), "unreadable_structure"
    ),
    "lattice entry is infinite": Fault(
        _set(lattice=((INFINITY, 1.0, 1.0), *PRIMITIVE[1:])), "unreadable_structure"
    ),
    "lattice entry is missing": Fault(
        _set(lattice=((None, 1.0, 1.0), *PRIMITIVE[1:])), "unreadable_structure"
    ),
    "element is a hydroxyl": Fault(_sites({"OH": 1.0}, {"Cl": 1.0}), "unknown_element"),
    "element is water": Fault(_sites({"Wat": 1.0}, {"Cl": 1.0}), "unknown_element"),
    "element is a ligand": Fault(_sites({"NH3": 1.0}, {"Cl": 1.0}), "unknown_element"),
    "element beyond the table": Fault(_sites({"Uue": 1.0}, {"Cl": 1.0}), "unknown_element"),
    "energy is a mapping": Fault(
        _label(formation_energy_per_atom={"value": -2.1}), "invalid_label"
    ),
    "energy is a sum": Fault(_label(formation_energy_per_atom="-2+1"), "invalid_label"),
    "gap is a word": Fault(_label(band_gap="wide"), "invalid_label"),
    "gap is a list": Fault(_label(band_gap=[5.0, 4.0]), "invalid_label"),
    "gap is true": Fault(_label(band_gap=True), "invalid_label"),
    "gap is infinite": Fault(_label(band_gap=INFINITY), "invalid_label"),
    "gap with its unit": Fault(_label(band_gap="5.0 eV"), "invalid_label"),
    "both labels missing": Fault(
        _label(formation_energy_per_atom=None, band_gap=None), "missing_label"
    ),
    "both labels are na": Fault(
        _label(formation_energy_per_atom="na", band_gap="na"), "missing_label"
    ),
    "both labels are NaN": Fault(
        _label(formation_energy_per_atom=NAN, band_gap=NAN), "missing_label"
    ),
}


def rows_with(
    faults: dict[str, Fault], left_out: Collection[str] = ()
) -> list[tuple[str, Row]]:
    """Return bad rows between good ones, each with the name of its fault, if any.

    Args:
        faults: The catalogue.
        left_out: Faults that the form of a source cannot express.
    """
    assert set(left_out) <= set(faults)
    rows = [("", Row(material_id="good-0"))]
    for number, (name, fault) in enumerate(faults.items(), start=1):
        if name not in left_out:
            rows.append((name, fault.spoil(Row(material_id=f"bad-{number}"))))
            rows.append(("", Row(material_id=f"good-{number}")))
    return rows


def reasons_for(rows: list[tuple[str, Row]], **others: str) -> dict[str, str]:
    """Return fault to expected reason.

    Args:
        rows: From `rows_with`.
        others: Fault, with underscores for blanks, to a reason that is more exact for the
            form of a source.
    """
    reasons = {name: FAULTS[name].reason for name, _ in rows if name}
    changed = {name.replace("_", " "): reason for name, reason in others.items()}
    assert set(changed) <= set(reasons)
    return reasons | changed


def check_all_are_told(
    store: Path, source: SourceConfig, rows: list[tuple[str, Row]], reasons: dict[str, str]
) -> None:
    """Ingest a source that holds some rows: each is kept, or rejected for its reason."""
    report = ingest_source(store, source)
    rejects = RecordStore(store).rejects().to_pylist()
    kept = RecordStore(store).read([source.name], [])["material_id"].to_pylist()
    assert sorted(kept) == sorted(row.material_id or "" for name, row in rows if not name)
    assert report.n_in == len(rows) == len(kept) + len(rejects)
    assert report.n_kept == len(kept)
    assert all(reject["message"] for reject in rejects)
    by_id = {reject["material_id"]: reject["reason"] for reject in rejects}
    with_id = {
        name: row.material_id
        for name, row in rows
        if name and row.content is None and (row.material_id or "").strip()
    }
    found = {name: by_id.get(str(given), "not rejected") for name, given in with_id.items()}
    assert found == {name: reasons[name] for name in with_id}
    # those without an id are distinguished by their number alone
    given = sorted(reject["reason"] for reject in rejects)
    assert given == sorted(reasons[name] for name, _ in rows if name)
