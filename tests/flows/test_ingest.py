"""The ingest flow: a task for each part, its progress, and what a failed part leaves."""

from typing import TYPE_CHECKING, cast

import pytest

from crystalgnn_core.config import PipelineConfig
from crystalgnn_core.errors import SourceError
from crystalgnn_core.parallel import close_pool
from crystalgnn_core.records.table.store import RecordStore
from crystalgnn_core.sources.textbook.source import textbook_structure
from tasks.records import list_source
from tests.core.sources.materials_project.service import KEY, fault, running_service
from tests.core.sources.materials_project.world import fill, source

if TYPE_CHECKING:
    from prefect.client.schemas.objects import Artifact as StoredArtifact

pytestmark = [
    pytest.mark.xdist_group("prefect"),
    pytest.mark.usefixtures("prefect_api"),
]


def config_of(tmp_path, **source):
    return PipelineConfig.model_validate(
        {"store": str(tmp_path / "store"), "sources": [source]}
    )


def test_the_progress_of_a_source_of_several_parts_is_shown(tmp_path):
    from prefect.artifacts import Artifact

    from flows.records import ingest

    ingest(
        config_of(tmp_path, kind="synthetic", name="In.Parts", n_structures=20, part_size=5)
    )
    artifact = cast("StoredArtifact | None", Artifact.get("ingest-in-parts"))
    assert artifact is not None
    assert float(str(artifact.data)) == 100.0
    assert artifact.description == "ingest-In.Parts: 20 rows"


def test_a_part_that_cannot_be_read_leaves_the_records_as_they_are(tmp_path, monkeypatch):
    from flows import records as module
    from flows.records import ingest

    table = tmp_path / "mine.csv"
    row = (
        '{name},"{{""lattice_mat"": [[3,0,0],[0,3,0],[0,0,3]], ""coords"": [[0,0,0]], '
        '""elements"": [""Po""]}}"\n'
    )
    table.write_text("id,structure\n" + "".join(row.format(name=f"m{i}") for i in range(4)))
    config = config_of(tmp_path, kind="files", name="mine", path=str(table), part_size=2)
    assert ingest(config).reports[0].n_kept == 4
    table.write_text(table.read_text() + row.format(name="m4"))

    def list_and_change(*args):
        plan = list_source(*args)
        table.write_text("id,structure\n")  # while the parts are read
        return plan

    monkeypatch.setattr(module, "list_source", list_and_change)
    with pytest.raises(SourceError, match="changed or vanished while it was read"):
        ingest(config)
    assert RecordStore(config.store_path).source_counts() == {"mine": 4}


def test_rows_of_two_sources_are_linked_at_the_end_if_that_is_asked_for(tmp_path):
    from flows.records import ingest

    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        textbook_structure("Si").to(filename=str(tmp_path / name / "Si.cif"))
    sources = [
        {"kind": "files", "name": name, "path": str(tmp_path / name)}
        for name in ("first", "second")
    ]
    for linking, is_linked in ({}, False), ({"after_ingest": True}, True):
        config = PipelineConfig.model_validate(
            {"store": str(tmp_path / "store"), "sources": sources, "linking": linking}
        )
        summary = ingest(config)
        assert (summary.links is not None) == is_linked
    assert summary.links is not None
    assert summary.links.n_joint == {"first & second": 1}
    assert summary.note.endswith("materials in several sources: 1")


def test_a_source_that_fails_does_not_keep_the_others_out(tmp_path, caplog):
    from flows.records import ingest

    sources = [
        {"kind": "files", "name": "gone", "path": str(tmp_path / "gone")},
        {"kind": "synthetic", "name": "there", "n_structures": 3},
        {"kind": "files", "name": "lost", "path": str(tmp_path / "lost")},
    ]
    config = PipelineConfig.model_validate(
        {"store": str(tmp_path / "store"), "sources": sources}
    )
    with pytest.raises(SourceError, match="gone"):
        ingest(config)
    assert RecordStore(config.store_path).source_counts() == {"there": 3}
    assert "source lost failed" in caplog.text
    assert "the other sources were ingested: there: 3 rows" in caplog.text


def test_the_key_of_a_service_is_in_no_row_of_the_server_and_no_file(tmp_path, monkeypatch):
    """Looks at parameters, results, states and logs, also of a run that fails."""
    from prefect.settings import PREFECT_HOME

    from flows.records import ingest

    monkeypatch.setenv("MP_API_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    close_pool()  # the workers of other tests do not know the key
    with running_service() as service:
        fill(service, 5)
        settings = source(service).model_dump(mode="json")
        config = config_of(tmp_path, **settings)
        assert ingest(config).reports[0].n_in == 5
        echo = fault(418, f'{{"detail": "{KEY} cannot do this"}}'.encode())
        service.faults["summary"] += [echo] * 20
        service.release = "2026.02"
        with pytest.raises(SourceError):
            ingest(config)
    folders = (tmp_path, PREFECT_HOME.value())
    files = [p for folder in folders for p in folder.rglob("*") if p.is_file()]
    assert any(path.name == "prefect.db" for path in files)
    assert not [path for path in files if KEY.encode() in path.read_bytes()]
