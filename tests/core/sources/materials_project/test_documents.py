"""What documents of the Materials Project become, asked for by the real client."""

import json
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from crystalgnn_core.records.crystal import Crystal
from crystalgnn_core.records.table.store import RecordStore
from crystalgnn_core.sources.formats.cif.reader import crystals_from_cifs
from crystalgnn_core.sources.ingest.run import ingest_source
from tests.core.sources.materials_project.service import material
from tests.core.sources.materials_project.world import (
    N_MATERIALS,
    add,
    crystal_of,
    rejects,
    source,
    stored,
)
from tests.paths import DATA


def test_all_rows_arrive_with_labels_schemes_and_origin(service, tmp_path):
    report = ingest_source(tmp_path, source(service))
    assert (report.n_in, report.n_kept, report.source_version) == (12, 12, "2026.01")
    assert set(report.n_labels.values()) == {12}
    row = stored(tmp_path)["mp-7"]
    labels = {name: row[name] for name in report.n_labels}
    assert labels == {
        "formation_energy_per_atom": -1.007,
        "energy_above_hull": 0.125,
        "band_gap": 0.507,
        "fermi_energy": 1.25,
        "is_metal": 0.0,
        "bulk_modulus": 100.0,
        "shear_modulus": 50.0,
        "poisson_ratio": 0.25,
    }
    assert {name: row[f"{name}_scheme"] for name in labels} == {
        **dict.fromkeys(
            ("formation_energy_per_atom", "energy_above_hull"), "MP GGA/GGA+U MP2020"
        ),
        **dict.fromkeys(("band_gap", "fermi_energy", "is_metal"), "MP GGA/GGA+U"),
        **dict.fromkeys(
            ("bulk_modulus", "shear_modulus", "poisson_ratio"), "MP GGA elastic tensor VRH"
        ),
    }
    assert row["run_type"] == "GGA+U"
    assert row["license"] == "CC-BY-4.0"
    assert row["source_version"] == "2025.11"
    assert row["last_updated"] == datetime(2025, 11, 3, 10, 20, 30, 456000, tzinfo=UTC)
    expected = crystal_of(7)
    assert row["atomic_numbers"] == expected.atomic_numbers.tolist()
    assert row["frac_coords"] == expected.frac_coords.ravel().tolist()
    assert row["lattice"] == expected.lattice.ravel().tolist()


@pytest.mark.parametrize(
    ("thermo_type", "expected"),
    [
        ("GGA_GGA+U", (-1.003, "MP GGA/GGA+U MP2020", "GGA+U", "1, 011002")),
        ("R2SCAN", (-1.503, "r2SCAN", "r2SCAN", "6, 013801")),
        ("GGA_GGA+U_R2SCAN", (-9.0, "MP GGA/GGA+U/r2SCAN mixed", None, "8, 195")),
    ],
)
def test_energies_come_from_the_hull_that_is_named(
    service, tmp_path, thermo_type, expected
):
    energy, scheme, run_type, paper = expected
    wanted = source(service, thermo_type=thermo_type)
    assert paper in wanted.citation
    assert "APL Materials 1, 011002" in wanted.citation
    ingest_source(tmp_path, wanted)
    row = stored(tmp_path)["mp-3"]
    assert row["formation_energy_per_atom"] == energy
    assert row["energy_above_hull"] == (0.9 if run_type is None else 0.125)
    for name in ("formation_energy_per_atom", "energy_above_hull"):
        assert row[f"{name}_scheme"] == scheme
    assert row["run_type"] == run_type
    asked = {request.route for request in service.requests}
    assert asked == ({"summary"} if run_type is None else {"summary", "thermo"})


def test_the_mixed_energy_never_stands_in_for_a_missing_one(service, tmp_path):
    service.documents["thermo"] = [
        doc for doc in service.documents["thermo"] if doc["material_id"] != "mp-3"
    ]
    report = ingest_source(tmp_path, source(service))
    assert report.n_labels["formation_energy_per_atom"] == 11
    row = stored(tmp_path)["mp-3"]
    assert row["formation_energy_per_atom"] is row["energy_above_hull"] is None


def test_two_energies_of_one_hull_are_none(service, tmp_path):
    twice = {**service.find("mp-4", "thermo"), "formation_energy_per_atom": -2.0}
    service.documents["thermo"].append(twice)
    assert ingest_source(tmp_path, source(service)).rejected == {"invalid_label": 1}
    assert "several energies of the hull GGA_GGA+U" in rejects(tmp_path)["mp-4"][1]


