"""Every kind of bad row ends as a reject with its reason, whichever source it came from."""

import csv
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crystalgnn_core.sources.files.source import FilesSource
from crystalgnn_core.sources.formats.columns import TargetColumn
from crystalgnn_core.sources.jarvis.source import JarvisSource
from tests.core.sources.faults import FAULTS, check_all_are_told, reasons_for, rows_with
from tests.core.sources.materials_project.world import source as mp_source
from tests.core.sources.optimade.provider import Provider, entry
from tests.core.web import running_site

# a site of pymatgen's form holds species and coordinates, and what holds it is a document
IN_NO_STRUCTURE = {"more coordinates than species", "row is null", "row is a text"}
TARGETS = {
    name: TargetColumn(column=name, label_scheme="test")
    for name in ("formation_energy_per_atom", "band_gap")
}


def pymatgen_structure(row):
    """Write a structure as pymatgen does, whatever it holds."""
    lattice = {} if row.lattice is None else {"matrix": row.lattice}
    sites = [
        {
            "species": [
                {"element": name, "occu": share} for name, share in species.items()
            ],
            "abc": coords,
            "label": "",
            "properties": {},
        }
        for species, coords in zip(row.species, row.coords, strict=False)
    ]
    return {"lattice": lattice, "sites": sites}


def cell(value):
    """Write a label into a table of texts."""
    return value if isinstance(value, str) or value is None else str(value)


def test_the_catalogue_holds_at_least_60_kinds():
    assert len(FAULTS) >= 60


def test_a_table_of_pymatgen_structures(tmp_path):
    rows = rows_with(FAULTS, left_out=IN_NO_STRUCTURE)
    labels = {name: [cell(row.labels[name]) for _, row in rows] for name in TARGETS}
    structures = [
        None if row.is_empty else json.dumps(pymatgen_structure(row)) for _, row in rows
    ]
    table = {"material_id": [row.material_id for _, row in rows], "structure": structures}
    pq.write_table(pa.table(table | labels), tmp_path / "rows.parquet")
    source = FilesSource(name="rows", path=str(tmp_path / "rows.parquet"), targets=TARGETS)
    check_all_are_told(tmp_path / "store", source, rows, reasons_for(rows))


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_table_for_spreadsheets(tmp_path, delimiter):
    # a cell of such a table is a text
    rows = rows_with(FAULTS, left_out=IN_NO_STRUCTURE)
    with (tmp_path / "rows.csv").open("w", newline="", encoding="utf-8-sig") as stream:
        writer = csv.writer(stream, delimiter=delimiter, quoting=csv.QUOTE_ALL)
        writer.writerow(["Material ID", "structure", *TARGETS])
        for _, row in rows:
            structure = "" if row.is_empty else json.dumps(pymatgen_structure(row))
            labels = [cell(row.labels[name]) for name in TARGETS]
            writer.writerow([row.material_id, structure, *labels])
    source = FilesSource(name="rows", path=str(tmp_path / "rows.csv"), targets=TARGETS)
    check_all_are_told(tmp_path / "store", source, rows, reasons_for(rows))


def split_frame(documents):
    """Write documents as pandas writes a frame in the orient `split`."""
    names = list(documents[0])
    data = [None if row is None else list(row.values()) for row in documents]
    return {"columns": names, "index": list(range(len(data))), "data": data}


FORMS: dict[str, Callable[[Any], str]] = {
    "a list": json.dumps,
    "a wrapped list": lambda found: json.dumps({"structures": found}),
    "a frame": lambda found: json.dumps(split_frame(found)),
    "lines": lambda found: "\n".join(map(json.dumps, found)),
}


@pytest.mark.parametrize("form", FORMS)
def test_documents_in_json(tmp_path, form):
    # a document without an id is named by its file and place
    left_out = {"id missing", "id empty", "id of blanks", "more coordinates than species"}
    rows = rows_with(FAULTS, left_out=left_out | {"row is a text"})
    documents = [
        {
            "material_id": row.material_id,
            "structure": None if row.is_empty else pymatgen_structure(row),
            **row.labels,
        }
        if row.content is None
        else row.content[0]
        for _, row in rows
    ]
    path = tmp_path / "rows.json"
    path.write_text(FORMS[form](documents))
    source = FilesSource(name="rows", path=str(path), targets=TARGETS, part_size=7)
    check_all_are_told(tmp_path / "store", source, rows, reasons_for(rows))


