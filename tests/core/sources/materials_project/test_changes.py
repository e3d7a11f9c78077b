"""Any sequence of releases leaves the rows that reading the last one whole would leave."""

import itertools
import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crystalgnn_core.records.table.store import RecordStore
from crystalgnn_core.sources.ingest.run import ingest_source, plan_ingest, read_part
from tests.core.sources.materials_project.world import add, fill, source

N_MATERIALS = 8
BATCH = "a batch"
NUMBERS = st.integers(1, N_MATERIALS + 2)


def touch(service, document):
    """Change the time, as the service does when a structure or calculation changed."""
    document["last_updated"] = f"2026-02-01T00:00:00.{next(TIMES):06d}"


TIMES = itertools.count(1)


def label(service, document):
    document["band_gap"] = next(TIMES) / 1000


def clear(service, document):
    document["band_gap"] = None


def spoil(service, document):
    document["structure"] = None
    touch(service, document)


def forbid(service, document):
    document["builder_meta"] = {"license": "BY-NC"}


def allow(service, document):
    document["builder_meta"] = {"license": "BY-C", "batch_id": BATCH}


def restrict(service, document):
    service.restricted = [] if service.restricted else [BATCH]


def move_hull(service, document):
    name = document["material_id"]
    for thermo in service.documents["thermo"]:
        if thermo["material_id"] == name:
            thermo["formation_energy_per_atom"] = -next(TIMES) / 1000


def lose_hull(service, document):
    name = document["material_id"]
    service.documents["thermo"] = [
        thermo for thermo in service.documents["thermo"] if thermo["material_id"] != name
    ]


def forget_time(service, document):
    document["last_updated"] = None


def lose_name(service, document):
    lose_hull(service, document)
    document["material_id"] = None


def remove(service, document):
    if len(service.documents["summary"]) > 1:
        service.documents["summary"].remove(document)
        lose_hull(service, document)


CHANGES = [touch, label, clear, spoil, forbid, allow, restrict, move_hull]
CHANGES += [lose_hull, forget_time, lose_name, remove]


def apply(service, change, number):
    """Change a material, or add it if the service does not hold it."""
    found = [d for d in service.documents["summary"] if d["material_id"] == f"mp-{number}"]
    if found:
        change(service, found[0])
    else:
        add(service, number)


RELEASES = st.lists(
    st.tuples(
        st.lists(st.tuples(st.sampled_from(CHANGES), NUMBERS), max_size=5),
        st.fixed_dictionaries(
            {"allow_noncommercial": st.booleans(), "part_size": st.sampled_from([3, 4])},
            optional={"thermo_type": st.sampled_from(["R2SCAN", "GGA_GGA+U_R2SCAN"])},
        ),
        st.sampled_from(["whole", "whole", "interrupted"]),
    ),
    min_size=1,
    max_size=4,
)


def tables(store):
    """Return what the tables say of each row, by id."""
    columns = ["material_id", "content_digest", "license", "run_type"]
    kept = RecordStore(store).read(["materials-project"], columns).to_pylist()
    rejects = RecordStore(store).rejects().to_pylist()
    return sorted(map(repr, kept)), sorted(map(repr, rejects))


@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(releases=RELEASES)
def test_changes_leave_what_a_whole_reading_leaves(service, tmp_path, releases):
    fill(service, N_MATERIALS)
    service.restricted = []
    service.release = f"2026.{next(TIMES)}"
    folder = Path(tempfile.mkdtemp(dir=tmp_path))
    ingest_source(folder / "store", source(service))
    for changes, given_settings, kind in releases:
        service.release = f"2026.{next(TIMES)}"
        for change, number in changes:
            apply(service, change, number)
        wanted = source(service, **given_settings)
        if kind == "interrupted":
            plan = plan_ingest(folder / "store", wanted)
            for part in plan.parts[:1]:
                read_part(wanted, part, Path(plan.folder))
            continue
        report = ingest_source(folder / "store", wanted)
        whole = ingest_source(folder / "whole", source(service, **given_settings))
        assert (report.n_in, report.n_kept) == (whole.n_in, whole.n_kept)
        assert tables(folder / "store") == tables(folder / "whole")
        shutil.rmtree(folder / "whole")
    shutil.rmtree(folder)