def test_rows_that_exclude_commercial_use_are_counted_and_left_out(service, tmp_path):
    nc = {"license": "BY-NC", "batch_id": "gnome_r2scan_statics"}
    service.find("mp-2")["builder_meta"] = nc
    service.find("mp-5")["builder_meta"] = {"batch_id": "gnome_r2scan_statics"}
    report = ingest_source(tmp_path / "strict", source(service))
    assert report.rejected == {"license_excluded": 2}
    assert (report.n_in, report.n_kept) == (12, 10)
    assert "set allow_noncommercial" in rejects(tmp_path / "strict")["mp-2"][1]
    report = ingest_source(tmp_path / "open", source(service, allow_noncommercial=True))
    row = stored(tmp_path / "open")["mp-2"]
    assert (report.n_kept, row["license"]) == (12, "CC-BY-NC-4.0")
    assert row["band_gap_scheme"] == "r2SCAN"
    assert stored(tmp_path / "open")["mp-5"]["license"] == "CC-BY-NC-4.0"


@pytest.mark.parametrize("stated", ["by-nc", "BY-NC-ND", "CC-BY-NC-SA-4.0"])
def test_every_licence_without_commercial_use_is_left_out(service, tmp_path, stated):
    service.find("mp-2")["builder_meta"] = {"license": stated}
    report = ingest_source(tmp_path / "strict", source(service))
    assert report.rejected == {"license_excluded": 1}
    ingest_source(tmp_path / "open", source(service, allow_noncommercial=True))
    assert stored(tmp_path / "open")["mp-2"]["license"] == stated


def test_a_licence_of_another_name_is_kept_as_stated(service, tmp_path):
    service.find("mp-2")["builder_meta"] = {"license": "BY-SA"}
    service.find("mp-3")["builder_meta"] = None
    ingest_source(tmp_path, source(service))
    found = {name: row["license"] for name, row in stored(tmp_path).items()}
    assert [found[f"mp-{n}"] for n in (1, 2, 3)] == ["CC-BY-4.0", "BY-SA", "CC-BY-4.0"]


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no structure": ({"structure": None}, "unreadable_structure"),
    "a text": ({"structure": "Si2"}, "unreadable_structure"),
    "no lattice": ({"structure": {"sites": []}}, "unreadable_structure"),
    "no sites": ({"structure": {"sites": [], "lattice": {}}}, "unreadable_structure"),
    "text as a gap": ({"band_gap": "wide"}, "invalid_label"),
    "list of moduli": ({"bulk_modulus": [1.0]}, "invalid_label"),
    "no id": ({"material_id": None}, "missing_id"),
    "id that cannot be asked for": ({"material_id": "mp-57 (old)"}, "missing_id"),
    "no id and no licence": (
        {"material_id": None, "builder_meta": {"license": "BY-NC"}},
        "missing_id",
    ),
}


def test_a_bad_document_rejects_one_row(service, tmp_path):
    for number, (changes, _) in enumerate(BAD.values(), start=50):
        add(service, number, **changes)
    report = ingest_source(tmp_path, source(service))
    found = {reason for _, reason in BAD.values()}
    assert report.rejected == {
        reason: sum(reason == r for _, r in BAD.values()) for reason in found
    }
    assert (report.n_in, report.n_kept) == (N_MATERIALS + len(BAD), N_MATERIALS)
    assert len(RecordStore(tmp_path).rejects()) == len(BAD)


@pytest.mark.parametrize(
    "changes",
    [
        {"last_updated": "9999-12-31T23:59:59-14:00"},
        {"last_updated": "0001-01-01T00:00:00+14:00"},
        {"last_updated": ["2025-01-01"]},
        {"builder_meta": {"batch_id": ["gnome_r2scan_statics"]}},
        {"builder_meta": "none"},
    ],
)
def test_odd_notes_about_a_document_cost_no_row(service, tmp_path, changes):
    service.find("mp-3").update(changes)
    for release in ("2026.01", "2026.02"):
        service.release = release
        assert ingest_source(tmp_path, source(service)).n_kept == N_MATERIALS