def test_a_release_of_jarvis(tmp_path):
    # a site of JARVIS holds one element
    rows = rows_with(FAULTS, left_out={"site is partly empty", "site is mixed"})
    records = [
        {
            "jid": row.material_id,
            "atoms": None
            if row.is_empty
            else {
                "lattice_mat": row.lattice,
                "coords": row.coords,
                "elements": [symbol for species in row.species for symbol in species],
                "cartesian": False,
            },
            "formation_energy_peratom": row.labels["formation_energy_per_atom"],
            "optb88vdw_bandgap": row.labels["band_gap"],
        }
        if row.content is None
        else row.content[0]
        for _, row in rows
    ]
    (tmp_path / "jarvis.json").write_text(json.dumps(records))
    source = JarvisSource(
        path=str(tmp_path / "jarvis.json"), implausible="reject_row", part_size=10
    )
    check_all_are_told(tmp_path / "store", source, rows, reasons_for(rows))


def test_a_provider_of_optimade(tmp_path):
    rows = rows_with(FAULTS)
    entries = [
        entry(row.material_id, immutable_id=None, **optimade_attributes(row))
        if row.content is None
        else row.content[0]
        for _, row in rows
    ]
    columns = {
        name: TargetColumn(column=f"_x_{name}", label_scheme="test") for name in TARGETS
    }
    with running_site() as site:
        source = Provider(site, entries).source(targets=columns)
        check_all_are_told(tmp_path / "store", source, rows, reasons_for(rows))


def optimade_attributes(row):
    """Write a structure as OPTIMADE has it, whatever it holds."""
    names = [f"{index}" for index in range(len(row.species))]
    species = [
        {
            "name": name,
            "chemical_symbols": list(content),
            "concentration": list(content.values()),
        }
        for name, content in zip(names, row.species, strict=True)
    ]
    attributes = {
        "lattice_vectors": row.lattice,
        "cartesian_site_positions": [cartesian(row.lattice, x) for x in row.coords],
        "species": species,
        "species_at_sites": names,
        "nsites": len(names),
        **{f"_x_{name}": value for name, value in row.labels.items()},
    }
    structural = ("lattice_vectors", "cartesian_site_positions", "species_at_sites")
    return attributes | (dict.fromkeys(structural) if row.is_empty else {})


def cartesian(lattice, coords):
    """Return a Cartesian position, or the coordinates where there is none."""
    try:
        with np.errstate(invalid="ignore"):
            return (np.array(coords, dtype=float) @ np.array(lattice, dtype=float)).tolist()
    except (TypeError, ValueError):
        return coords


def test_the_materials_project(service, tmp_path):
    # the service sorts and filters by what a document holds, so each is one; an id that
    # comes twice tells that pages shifted, and stops the run; the JSON of the client knows
    # neither NaN nor infinity
    left_out = {name for name in FAULTS if "NaN" in name or "infinite" in name}
    left_out |= IN_NO_STRUCTURE | {"id of another row"}
    rows = rows_with(FAULTS, left_out=left_out)
    documents = [row for _, row in rows]
    service.documents["summary"] = [
        {
            "material_id": row.material_id,
            "last_updated": "2025-11-03T10:20:30.456000",
            "deprecated": False,
            "builder_meta": {"license": "BY-C"},
            "structure": None if row.is_empty else pymatgen_structure(row),
            "band_gap": row.labels["band_gap"],
        }
        for row in documents
    ]
    service.documents["thermo"] = [
        {
            "material_id": row.material_id,
            "thermo_type": "GGA_GGA+U",
            "formation_energy_per_atom": row.labels["formation_energy_per_atom"],
        }
        for row in documents
    ]
    source = mp_source(service, implausible="reject_row")
    check_all_are_told(tmp_path / "store", source, rows, reasons_for(rows))


def test_entries_of_pymatgen(tmp_path):
    # an entry without an id is named by its file and place
    left_out = {"id missing", "id empty", "id of blanks", "more coordinates than species"}
    rows = rows_with(FAULTS, left_out=left_out)
    entries = [
        {
            "@module": "pymatgen.entries.computed_entries",
            "@class": "ComputedStructureEntry",
            "entry_id": row.material_id,
            "structure": None if row.is_empty else pymatgen_structure(row),
            "energy": -6.8,
            "composition": {"Na": 1, "Cl": 1},
            "parameters": {"run_type": "GGA"},
            "data": row.labels,
        }
        if row.content is None
        else row.content[0]
        for _, row in rows
    ]
    path = tmp_path / "entries.json"
    path.write_text(json.dumps(entries))
    source = FilesSource(name="rows", path=str(path), targets=TARGETS, part_size=7)
    check_all_are_told(tmp_path / "store", source, rows, reasons_for(rows))
