"""The real client of the Materials Project against an imitation of its service."""

import json
import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from crystalgnn_core.config import load_config
from crystalgnn_core.errors import ConfigError, SourceError, TransientError
from crystalgnn_core.records.store import RecordStore
from crystalgnn_core.sources.base import SourcePart
from crystalgnn_core.sources.cif import crystals_from_cifs
from crystalgnn_core.sources.ingest import ingest_source, plan_ingest, read_part
from crystalgnn_core.sources.materials_project import MaterialsProjectSource
from crystalgnn_core.sources.mp_client import ServicePatience
from crystalgnn_core.sources.mp_session import open_client
from crystalgnn_core.sources.synthetic import SyntheticSource
from tests.core.sources.mp_service import (
    KEY,
    cut,
    fault,
    material,
    nothing,
    running_service,
    species_of,
)

SHARED = Path(__file__).parents[3].parent / "shared" / "data"
QUICK = ServicePatience(
    connect_seconds=5, read_seconds=5, n_tries=3, first_pause=0.01, longest_pause=0.02
)
N_MATERIALS = 12
WORLD = SyntheticSource(n_structures=40)
RAWS = list(WORLD.read(SourcePart(index=0, digest="", payload={"start": 0, "stop": 40})))


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("MP_API_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def service():
    with running_service() as running:
        fill(running, N_MATERIALS)
        yield running


def fill(service, n_materials, **changes):
    pairs = [
        material(number + 1, RAWS[number % 40].crystal, **changes)
        for number in range(n_materials)
    ]
    service.documents = {
        "summary": [summary for summary, _ in pairs],
        "thermo": [thermo for _, both in pairs for thermo in both],
    }


def add(service, number, **changes):
    summary, thermo = material(number, RAWS[number % 40].crystal, **changes)
    service.documents["summary"].append(summary)
    service.documents["thermo"] += thermo
    return summary


def source(service, **settings):
    given = {"endpoint": service.endpoint, "part_size": 5, "patience": QUICK}
    return MaterialsProjectSource(**(given | settings))


def stored(store, columns=None):
    table = RecordStore(store).read(["materials-project"], columns)
    return {row["material_id"]: row for row in table.to_pylist()}


def rejects(store):
    found = RecordStore(store).rejects().to_pylist()
    return {row["material_id"]: (row["reason"], row["message"]) for row in found}


def test_all_rows_arrive_with_labels_schemes_and_origin(service, tmp_path):
    report = ingest_source(tmp_path, source(service))
    assert (report.n_in, report.n_kept, report.source_version) == (12, 12, "2026.01")
    assert set(report.n_labels.values()) == {12}
    row = stored(tmp_path)["mp-7"]
    labels = {name: row[name] for name in report.n_labels}
    assert labels == {
        "formation_energy_per_atom": -1.007,
        "band_gap": 0.507,
        "fermi_energy": 1.25,
        "is_metal": 0.0,
        "bulk_modulus": 100.0,
        "shear_modulus": 50.0,
        "poisson_ratio": 0.25,
    }
    assert {name: row[f"{name}_scheme"] for name in labels} == {
        "formation_energy_per_atom": "MP GGA/GGA+U MP2020",
        **dict.fromkeys(("band_gap", "fermi_energy", "is_metal"), "MP GGA/GGA+U"),
        **dict.fromkeys(
            ("bulk_modulus", "shear_modulus", "poisson_ratio"), "MP GGA elastic tensor VRH"
        ),
    }
    assert row["run_type"] == "GGA+U"
    assert row["license"] == "CC BY 4.0"
    assert row["source_version"] == "2025.11"
    assert row["last_updated"] == datetime(2025, 11, 3, 10, 20, 30, 456000, tzinfo=UTC)
    expected = RAWS[6].crystal
    assert row["atomic_numbers"] == expected.atomic_numbers.tolist()
    assert row["frac_coords"] == expected.frac_coords.ravel().tolist()
    assert row["lattice"] == expected.lattice.ravel().tolist()


def test_the_first_ingest_reads_pages_in_order_and_every_search_has_a_filter(
    service, tmp_path
):
    service.documents["summary"].reverse()
    plan = plan_ingest(tmp_path, source(service))
    assert len(plan.parts) == 3
    ingest_source(tmp_path, source(service))
    assert service.structures_sent == sorted(f"mp-{n}" for n in range(1, 13))
    pages = [r.query for r in service.requests if "structure" in r.query["_fields"]]
    assert [(page["_page"], page["_per_page"]) for page in pages] == [
        ("1", "5"),
        ("2", "5"),
        ("3", "5"),
    ]
    for request in service.requests:  # without a filter the client reads a public table
        assert {"deprecated", "thermo_types"} & set(request.query)
        assert "_all_fields" not in request.query
    routes = {path.partition("?")[0] for path, _ in service.site.asked}
    assert routes == {"/heartbeat", "/materials/summary/", "/materials/thermo/"}


def test_nothing_but_the_endpoint_is_connected_to(service, tmp_path, monkeypatch):
    import socket

    real, reached = socket.socket.connect, set()

    def connect(self, address):
        reached.add(address)
        return real(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect)
    ingest_source(tmp_path, source(service))
    port = int(service.endpoint.rstrip("/").rpartition(":")[2])
    assert reached == {("127.0.0.1", port)}


def test_large_parts_are_read_in_several_pages(service, tmp_path):
    fill(service, 1205)
    plan = plan_ingest(tmp_path, source(service, part_size=1100))
    assert [part.payload["pages"] for part in plan.parts] == [[1, 2], [3]]
    report = ingest_source(tmp_path, source(service, part_size=1100))
    assert (report.n_in, report.n_kept) == (1205, 1205)
    assert len(set(service.structures_sent)) == len(service.structures_sent) == 1205


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
    assert row["formation_energy_per_atom_scheme"] == scheme
    assert row["run_type"] == run_type
    asked = {request.route for request in service.requests}
    assert asked == ({"summary"} if run_type is None else {"summary", "thermo"})


def test_the_mixed_energy_never_stands_in_for_a_missing_one(service, tmp_path):
    service.documents["thermo"] = [
        doc for doc in service.documents["thermo"] if doc["material_id"] != "mp-3"
    ]
    report = ingest_source(tmp_path, source(service))
    assert report.n_labels["formation_energy_per_atom"] == 11
    assert stored(tmp_path)["mp-3"]["formation_energy_per_atom"] is None


def test_two_energies_of_one_hull_are_none(service, tmp_path):
    twice = {**service.find("mp-4", "thermo"), "formation_energy_per_atom": -2.0}
    service.documents["thermo"].append(twice)
    assert ingest_source(tmp_path, source(service)).rejected == {"invalid_label": 1}
    assert "several formation energies of GGA_GGA+U" in rejects(tmp_path)["mp-4"][1]


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
    assert (report.n_kept, row["license"]) == (12, "CC BY-NC 4.0")
    assert row["band_gap_scheme"] == "r2SCAN"


BAD = {
    "no structure": ({"structure": None}, "unreadable_structure"),
    "a text": ({"structure": "Si2"}, "unreadable_structure"),
    "no lattice": ({"structure": {"sites": []}}, "unreadable_structure"),
    "no sites": ({"structure": {"sites": [], "lattice": {}}}, "unreadable_structure"),
    "text as a gap": ({"band_gap": "wide"}, "invalid_label"),
    "list of moduli": ({"bulk_modulus": [1.0]}, "invalid_label"),
    "negative gap": ({"band_gap": -1.0}, "implausible_label"),
    "no id": ({"material_id": None}, "missing_id"),
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


def test_moduli_may_be_numbers_and_failed_tensors_give_no_label(service, tmp_path, caplog):
    service.find("mp-1")["bulk_modulus"] = 77.0
    service.find("mp-2")["homogeneous_poisson"] = 0.9
    service.find("mp-3")["shear_modulus"] = {"voigt": 1.0, "reuss": -9.0, "vrh": -4.0}
    service.find("mp-4")["bulk_modulus"] = {"voigt": 1.0, "reuss": 1.0}
    with caplog.at_level(logging.INFO):
        report = ingest_source(tmp_path, source(service, part_size=20))
    assert report.n_kept == 12
    rows = stored(tmp_path)
    assert rows["mp-1"]["bulk_modulus"] == 77.0
    for name in ("mp-2", "mp-3"):
        assert rows[name]["bulk_modulus"] is rows[name]["poisson_ratio"] is None
        assert rows[name]["band_gap"] is not None
    assert (rows["mp-4"]["bulk_modulus"], rows["mp-4"]["shear_modulus"]) == (None, 50.0)
    assert "2 elastic tensors without meaning left out" in caplog.text


def test_a_new_field_does_no_harm_and_a_missing_one_is_told(service, tmp_path, caplog):
    for document in service.documents["summary"]:
        document["novelty"] = {"nested": [1, 2]}
        del document["efermi"]
    report = ingest_source(tmp_path, source(service))
    assert (report.n_kept, report.n_labels["fermi_energy"]) == (12, 0)
    assert "none of 5 documents has efermi" in caplog.text


def test_deprecated_materials_and_those_outside_the_filter_stay_away(service, tmp_path):
    service.find("mp-1")["deprecated"] = True
    service.find("mp-2")["theoretical"] = True
    for number in (3, 4):
        service.find(f"mp-{number}")["has_props"] = ["elasticity", "dos"]
    report = ingest_source(tmp_path / "all", source(service))
    assert report.n_in == 11
    filters = {"is_theoretical": False, "has_props": ["elasticity"], "n_sites": [1, 200]}
    elements = sorted(elements_of(service, "mp-3"))
    filters |= {"elements": elements, "n_elements": [len(elements), len(elements)]}
    filters |= {"chemsys": ["-".join(elements)], "exclude_elements": ["Og"]}
    wanted = source(service, filter=filters)
    fitting = [
        name for name in ("mp-3", "mp-4") if elements_of(service, name) == set(elements)
    ]
    ingest_source(tmp_path / "some", wanted)
    assert sorted(stored(tmp_path / "some")) == fitting
    with pytest.raises(SourceError, match="no material of the Materials Project fits"):
        ingest_source(tmp_path, source(service, filter={"formula": ["Og2"]}))


def elements_of(service, name):
    return {species["element"] for species in species_of(service.find(name))}


def test_an_equal_release_costs_one_request(service, tmp_path):
    ingest_source(tmp_path, source(service))
    service.forget()
    report = ingest_source(tmp_path, source(service))
    assert not report.was_read
    assert [path for path, _ in service.site.asked] == ["/heartbeat"]
    assert not ingest_source(tmp_path, source(service, part_size=3)).was_read


def test_a_new_release_is_listed_and_only_what_changed_is_fetched(service, tmp_path):
    service.find("mp-9")["builder_meta"] = {"license": "BY-NC"}
    ingest_source(tmp_path, source(service))
    service.forget()
    service.release = "2026.02"
    service.find("mp-2")["last_updated"] = "2026-02-01T00:00:00"
    service.find("mp-2")["band_gap"] = 3.0
    service.find("mp-4", "thermo")["formation_energy_per_atom"] = -0.25  # time as before
    service.find("mp-5")["efermi"] = 2.5  # time as before
    service.documents["summary"].remove(service.find("mp-7"))
    add(service, 30)
    report = ingest_source(tmp_path, source(service))
    assert sorted(service.structures_sent) == ["mp-2", "mp-30", "mp-4", "mp-5"]
    counts = report.counts
    assert (counts.n_new, counts.n_changed, counts.n_removed) == (1, 3, 1)
    assert (report.n_in, report.n_kept, report.rejected) == (
        12,
        11,
        {"license_excluded": 1},
    )
    rows = stored(tmp_path)
    assert (rows["mp-2"]["band_gap"], rows["mp-5"]["fermi_energy"]) == (3.0, 2.5)
    assert rows["mp-4"]["formation_energy_per_atom"] == -0.25
    assert "mp-7" not in rows
    whole = ingest_source(tmp_path / "anew", source(service))
    assert whole.n_kept == report.n_kept
    digests = [stored(store, ["content_digest"]) for store in (tmp_path, tmp_path / "anew")]
    assert digests[0] == digests[1]
    service.forget()
    assert not ingest_source(tmp_path, source(service)).was_read
    assert service.requests == []


def test_a_release_that_changes_nothing_keeps_all_rows(service, tmp_path):
    add(service, 40, material_id=None)
    first = ingest_source(tmp_path, source(service))
    assert first.rejected == {"missing_id": 1}
    version = RecordStore(tmp_path).version()
    for release in ("2026.02", "2026.03"):
        service.release = release
        service.forget()
        report = ingest_source(tmp_path, source(service))
        assert (report.n_in, report.n_kept) == (13, 12)
        assert report.rejected == {"missing_id": 1}
        assert service.structures_sent == []
    assert RecordStore(tmp_path).version() == version


def test_rows_without_a_time_are_fetched_at_every_release(service, tmp_path):
    service.find("mp-3")["last_updated"] = None
    service.find("mp-4")["last_updated"] = {"$date": "2025-01-01T00:00:00Z"}
    ingest_source(tmp_path, source(service))
    assert stored(tmp_path)["mp-4"]["last_updated"] == datetime(2025, 1, 1, tzinfo=UTC)
    service.release = "2026.02"
    service.forget()
    ingest_source(tmp_path, source(service))
    assert service.structures_sent == ["mp-3"]


@pytest.mark.parametrize("lost", ["sources", "records"])
def test_without_notes_or_records_all_is_read_again(service, tmp_path, lost):
    import shutil

    ingest_source(tmp_path, source(service))
    shutil.rmtree(tmp_path / lost)
    service.release = "2026.02"
    service.forget()
    assert ingest_source(tmp_path, source(service)).n_kept == 12
    assert len(service.structures_sent) == 12


def test_other_settings_read_all_again(service, tmp_path):
    ingest_source(tmp_path, source(service))
    service.forget()
    ingest_source(tmp_path, source(service, thermo_type="R2SCAN"))
    assert len(service.structures_sent) == 12
    assert stored(tmp_path)["mp-3"]["formation_energy_per_atom_scheme"] == "r2SCAN"
    notes = sorted(path.name for path in (tmp_path / "sources/materials-project").iterdir())
    assert [name.partition("-")[0] for name in notes] == ["listing"]


def test_an_interrupted_listing_goes_on(service, tmp_path):
    fill(service, 1500)
    n_seen = 0

    def die_on_page_two(route, query):
        nonlocal n_seen
        n_seen += query.get("_page") == "2"
        if query.get("_page") == "2" and n_seen == 1:
            service.faults["summary"].append(fault(401))

    service.before = die_on_page_two
    with pytest.raises(SourceError, match="refuses the key"):
        plan_ingest(tmp_path, source(service))
    service.forget()
    assert plan_ingest(tmp_path, source(service)).reading.n_expected == 1500
    pages = [r.query["_page"] for r in service.requests if "_page" in r.query]
    assert pages == ["2"]


def test_a_restart_fetches_only_the_rest(service, tmp_path):
    whole = source(service)
    plan = plan_ingest(tmp_path, whole)
    for part in plan.parts[:2]:
        read_part(whole, part, Path(plan.folder))
    service.forget()
    assert ingest_source(tmp_path, whole).n_kept == 12
    assert len(service.structures_sent) == 2
    # and while a new release is fetched
    service.release = "2026.02"
    for document in service.documents["summary"]:
        document["last_updated"] = "2026-02-01T00:00:00"
    plan = plan_ingest(tmp_path, whole)
    read_part(whole, plan.parts[1], Path(plan.folder))
    service.forget()
    assert ingest_source(tmp_path, whole).n_kept == 12
    assert len(service.structures_sent) == 7
    assert {request.route for request in service.requests} == {"summary", "thermo"}
    assert all("structure" in r.fields for r in service.requests if r.route == "summary")


CHILD = """
import sys
from pathlib import Path
from crystalgnn_core.sources.ingest import ingest_source
from crystalgnn_core.sources.materials_project import MaterialsProjectSource
source = MaterialsProjectSource(endpoint=sys.argv[1], part_size=5)
print(ingest_source(Path(sys.argv[2]), source).n_kept)
"""


@pytest.mark.slow
def test_killed_half_way_and_restarted_only_the_rest_is_fetched(service, tmp_path):
    command = [sys.executable, "-c", CHILD, service.endpoint, str(tmp_path)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def kill(route, query):
        if "structure" in query["_fields"] and query["_page"] == "3":
            os.kill(child.pid, signal.SIGKILL)

    service.before = kill
    assert child.wait(timeout=120) == -signal.SIGKILL
    child.stdout.close()
    service.before = nothing
    service.forget()
    rest = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert rest.stdout.strip() == "12"
    assert len(service.structures_sent) == 2
    assert KEY not in rest.stderr
    ingest_source(tmp_path / "undisturbed", source(service))
    digests = [
        stored(store, ["content_digest"]) for store in (tmp_path, tmp_path / "undisturbed")
    ]
    assert digests[0] == digests[1]


@pytest.mark.parametrize("when", ["listing", "planned", "fetching"])
def test_a_release_that_changes_meanwhile_is_noticed(service, tmp_path, when):
    wanted = source(service)

    def change(route, query):
        if ("structure" in query["_fields"]) == (when == "fetching"):
            service.release = "2026.02"

    if when == "listing":
        service.before = change
        with pytest.raises(TransientError, match=r"2026\.01.*changed while"):
            plan_ingest(tmp_path, wanted)
    else:
        plan = plan_ingest(tmp_path, wanted)
        service.release = "2026.01" if when == "fetching" else "2026.02"
        service.before = change if when == "fetching" else service.before
        with pytest.raises(TransientError, match="start the run again"):
            read_part(wanted, plan.parts[0], Path(plan.folder))
    service.before = nothing
    report = ingest_source(tmp_path, wanted)
    assert (report.n_kept, report.source_version) == (12, "2026.02")


def test_pages_that_shift_within_a_release_are_noticed(service, tmp_path):
    plan = plan_ingest(tmp_path, source(service))
    service.documents["summary"].remove(service.find("mp-1"))
    with pytest.raises(TransientError, match="other materials than it has listed"):
        read_part(source(service), plan.parts[0], Path(plan.folder))


@pytest.mark.parametrize(
    "faults",
    [
        [fault(429, Retry_After=0), fault(429, Retry_After=0)],
        [fault(502), fault(504)],
        [fault(500), fault(503)],
        [fault(500, b"<html>oops</html>", Retry_After="0")],
        [cut, cut],
        [fault(200, b"<html>be right back</html>", Content_Type="text/html")],
        [fault(200, b'{"data": null}')],
        [fault(408), cut],
    ],
    ids=["429", "gateway", "500", "wait", "cut", "html", "null", "mixed"],
)
@pytest.mark.parametrize("route", ["summary", "thermo"])
def test_what_passes_is_tried_again(service, tmp_path, route, faults):
    plan = plan_ingest(tmp_path, source(service))
    service.faults[route] += faults
    state = read_part(source(service), plan.parts[0], Path(plan.folder))
    assert state.n_in == state.records.n_rows == 5
    assert service.faults[route] == []


def test_the_service_says_how_long_to_wait(service, tmp_path, monkeypatch):
    plan = plan_ingest(tmp_path, source(service))
    pauses = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    service.faults["summary"].append(fault(429, Retry_After=7))
    read_part(source(service), plan.parts[0], Path(plan.folder))
    assert 7 in pauses


def test_the_heartbeat_is_tried_again_too(service, tmp_path):
    service.faults["heartbeat"] += [fault(503), cut]
    assert plan_ingest(tmp_path, source(service)).reading.n_expected == 12


@pytest.mark.parametrize("bad", [fault(500), fault(429), cut])
def test_tries_are_bounded(service, tmp_path, bad):
    plan = plan_ingest(tmp_path, source(service))
    service.faults["summary"] += [bad] * 100
    with pytest.raises(TransientError, match=r"3 tries.*try again later"):
        read_part(source(service), plan.parts[0], Path(plan.folder))
    assert 100 - len(service.faults["summary"]) in {3, 12}  # mp-api asks 4 times for 429


@pytest.fixture
def gate():
    """What answers wait for, opened at the end."""
    opened = threading.Event()
    yield opened
    opened.set()


def test_slow_answers_are_not_waited_for(service, gate):
    service.before = lambda *_: gate.wait(60)
    slow = QUICK.model_copy(update={"read_seconds": 0.1, "n_tries": 1})
    with (
        open_client(service.endpoint, slow) as client,
        pytest.raises(TransientError, match=r"summary: .*timed out.*1 tries"),
    ):
        client.count({"deprecated": False})


def test_a_heartbeat_that_the_client_waits_for_is_given_up(service, gate):
    service.faults["heartbeat"].append(lambda _: gate.wait(60))
    slow = QUICK.model_copy(
        update={"connect_seconds": 0.1, "read_seconds": 0.1, "n_tries": 1}
    )
    with (
        pytest.raises(TransientError, match="hears no heartbeat"),
        open_client(service.endpoint, slow),
    ):
        pass


@pytest.mark.parametrize("code", [401, 403])
def test_a_refused_key_is_told_once(service, tmp_path, code):
    service.faults["summary"] += [fault(code, b'{"detail": "no"}')] * 9
    with pytest.raises(SourceError, match=f"refuses the key.*{code}.*MP_API_KEY"):
        plan_ingest(tmp_path, source(service))
    assert len(service.faults["summary"]) == 8


@pytest.mark.parametrize(
    ("given", "words"),
    [(None, "no key of the"), ("", "no key of the"), ("abc", "3 characters, expected 32")],
)
def test_a_missing_key_is_told_before_anything_is_asked(
    service, tmp_path, monkeypatch, given, words
):
    if given is None:
        monkeypatch.delenv("MP_API_KEY")
    else:
        monkeypatch.setenv("MP_API_KEY", given)
    with pytest.raises(SourceError, match=words):
        plan_ingest(tmp_path, source(service))
    assert service.requests == []


def test_a_key_of_another_user_is_refused_and_not_repeated(service, tmp_path, monkeypatch):
    other = "secret-secret-secret-secret-0123"
    monkeypatch.setenv("MP_API_KEY", other)
    with pytest.raises(SourceError, match="refuses the key") as caught:
        plan_ingest(tmp_path, source(service))
    assert other not in everything(caught.value)


def everything(error):
    """Return all texts of an error, its causes and their arguments."""
    texts = []
    while error is not None:
        texts += [repr(error), str(error), repr(vars(error)), repr(error.args)]
        error = error.__cause__ or error.__context__
    return " ".join(texts)


@pytest.mark.parametrize(
    "code", [400, 404, 418, 500, 502], ids=lambda code: f"answer-{code}"
)
def test_a_key_that_the_service_echoes_is_kept_out(service, tmp_path, caplog, code):
    body = json.dumps({"detail": f"key {KEY} cannot do this"}).encode()
    service.faults["summary"] += [fault(code, body)] * 20
    with (
        caplog.at_level(logging.DEBUG),
        pytest.raises((SourceError, TransientError)) as caught,
    ):
        plan_ingest(tmp_path, source(service))
    assert KEY not in everything(caught.value)
    assert KEY not in caplog.text
    assert KEY not in repr(pickle.loads(pickle.dumps(caught.value)))


def test_the_key_is_in_no_file_setting_or_reference(service, tmp_path, caplog):
    wanted = source(service)
    with caplog.at_level(logging.DEBUG):
        plan = plan_ingest(tmp_path, wanted)
        ingest_source(tmp_path, wanted)
    for text in (repr(wanted), wanted.model_dump_json(), repr(plan), caplog.text):
        assert KEY not in text
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 3
    assert not [path for path in files if KEY.encode() in path.read_bytes()]


def test_a_redirection_does_not_carry_the_key_away(service, tmp_path):
    with running_service() as elsewhere:
        target = f"{elsewhere.endpoint}materials/summary/"
        service.faults["summary"].append(fault(307, Location=target))
        with pytest.raises(SourceError, match="names another address; set endpoint"):
            plan_ingest(tmp_path, source(service))
        assert elsewhere.site.asked == []


def test_no_service_at_the_address_is_told(service, tmp_path):
    lost = source(service, endpoint=f"{service.endpoint}nowhere")
    with pytest.raises(SourceError, match=r"no Materials Project service.*see endpoint"):
        plan_ingest(tmp_path, lost)
    service.site.serve("/mirror/heartbeat", b'{"status": "OK"}', kind="application/json")
    with pytest.raises(SourceError, match="names no db_version"):
        plan_ingest(tmp_path, source(service, endpoint=f"{service.endpoint}mirror/"))


def test_long_lists_of_ids_are_split_by_the_client(service, tmp_path):
    fill(service, 620)
    ingest_source(tmp_path, source(service, part_size=1000))
    for document in service.documents["summary"]:
        document["last_updated"] = "2026-02-01T00:00:00"
    service.release = "2026.02"
    service.max_address = 3000
    service.forget()
    report = ingest_source(tmp_path, source(service, part_size=1000))
    assert (report.n_in, report.n_kept) == (620, 620)
    assert sorted(service.structures_sent) == sorted(stored(tmp_path))


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("endpoint=http://elsewhere.example/", "https"),
        ("endpoint=https://me:pass@elsewhere.example/", "MP_API_KEY"),
        ("thermo_type=mixed", "thermo_type"),
        ("filter.energy_above_hull=[0,1]", "unknown key"),
        ("api_key=abc", "unknown key"),
    ],
)
def test_settings_that_cannot_work_are_refused(override, words):
    entry = {"sources": [{"kind": "materials-project"}]}
    with pytest.raises(ConfigError, match=words):
        load_config(None, [f"sources.0.{override}"], options=entry)


def test_settings_are_read_without_the_client():
    code = (
        "import sys; from crystalgnn_core.config import load_config\n"
        "load_config(None, options={'sources': [{'kind': 'materials-project'}]})\n"
        "assert not {'mp_api', 'emmet', 'requests', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.fixture
def summary_documents():
    path = SHARED / "mp_summary_docs.json"
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
    path = SHARED / "mp20.parquet"
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
        row = rows[f"mp-{number}"]
        assert row["formation_energy_per_atom"] == given["formation_energy_per_atom"]
        assert row["band_gap"] == given["band_gap"]
        assert row["atomic_numbers"] == crystal.atomic_numbers.tolist()
        assert np.array_equal(row["frac_coords"], crystal.frac_coords.ravel())
