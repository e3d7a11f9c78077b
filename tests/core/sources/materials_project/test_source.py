"""Releases, pages and changes, with the real client and an imitation of the service."""

import os
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from crystalgnn_core.config import load_config
from crystalgnn_core.errors import ConfigError, SourceError, TransientError
from crystalgnn_core.records.gate.log import GateLog
from crystalgnn_core.records.table.store import RecordStore
from crystalgnn_core.sources.ingest.run import ingest_source, plan_ingest, read_part
from tests.core.sources.materials_project.service import KEY, fault, nothing, species_of
from tests.core.sources.materials_project.world import add, fill, source, stored


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


def test_large_parts_are_read_in_several_pages(service, tmp_path):
    fill(service, 1205)
    plan = plan_ingest(tmp_path, source(service, part_size=1100))
    assert [part.payload["pages"] for part in plan.parts] == [[1, 2], [3]]
    report = ingest_source(tmp_path, source(service, part_size=1100))
    assert (report.n_in, report.n_kept) == (1205, 1205)
    assert len(set(service.structures_sent)) == len(service.structures_sent) == 1205


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
    whole = ingest_source(tmp_path / "again", source(service))
    assert whole.n_kept == report.n_kept
    digests = [
        stored(store, ["content_digest"]) for store in (tmp_path, tmp_path / "again")
    ]
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


def test_a_new_date_alone_is_fetched_once(service, tmp_path):
    ingest_source(tmp_path, source(service))
    service.find("mp-3")["last_updated"] = "2026-02-01T00:00:00"
    for release, fetched in (("2026.02", ["mp-3"]), ("2026.03", [])):
        service.release = release
        service.forget()
        ingest_source(tmp_path, source(service))
        assert service.structures_sent == fetched


def test_a_batch_that_is_restricted_later_leaves(service, tmp_path):
    service.find("mp-3")["builder_meta"]["batch_id"] = "shared"
    ingest_source(tmp_path, source(service))
    for release, restricted, kept in (("2026.02", ["shared"], 11), ("2026.03", [], 12)):
        service.release, service.restricted = release, restricted
        service.forget()
        assert ingest_source(tmp_path, source(service)).n_kept == kept
        assert service.structures_sent == ["mp-3"]


@pytest.mark.parametrize("is_accepted", [False, True])
def test_what_a_fault_of_the_service_took_away_comes_back(service, tmp_path, is_accepted):
    fill(service, 40)
    ingest_source(tmp_path, source(service))
    whole, service.release = service.documents["summary"], "2026.02"
    service.documents["summary"] = whole[:20]
    report = ingest_source(tmp_path, source(service))
    assert report.gate is not None
    assert (report.n_kept, report.gate.verdict) == (20, "suspicious")
    assert not ingest_source(tmp_path, source(service)).was_read
    if is_accepted:
        GateLog(tmp_path, "materials-project").accept("it has shrunk")
    service.documents["summary"] = whole  # corrected without a new release
    service.forget()
    if is_accepted:
        assert not ingest_source(tmp_path, source(service)).was_read
        assert service.requests == []
    else:
        plan = plan_ingest(tmp_path, source(service))
        read_part(source(service), plan.parts[0], Path(plan.folder))  # and killed
        report = ingest_source(tmp_path, source(service))
        assert report.gate is not None
        assert (report.n_kept, report.gate.verdict) == (40, "unchanged")
        assert len(service.structures_sent) == 40


def test_a_listing_that_the_documents_contradict_is_asked_for_again(service, tmp_path):
    plan = plan_ingest(tmp_path, source(service))
    service.documents["summary"].remove(service.find("mp-1"))
    add(service, 30)  # so that the number of rows is as before
    with pytest.raises(TransientError, match="other materials than it has listed"):
        read_part(source(service), plan.parts[0], Path(plan.folder))
    assert ingest_source(tmp_path, source(service)).n_kept == 12


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
    folder = tmp_path / "sources" / "materials-project"
    notes = sorted(path.name for path in folder.glob("[!.]*"))
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


def test_a_listing_is_used_for_a_day_and_while_the_number_of_rows_is_right(
    service, tmp_path
):
    wanted = source(service)
    n_listed = []
    for change in ("none", "old", "none", "added"):
        if change == "old":
            for path in (tmp_path / "sources").rglob("listing-*"):
                os.utime(path, (0, 0))
        if change == "added":
            add(service, 33)
        service.forget()
        plan_ingest(tmp_path, wanted)
        n_listed.append(sum("_page" in r.query for r in service.requests))
    assert n_listed == [1, 1, 0, 1]


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
    listed = [r for r in service.requests if "efermi" in r.fields - {"structure"}]
    assert all("structure" in request.fields for request in listed)


CHILD = """
import sys
from pathlib import Path
from crystalgnn_core.sources.ingest.run import ingest_source
from crystalgnn_core.sources.materials_project.source import MaterialsProjectSource
source = MaterialsProjectSource(endpoint=sys.argv[1], part_size=5)
print(ingest_source(Path(sys.argv[2]), source).n_kept)
"""


@pytest.mark.slow
def test_killed_half_way_and_restarted_only_the_rest_is_fetched(service, tmp_path):
    command = [sys.executable, "-c", CHILD, service.endpoint, str(tmp_path)]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)

    def kill(route, query):
        if "structure" in query["_fields"] and query["_page"] == "3":
            os.kill(child.pid, signal.SIGKILL)

    service.before = kill
    assert child.wait(timeout=120) == -signal.SIGKILL
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
