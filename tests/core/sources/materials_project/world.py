"""A small Materials Project for tests, and the source that reads it."""

from functools import cache

from crystalgnn_core.records.table.store import RecordStore
from crystalgnn_core.sources.base import SourcePart
from crystalgnn_core.sources.materials_project.client import ServicePatience
from crystalgnn_core.sources.materials_project.source import MaterialsProjectSource
from crystalgnn_core.sources.synthetic.source import SyntheticSource
from tests.core.sources.materials_project.service import material

QUICK = ServicePatience(
    connect_seconds=5, read_seconds=5, n_tries=3, first_pause=0.01, longest_pause=0.02
)
N_MATERIALS = 12
N_CRYSTALS = 40


@cache
def crystals():
    world = SyntheticSource(n_structures=N_CRYSTALS)
    payload = {"start": 0, "stop": N_CRYSTALS}
    part = SourcePart(index=0, digest="", payload=payload)
    return [raw.crystal for raw in world.read(part)]


def crystal_of(number):
    """Return the crystal of `mp-<number>`; after some, they begin anew."""
    return crystals()[number % N_CRYSTALS]


def fill(service, n_materials, **changes):
    pairs = [
        material(number, crystal_of(number), **changes)
        for number in range(1, n_materials + 1)
    ]
    service.documents = {
        "summary": [summary for summary, _ in pairs],
        "thermo": [thermo for _, both in pairs for thermo in both],
    }


def add(service, number, **changes):
    summary, thermo = material(number, crystal_of(number), **changes)
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