def test_moduli_may_be_numbers_and_nothing_of_a_failed_tensor_is_a_label(service, tmp_path):
    service.find("mp-1")["bulk_modulus"] = 77.0
    service.find("mp-2")["homogeneous_poisson"] = 0.9
    service.find("mp-3")["shear_modulus"] = {"voigt": 1.0, "reuss": -9.0, "vrh": -4.0}
    service.find("mp-4")["bulk_modulus"] = {"voigt": 1.0, "reuss": 1.0}
    service.find("mp-5")["band_gap"] = -1.0
    report = ingest_source(tmp_path / "kept", source(service))
    assert report.n_kept == 12
    assert report.n_dropped == {"band_gap": 1, "poisson_ratio": 1, "shear_modulus": 1}
    rows = stored(tmp_path / "kept")
    assert rows["mp-1"]["bulk_modulus"] == 77.0
    for name in ("mp-2", "mp-3"):
        elastic = ("bulk_modulus", "shear_modulus", "poisson_ratio")
        assert [rows[name][target] for target in elastic] == [None] * 3
        assert rows[name]["band_gap"] is not None
    assert (rows["mp-4"]["bulk_modulus"], rows["mp-4"]["shear_modulus"]) == (None, 50.0)
    strict = source(service, implausible="reject_row")
    assert ingest_source(tmp_path, strict).rejected == {"implausible_label": 3}


def test_a_new_field_does_no_harm_and_a_missing_one_is_told(service, tmp_path, caplog):
    for document in service.documents["summary"]:
        document["novelty"] = {"nested": [1, 2]}
        del document["efermi"]
    report = ingest_source(tmp_path, source(service))
    assert (report.n_kept, report.n_labels["fermi_energy"]) == (12, 0)
    assert "none of 5 documents has efermi" in caplog.text


@pytest.fixture
def summary_documents():
    path = DATA / "mp_summary_docs.json"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    return json.loads(path.read_text())


@pytest.mark.parametrize("with_ids", [True, False])
def test_real_documents_arrive_complete(service, tmp_path, summary_documents, with_ids):
    for number, document in enumerate(summary_documents):
        document["material_id"] = f"mp-{number}" if with_ids else None
    service.documents = {"summary": summary_documents, "thermo": []}
    wanted = source(service, thermo_type="GGA_GGA+U_R2SCAN", part_size=60)
    report = ingest_source(tmp_path, wanted)
    assert report.n_in == 200
    if not with_ids:
        assert report.rejected == {"missing_id": 200}
        return
    assert (report.n_kept, report.rejected) == (200, {})
    rows = stored(tmp_path)
    for number, document in enumerate(summary_documents):
        row = rows[f"mp-{number}"]
        assert row["formation_energy_per_atom"] == document["formation_energy_per_atom"]
        assert row["band_gap"] == document["band_gap"]
        assert row["fermi_energy"] == document["efermi"]
        assert row["is_metal"] == document["is_metal"]
        sites = document["structure"]["sites"]
        assert np.array_equal(row["frac_coords"], np.ravel([s["abc"] for s in sites]))
        assert (
            row["lattice"] == np.ravel(document["structure"]["lattice"]["matrix"]).tolist()
        )


def test_thousands_of_rows_in_pages_arrive_complete_and_unchanged(service, tmp_path):
    path = DATA / "mp20.parquet"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    table = pq.read_table(path).slice(0, 2500).to_pylist()
    crystals = crystals_from_cifs([row["cif"] for row in table])
    pairs = [
        material(number, crystal, band_gap=row["band_gap"])
        for number, (row, crystal) in enumerate(zip(table, crystals, strict=True))
    ]
    for (_, thermo), row in zip(pairs, table, strict=True):
        for document in thermo:
            document["formation_energy_per_atom"] = row["formation_energy_per_atom"]
    service.documents = {
        "summary": [summary for summary, _ in pairs],
        "thermo": [document for _, both in pairs for document in both],
    }
    report = ingest_source(tmp_path, source(service, part_size=900))
    assert (report.n_in, report.n_kept, report.rejected) == (2500, 2500, {})
    rows = stored(tmp_path)
    for number, (given, crystal) in enumerate(zip(table, crystals, strict=True)):
        assert isinstance(crystal, Crystal)
        row = rows[f"mp-{number}"]
        assert row["formation_energy_per_atom"] == given["formation_energy_per_atom"]
        assert row["band_gap"] == given["band_gap"]
        assert row["atomic_numbers"] == crystal.atomic_numbers.tolist()
        assert np.array_equal(row["frac_coords"], crystal.frac_coords.ravel())
